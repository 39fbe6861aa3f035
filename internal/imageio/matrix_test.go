package imageio

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

var updateImages = flag.Bool("update-images", false, "write docs/images.md with the figures of TestMatrix")

// matrixTolerance is how far in 1/255 a pixel may be from Pillow's: blocks
// transformed and colours computed in other integers.
const matrixTolerance = 3

// A matrixFile is an entry of the index that gen_matrix.py writes.
type matrixFile struct {
	File   string
	Kind   string
	Page   int
	Levels int
	Want   string // "" where Pillow does not read it
}

// A matrixRow counts files of a kind.
type matrixRow struct {
	kind                 string
	same, exact, refused int
	beyond               int // read, and Pillow does not
	worst                int
	otherwise            []string
	names                map[string]bool // what was refused, as it is said
	refusedByBoth        int
}

// TestMatrix reads files of every kind that Pillow has and compares each with
// Pillow's reading: the same, or refused by name.
func TestMatrix(t *testing.T) {
	dir := os.Getenv("ANOMALY_MATRIX")
	if dir == "" {
		dir = t.TempDir()
		out, err := exec.Command(testenv.Python(t), "testdata/gen_matrix.py", dir).CombinedOutput()
		if err != nil {
			t.Fatalf("gen_matrix.py: %v\n%s", err, out)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index []matrixFile
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	var rows []*matrixRow
	for _, f := range index {
		i := slices.IndexFunc(rows, func(r *matrixRow) bool { return r.kind == f.Kind })
		if i < 0 {
			i, rows = len(rows), append(rows, &matrixRow{kind: f.Kind, names: map[string]bool{}})
		}
		rows[i].add(t, dir, f)
	}
	table := matrixTable(rows)
	t.Log("\n" + table)
	for _, r := range rows {
		for _, line := range r.otherwise {
			t.Errorf("%s: read otherwise: %s", r.kind, line)
		}
	}
	doc := filepath.Join(testenv.Root(), "docs", "images.md")
	old, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(old), "<!-- figures -->\n")
	_, after, ok := strings.Cut(rest, "<!-- end -->")
	if !ok {
		t.Fatal("docs/images.md has no figures")
	}
	whole := before + "<!-- figures -->\n" + table + "<!-- end -->" + after
	if *updateImages {
		if err := os.WriteFile(doc, []byte(whole), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *matrixRow) add(t *testing.T, dir string, f matrixFile) {
	data, err := os.ReadFile(filepath.Join(dir, f.File))
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s#%d", f.File, f.Page)
	img, _, err := Decode(bytes.NewReader(data), &Options{Page: f.Page, Levels: f.Levels})
	switch {
	case err != nil && f.Want == "":
		r.refusedByBoth++
		return
	case err != nil:
		if said := strings.TrimPrefix(err.Error(), "imageio: "); strings.Contains(said, "unknown format") {
			r.otherwise = append(r.otherwise, fmt.Sprintf("%s: not known: %v", name, err))
		} else {
			r.names[said] = true
		}
		r.refused++
		return
	case f.Want == "":
		r.beyond++
		return
	}
	golden, err := os.ReadFile(filepath.Join(dir, f.Want))
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := Decode(bytes.NewReader(golden), nil)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != want.Bounds() {
		r.otherwise = append(r.otherwise, fmt.Sprintf("%s: got %v, want %v", name, img.Bounds(), want.Bounds()))
		return
	}
	worst := maxDiff(bytesOf(img, 3), bytesOf(want, 3))
	if worst > matrixTolerance {
		r.otherwise = append(r.otherwise, fmt.Sprintf("%s: %d/255 from Pillow", name, worst))
		return
	}
	if os.Getenv("ANOMALY_MATRIX_V") != "" {
		t.Log(name, worst)
	}
	r.same++
	r.worst = max(r.worst, worst)
	if worst == 0 {
		r.exact++
	}
}

// matrixTable is what docs/images.md shows.
func matrixTable(rows []*matrixRow) string {
	var b strings.Builder
	b.WriteString("| format | files that Pillow opens | read the same | of them equal in every pixel | greatest difference | refused by name | read otherwise |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d/255 | %d | %d |\n", r.kind, r.same+r.refused+len(r.otherwise), r.same, r.exact, r.worst, r.refused, len(r.otherwise))
	}
	b.WriteString("\nRefused, of those that Pillow opens:\n\n")
	for _, r := range rows {
		var names []string
		for name := range r.names {
			names = append(names, "- `"+name+"`\n")
		}
		slices.Sort(names)
		b.WriteString(strings.Join(names, ""))
	}
	return b.String()
}
