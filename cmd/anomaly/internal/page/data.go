package page

import (
	"image"
	"maps"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
)

// Data is what the page's script knows. Scores and threshold are float32s
// in their shortest decimal form, whose order is that of the numbers: verdicts
// that the script gives are the runner's.
type Data struct {
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
	Unlike  []string `json:"unlike,omitempty"` // in what it is unlike the training images
	Regions int      `json:"regions,omitempty"`
	Width   int      `json:"w,omitempty"` // of a tile
	Height  int      `json:"h,omitempty"`
	Source  string   `json:"source,omitempty"` // address of the image itself
}

// Data returns what the page's script knows.
func (r *Report) Data() Data {
	d := Data{Threshold: r.Threshold, Pixels: r.pictures.Threshold, Kinds: r.kinds()}
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
			image.Score, image.Unlike = &row.Score, row.Unlike
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
func (r *Report) kinds() []string {
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
func (r *Report) span() (lo, hi float32) {
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
func (r *Report) address(path string) string {
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
