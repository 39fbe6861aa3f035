package commands

import (
	"cmp"
	_ "embed"
	"html/template"
	"image"
	"io"
	"maps"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A report is what index.html shows of a run.
type report struct {
	Model                   string
	Provider                anrt.Provider
	Threshold               *float32   // of scores; nil for none
	Review                  *anrt.Band // nil for none
	Of                      int        // images that were to be looked at
	Good, Anomalous, Failed int
	Rejected, ToReview      int // of the verdicts that a review band gives
	Interrupted             bool
	Rows                    []reportRow // in the order of the images
	Saves                   saves
	Eval                    *evalReport // nil where the truth is not known

	pictures heatmap.PictureOptions // what decides on the pictures' layout
	dir      string                 // that index.html is written to
	hash     string                 // of the model
	grows    bool                   // images come, and come again
	dirty    bool                   // there is something new since at
	at       time.Time              // it was written last
}

// A reportRow is an image in a report.
type reportRow struct {
	finding
	Name   string // that the image's files begin with, relative to the report
	Err    string // why there is no finding; "" if there is one
	kind   string // the truth; "" where it is not known
	size   image.Point
	source string // of the image itself; "" if that is no file that browsers show
}

func (r *report) add(o *outcome, f finding) {
	row := reportRow{finding: f, Name: o.sample.OutputName(), size: o.size}
	if o.sample.Row < 0 && slices.Contains(shown, strings.ToLower(filepath.Ext(o.sample.Path))) {
		row.source = o.sample.Path
	}
	r.append(row)
	r.count(f, 1)
}

// shown are the formats that every browser shows as package dataset reads them.
var shown = []string{".png", ".jpg", ".jpeg", ".webp", ".bmp"}

func (r *report) fail(name string, err error) {
	r.append(reportRow{Name: name, Err: err.Error()})
	r.Failed++
}

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"short": short, "inc": func(i int) int { return i + 1 }}).Parse(reportHTML))

// short spells a score for people.
func short(score float32) string { return strconv.FormatFloat(float64(score), 'g', 4, 32) }

// label gives the rows the kinds of the samples that they are of.
func (r *report) label(samples []dataset.Sample) {
	kinds := map[string]string{}
	for i := range samples {
		kinds[samples[i].OutputName()] = samples[i].Kind
	}
	for i := range r.Rows {
		r.Rows[i].kind = kinds[r.Rows[i].Name]
	}
}

// Of a report that grows.
const (
	mostRows    = 5000            // the ones before are dropped: a page has to open
	updateAfter = 5 * time.Second // a page is written anew, at most so often
)

// update writes the page anew if there is something new and time for it, once the
// pictures that it shows are there.
func (r *report) update(dir string, files *saver) error {
	if dir == "" || !r.dirty || time.Since(r.at) < updateAfter {
		return nil
	}
	if err := files.wait(); err != nil {
		return err
	}
	r.trim()
	r.Of, r.dirty, r.at = len(r.Rows), false, time.Now()
	return r.write(dir)
}

// trim drops the oldest of too many rows.
func (r *report) trim() {
	for len(r.Rows) > mostRows {
		r.drop(0)
	}
}

// drop removes a row.
func (r *report) drop(i int) {
	if row := &r.Rows[i]; row.Err != "" {
		r.Failed--
	} else {
		r.count(row.finding, -1)
	}
	r.Rows = slices.Delete(r.Rows, i, i+1)
}

// count adds so many of a finding's verdict.
func (r *report) count(f finding, n int) {
	switch {
	case f.Anomalous == nil:
	case *f.Anomalous:
		r.Anomalous += n
	default:
		r.Good += n
	}
	switch f.Decision {
	case anrt.Reject:
		r.Rejected += n
	case anrt.Review:
		r.ToReview += n
	}
}

// append adds a row, in place of an earlier one of the same name.
func (r *report) append(row reportRow) {
	if r.grows {
		if i := slices.IndexFunc(r.Rows, func(other reportRow) bool { return other.Name == row.Name }); i >= 0 {
			r.drop(i)
		}
	}
	r.Rows, r.dirty = append(r.Rows, row), true
}

// retire writes the page for good, under the name of the model that it is about.
func (r *report) retire(dir string, files *saver) error {
	if dir == "" || len(r.Rows) == 0 {
		return nil
	}
	if err := files.wait(); err != nil {
		return err
	}
	r.trim()
	r.Of = len(r.Rows)
	return r.writeAs(dir, "index-"+r.hash[:hashDigits]+".html")
}

// write writes index.html to the folder that the images' files are in.
func (r *report) write(dir string) error { return r.writeAs(dir, "index.html") }

func (r *report) writeAs(dir, name string) error {
	r.dir = dir
	return atomicfile.Write(filepath.Join(dir, name), func(w io.Writer) error {
		return reportTemplate.Execute(w, r)
	})
}

// Sorted returns the rows as a page without truth first shows them: what failed,
// then the highest score first.
func (r *report) Sorted() []reportRow {
	return slices.SortedFunc(slices.Values(r.Rows), func(a, b reportRow) int {
		failed := cmp.Compare(min(len(b.Err), 1), min(len(a.Err), 1))
		return cmp.Or(failed, cmp.Compare(b.Score, a.Score), strings.Compare(a.Name, b.Name))
	})
}

// reportData is what the page's script knows. Scores and threshold are float32s
// in their shortest decimal form, whose order is that of the numbers: verdicts
// that the script gives are the runner's.
type reportData struct {
	Threshold *float32      `json:"threshold"`
	Review    *[2]float32   `json:"review"` // the lower and the upper end of the band; null for none
	Pixels    *float32      `json:"pixels"` // the threshold of the pictures' anomalous areas
	Lo        float32       `json:"lo"`     // the range of the threshold's slider
	Hi        float32       `json:"hi"`
	Kinds     []string      `json:"kinds"` // the good first; null where the truth is not known
	Files     []reportFile  `json:"files"` // of each image
	Tiles     []reportTile  `json:"tiles"` // of its picture, null without pictures
	Rows      []reportImage `json:"rows"`
}

type reportFile struct {
	Name   string `json:"name"`
	Suffix string `json:"suffix"` // behind the image's name
}

// A reportTile is where a tile lies in a picture: X pixels and Column times the
// tile's width from the left, Y pixels from the top.
type reportTile struct {
	Name   string `json:"name"`
	X      int    `json:"x"`
	Y      int    `json:"y"`
	Column int    `json:"column"`
}

type reportImage struct {
	Name    string   `json:"name"`
	Score   *float32 `json:"score,omitempty"`     // absent if it failed
	Label   *bool    `json:"anomalous,omitempty"` // the model's own, where the threshold does not say the same
	Kind    int      `json:"kind,omitempty"`      // in Kinds
	Err     string   `json:"err,omitempty"`
	Regions int      `json:"regions,omitempty"`
	Width   int      `json:"w,omitempty"` // of a tile
	Height  int      `json:"h,omitempty"`
	Source  string   `json:"source,omitempty"` // address of the image itself
}

// Data returns what the page's script knows.
func (r *report) Data() reportData {
	d := reportData{Threshold: r.Threshold, Pixels: r.pictures.Threshold, Kinds: r.kinds()}
	if r.Review != nil {
		d.Review = &[2]float32{r.Review.Low, r.Review.High}
	}
	d.Lo, d.Hi = r.span()
	for _, f := range []struct {
		saved bool
		reportFile
	}{
		{r.Saves.Picture, reportFile{"picture", pictureSuffix}}, {r.Saves.Map, reportFile{"map", mapSuffix}},
		{r.Saves.Mask, reportFile{"mask", maskSuffix}}, {r.Saves.Reconstruction, reportFile{"reconstruction", reconstructionSuffix}},
	} {
		if f.saved {
			d.Files = append(d.Files, f.reportFile)
		}
	}
	if r.Saves.Picture {
		names := []string{"input"}
		if r.pictures.Reconstruction != nil {
			names = append(names, "reconstruction")
		}
		names = append(names, "heat map", "anomalous")
		// Where a tile lies is a fixed part and whole widths of tiles.
		for i, tile := range heatmap.Layout(image.Pt(1, 1), &r.pictures) {
			d.Tiles = append(d.Tiles, reportTile{Name: names[i], X: tile.Min.X - i*tile.Dx(), Y: tile.Min.Y, Column: i})
		}
	}
	for _, row := range r.Sorted() {
		image := reportImage{Name: row.Name, Err: row.Err, Regions: len(row.Regions), Kind: max(slices.Index(d.Kinds, row.kind), 0)}
		if row.Err == "" {
			image.Score = &row.Score
			if l, t := row.finding.Anomalous, r.Threshold; l != nil && (t == nil || *l != (row.Score > *t)) {
				image.Label = l
			}
			if r.Saves.Picture {
				size := heatmap.Layout(row.size, &r.pictures)[0].Size()
				image.Width, image.Height = size.X, size.Y
			}
			image.Source = r.address(row.source)
		}
		d.Rows = append(d.Rows, image)
	}
	return d
}

// kinds returns the kinds of the images, the good ones' first; nil without truth.
func (r *report) kinds() []string {
	if r.Eval == nil {
		return nil
	}
	bad := map[string]bool{}
	for _, row := range r.Rows {
		bad[row.kind] = true
	}
	delete(bad, dataset.Good)
	return append([]string{dataset.Good}, slices.Sorted(maps.Keys(bad))...)
}

// span returns the range of the scores and the thresholds, a little wider.
func (r *report) span() (lo, hi float32) {
	lo, hi = math.MaxFloat32, -math.MaxFloat32
	include := func(v float32) { lo, hi = min(lo, v), max(hi, v) }
	for _, row := range r.Rows {
		if row.Err == "" {
			include(row.Score)
		}
	}
	if r.Threshold != nil {
		include(*r.Threshold)
	}
	if r.Review != nil {
		include(r.Review.Low)
		include(r.Review.High)
	}
	if lo > hi {
		return 0, 1
	}
	margin := max((hi-lo)/50, float32(math.Abs(float64(hi)))*1e-3, 1e-6)
	return lo - margin, hi + margin
}

// address returns the address of a file relative to the report; "" if there is none.
func (r *report) address(path string) string {
	if path == "" {
		return ""
	}
	dir, err := filepath.Abs(r.dir)
	if err != nil {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return ""
	}
	rel, err := filepath.Rel(dir, path)
	if err != nil { // another drive
		return ""
	}
	return link(filepath.ToSlash(rel))
}

// link returns a '/'-separated path as an address: whatever its names hold, such
// as the # of an array's row, is part of the path.
func link(path string) string {
	elems := strings.Split(path, "/")
	for i, e := range elems {
		elems[i] = url.PathEscape(e)
	}
	return "./" + strings.Join(elems, "/") // "./", lest a colon be taken for a scheme's
}
