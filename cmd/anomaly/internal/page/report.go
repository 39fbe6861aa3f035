package page

import (
	"cmp"
	_ "embed"
	"html/template"
	"image"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A Report is what index.html shows of a run.
type Report struct {
	Model                   string
	Provider                anrt.Provider
	Threshold               *float32   // of scores; nil for none
	Review                  *anrt.Band // nil for none
	Of                      int        // images that were to be looked at
	Good, Anomalous, Failed int
	Rejected, ToReview      int // of the verdicts that a review band gives
	Interrupted             bool
	Rows                    []Row // in the order of the images
	Saves                   Saves
	Eval                    *evaluation      // nil where the truth is not known
	Evidence                *judge.Evidence  // what the model's file tells
	Appraisal               *judge.Appraisal // of the model, by that and what was found

	pictures heatmap.PictureOptions // what decides on the pictures' layout
	dir      string                 // that index.html is written to
	hash     string                 // of the model
	grows    bool                   // images come, and come again
	dirty    bool                   // there is something new since at
	at       time.Time              // it was written last
}

// A Row is an image in a report: its finding, without pixels.
type Row struct {
	judge.Finding
	Name string // that the image's files begin with, relative to the report
}

// NewReport returns the report of what a model finds, and of what of its findings is
// saved. It grows where images come and come again.
func NewReport(info anrt.ModelInfo, saves Saves, grows bool) *Report {
	r := &Report{
		Provider: info.Provider, Threshold: info.Threshold, Review: info.Review, Saves: saves, hash: info.Hash, grows: grows,
		pictures: heatmap.PictureOptions{Threshold: info.PixelThreshold, NoMap: !info.Maps, Tile: Tile},
	}
	if info.Reconstructs {
		r.pictures.Reconstruction = image.Black
	}
	return r
}

// Evaluate adds figures to the report: the findings' kinds are the truth.
func (r *Report) Evaluate(e *judge.Evaluation) { r.Eval = &evaluation{e} }

// Judged reports whether there are verdicts.
func (r *Report) Judged() bool { return r.Good > 0 || r.Anomalous > 0 }

// Doubted reports whether verdicts are not to be trusted: no truth goes with them, and
// the detector is of no use.
func (r *Report) Doubted() bool {
	return r.Eval == nil && r.Appraisal != nil && r.Appraisal.Severity == judge.Poor
}

// Missed is how many anomalous images are judged good.
func (r *Report) Missed() int {
	n := 0
	for _, row := range r.Rows {
		if row.Err == nil && row.Sample.Anomalous && row.Anomalous != nil && !*row.Anomalous {
			n++
		}
	}
	return n
}

// Unlike is how many images are unlike those the model was trained on.
func (r *Report) Unlike() int {
	n := 0
	for _, row := range r.Rows {
		if row.Err == nil && len(row.Unlike) > 0 {
			n++
		}
	}
	return n
}

// IsOf reports whether the report is that of a model.
func (r *Report) IsOf(hash string) bool { return r.hash == hash }

// Add adds a finding, in place of an earlier one of the same name.
func (r *Report) Add(f *judge.Finding) {
	row := Row{Finding: *f, Name: f.Sample.OutputName()}
	row.Image, row.Result = nil, anrt.Result{}
	if r.grows {
		if i := slices.IndexFunc(r.Rows, func(other Row) bool { return other.Name == row.Name }); i >= 0 {
			r.drop(i)
		}
	}
	r.Rows, r.dirty = append(r.Rows, row), true
	r.count(f, 1)
}

// source is the path of the image itself; "" if that is no file that browsers show.
func (r *Row) source() string {
	if s := r.Sample; s.Row < 0 && slices.Contains(shown, strings.ToLower(filepath.Ext(s.Path))) {
		return s.Path
	}
	return ""
}

// shown are the formats that every browser shows as package dataset reads them.
var shown = []string{".png", ".jpg", ".jpeg", ".webp", ".bmp"}

//go:embed report.html
var reportHTML string

var reportTemplate = withBanner("report", reportHTML, template.FuncMap{"short": Short, "inc": func(i int) int { return i + 1 }})

// Short spells a score for people.
func Short(score float32) string { return strconv.FormatFloat(float64(score), 'g', 4, 32) }

// Of a report that grows.
const (
	mostRows    = 5000            // the ones before are dropped: a page has to open
	updateAfter = 5 * time.Second // a page is written anew, at most so often
)

// Update writes the page anew if there is something new and time for it, once the
// pictures that it shows are there.
func (r *Report) Update(dir string, files *Files) error {
	if dir == "" || !r.dirty || time.Since(r.at) < updateAfter {
		return nil
	}
	if err := files.Wait(); err != nil {
		return err
	}
	r.trim()
	r.Of, r.dirty, r.at = len(r.Rows), false, time.Now()
	return r.Write(dir)
}

// trim drops the oldest of too many rows.
func (r *Report) trim() {
	for len(r.Rows) > mostRows {
		r.drop(0)
	}
}

// drop removes a row.
func (r *Report) drop(i int) {
	r.count(&r.Rows[i].Finding, -1)
	r.Rows = slices.Delete(r.Rows, i, i+1)
}

// count adds so many of a finding's verdict.
func (r *Report) count(f *judge.Finding, n int) {
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

// Retire writes the page for good, under the name of the model that it is about.
func (r *Report) Retire(dir string, files *Files) error {
	if dir == "" || len(r.Rows) == 0 {
		return nil
	}
	if err := files.Wait(); err != nil {
		return err
	}
	r.trim()
	r.Of = len(r.Rows)
	return r.writeAs(dir, "index-"+r.hash[:anrt.HashDigits]+".html")
}

// Write writes index.html to the folder that the images' files are in.
func (r *Report) Write(dir string) error { return r.writeAs(dir, "index.html") }

func (r *Report) writeAs(dir, name string) error {
	r.dir = dir
	return atomicfile.Write(filepath.Join(dir, name), func(w io.Writer) error {
		return reportTemplate.Execute(w, r)
	})
}

// Sorted returns the rows as a page without truth first shows them: what failed,
// then the highest score first.
func (r *Report) Sorted() []Row {
	return slices.SortedFunc(slices.Values(r.Rows), func(a, b Row) int {
		if failed := a.Err != nil; failed != (b.Err != nil) {
			if failed {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Name, b.Name))
	})
}
