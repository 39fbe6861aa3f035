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
	"github.com/anomaly-go/anomaly/judge"
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

// A reportRow is an image in a report: its finding, without pixels.
type reportRow struct {
	judge.Finding
	Name string // that the image's files begin with, relative to the report
}

// add adds a finding, in place of an earlier one of the same name.
func (r *report) add(f *judge.Finding) {
	row := reportRow{Finding: *f, Name: f.Sample.OutputName()}
	row.Image, row.Result = nil, anrt.Result{}
	if r.grows {
		if i := slices.IndexFunc(r.Rows, func(other reportRow) bool { return other.Name == row.Name }); i >= 0 {
			r.drop(i)
		}
	}
	r.Rows, r.dirty = append(r.Rows, row), true
	r.count(f, 1)
}

// source is the path of the image itself; "" if that is no file that browsers show.
func (r *reportRow) source() string {
	if s := r.Sample; s.Row < 0 && slices.Contains(shown, strings.ToLower(filepath.Ext(s.Path))) {
		return s.Path
	}
	return ""
}

// shown are the formats that every browser shows as package dataset reads them.
var shown = []string{".png", ".jpg", ".jpeg", ".webp", ".bmp"}

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"short": short, "inc": func(i int) int { return i + 1 }}).Parse(reportHTML))

// short spells a score for people.
func short(score float32) string { return strconv.FormatFloat(float64(score), 'g', 4, 32) }

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
	r.count(&r.Rows[i].Finding, -1)
	r.Rows = slices.Delete(r.Rows, i, i+1)
}

// count adds so many of a finding's verdict.
func (r *report) count(f *judge.Finding, n int) {
	switch {
	case f.Err != nil:
		r.Failed += n
	case f.Anomalous == nil:
	case *f.Anomalous:
		r.Anomalous += n
	default:
		r.Good += n
	}
	switch f.Verdict {
	case anrt.Reject:
		r.Rejected += n
	case anrt.Review:
		r.ToReview += n
	}
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
	return r.writeAs(dir, "index-"+r.hash[:anrt.HashDigits]+".html")
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
		if failed := a.Err != nil; failed != (b.Err != nil) {
			if failed {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Name, b.Name))
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
		image := reportImage{Name: row.Name, Regions: len(row.Regions), Kind: max(slices.Index(d.Kinds, row.Sample.Kind), 0)}
		if row.Err != nil {
			image.Err = row.Err.Error()
		} else {
			image.Score = &row.Score
			if l, t := row.Anomalous, r.Threshold; l != nil && (t == nil || *l != (row.Score > *t)) {
				image.Label = l
			}
			if r.Saves.Picture {
				size := heatmap.Layout(row.Size, &r.pictures)[0].Size()
				image.Width, image.Height = size.X, size.Y
			}
			image.Source = r.address(row.source())
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
		bad[row.Sample.Kind] = true
	}
	delete(bad, dataset.Good)
	return append([]string{dataset.Good}, slices.Sorted(maps.Keys(bad))...)
}

// span returns the range of the scores and the thresholds, a little wider.
func (r *report) span() (lo, hi float32) {
	lo, hi = math.MaxFloat32, -math.MaxFloat32
	include := func(v float32) { lo, hi = min(lo, v), max(hi, v) }
	for _, row := range r.Rows {
		if row.Err == nil {
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
