package main

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
)

// A report is what index.html shows of a run.
type report struct {
	Model, Provider         string
	Threshold               *float32 // of scores; nil for none
	Of                      int      // images that were to be looked at
	Good, Anomalous, Failed int
	Interrupted             bool
	Rows                    []reportRow // in the order of the images
	Full                    float32     // score that fills a row's bar
	Saves                   saves
}

// A reportRow is an image in a report.
type reportRow struct {
	finding
	Name string // that the image's files begin with, relative to the report
	Err  string // why there is no finding; "" if there is one
}

func (r *report) add(name string, f finding) {
	r.Rows = append(r.Rows, reportRow{finding: f, Name: name})
	switch {
	case f.Anomalous == nil:
	case *f.Anomalous:
		r.Anomalous++
	default:
		r.Good++
	}
}

func (r *report) fail(name string, err error) {
	r.Rows = append(r.Rows, reportRow{Name: name, Err: err.Error()})
	r.Failed++
}

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"short": short}).Parse(reportHTML))

// short spells a score for people.
func short(score float32) string { return strconv.FormatFloat(float64(score), 'g', 4, 32) }

// write writes index.html to the folder that the images' files are in.
func (r *report) write(dir string) error {
	for _, row := range r.Rows {
		r.Full = max(r.Full, row.Score)
	}
	if r.Threshold != nil {
		r.Full = max(r.Full, 2**r.Threshold)
	}
	return atomicfile.Write(filepath.Join(dir, "index.html"), func(w io.Writer) error {
		return reportTemplate.Execute(w, r)
	})
}

// Sorted returns the rows as the page first shows them: what failed, then the
// highest score first.
func (r *report) Sorted() []reportRow {
	return slices.SortedFunc(slices.Values(r.Rows), func(a, b reportRow) int {
		failed := cmp.Compare(min(len(b.Err), 1), min(len(a.Err), 1))
		return cmp.Or(failed, cmp.Compare(b.Score, a.Score), strings.Compare(a.Name, b.Name))
	})
}

// Percent returns where a score lies on a row's bar.
func (r *report) Percent(score float32) float64 {
	if !(r.Full > 0) {
		return 0
	}
	return math.Round(1000*float64(min(max(score/r.Full, 0), 1))) / 10
}

// Verdict is the finding's, or "failed".
func (r reportRow) Verdict() string {
	if r.Err != "" {
		return "failed"
	}
	return r.finding.Verdict()
}

// Links returns the addresses of an image's files, relative to the report.
func (r reportRow) Picture() template.URL        { return link(r.Name + pictureSuffix) }
func (r reportRow) Map() template.URL            { return link(r.Name + mapSuffix) }
func (r reportRow) Mask() template.URL           { return link(r.Name + maskSuffix) }
func (r reportRow) Reconstruction() template.URL { return link(r.Name + reconstructionSuffix) }

// link returns a '/'-separated path as an address: whatever its names hold, such
// as the # of an array's row, is part of the path.
func link(path string) template.URL {
	elems := strings.Split(path, "/")
	for i, e := range elems {
		elems[i] = url.PathEscape(e)
	}
	return template.URL("./" + strings.Join(elems, "/")) // "./", lest a colon be taken for a scheme's
}
