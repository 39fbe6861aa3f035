package runtime

import (
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// texture is an image with a dark square, of no pattern that repeats.
func texture(height, width int, defect image.Rectangle) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	pixels := pattern(height, width, 3)
	for y := range height {
		for x := range width {
			p := pixels[3*(y*width+x):]
			c := color.RGBA{p[0], p[1], p[2], 255}
			if image.Pt(x, y).In(defect) {
				c = color.RGBA{0, 0, 0, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

const (
	tileSide  = 64
	wholeHigh = 112
	wholeWide = 160
)

// tiledModels are a network for tiles and the same one for whole images. It sees 6
// pixels to each side, and its strides are 2.
func tiledModels(t *testing.T) (tile, whole []byte) {
	o := &onnxexport.Options{Threshold: .3, Map: residual.Options{Kind: residual.L2Map}}
	spec := models.Spec{Height: tileSide, Width: tileSide, Filters: 4, Depth: 1}
	tile = detectorModel(t, spec, o)
	spec.Height, spec.Width = wholeHigh, wholeWide
	return tile, detectorModel(t, spec, o)
}

func options(p Provider, v View) *Options {
	return &Options{SessionOptions: SessionOptions{Provider: p}, View: v}
}

// A network that sees less far than the part of the overlap that is left out finds
// in tiles what it finds in the whole image, everywhere.
func TestTilesEqualWhole(t *testing.T) { each(t, testTilesEqualWhole) }

func testTilesEqualWhole(t *testing.T, p Provider) {
	tile, whole := tiledModels(t)
	// Convolutions of another size add up in another order.
	const tol = 1e-5
	img := texture(wholeHigh, wholeWide, image.Rect(44, 50, 52, 58)) // on seams both ways
	want := detect(t, openDetector(t, whole, options(p, View{})), img)[0]
	for _, tiles := range []Tiles{{Scale: 1, Overlap: 32}, {Scale: 1, Overlap: 30}} {
		d := openDetector(t, tile, options(p, View{Tiles: &tiles}))
		for _, batch := range [][]image.Image{{img}, {img, img, img}} {
			for _, got := range detect(t, d, batch...) {
				wantSame(t, "tiles", got, want, tol)
			}
		}
		info := d.Info()
		if info.Height != 0 || info.Width != 0 || info.MapHeight != 0 || info.Batch != 1 || info.Reconstructs || *info.View.Tiles != tiles {
			t.Errorf("got %+v", info)
		}
	}
	// Another type of image, whose upper left corner is elsewhere.
	moved := image.NewNRGBA(image.Rect(-7, 5, wholeWide-7, wholeHigh+5))
	for y := range wholeHigh {
		for x := range wholeWide {
			moved.Set(x-7, y+5, img.At(x, y))
		}
	}
	big := image.NewRGBA(image.Rect(0, 0, wholeWide+9, wholeHigh+9))
	for y := range wholeHigh {
		for x := range wholeWide {
			big.Set(x+9, y+9, img.At(x, y))
		}
	}
	d := openDetector(t, tile, options(p, View{Tiles: &Tiles{Scale: 1, Overlap: 32}}))
	for _, r := range detect(t, d, moved, big.SubImage(image.Rect(9, 9, wholeWide+9, wholeHigh+9))) {
		wantSame(t, "of other bounds", r, want, tol)
	}
	// A batch of one is as good.
	o := options(p, View{Tiles: &Tiles{Scale: 1, Overlap: 32}})
	o.Batch = 1
	wantSame(t, "one at a time", detect(t, openDetector(t, tile, o), img)[0], want, tol)
}

// Without overlap seams show in this network, so that the test above can fail.
func TestTilesNeedOverlap(t *testing.T) {
	tile, whole := tiledModels(t)
	img := texture(wholeHigh, wholeWide, image.Rectangle{})
	want := detect(t, openDetector(t, whole, options(Go, View{})), img)[0]
	l := openDetector(t, tile, options(Go, View{Tiles: &Tiles{Scale: 1, Overlap: 1}}))
	if d := maxDiff(detect(t, l, img)[0].Map.Data, want.Map.Data); d < .01 {
		t.Errorf("the maps differ by %g", d)
	}
}

// Images may be smaller than a tile, and seen at another scale.
func TestTilesScaled(t *testing.T) {
	tile, _ := tiledModels(t)
	d := openDetector(t, tile, options(Go, View{Tiles: &Tiles{Scale: .5}}))
	if got := d.Info().View.Tiles.Overlap; got != 16 {
		t.Errorf("got an overlap of %d, want 16", got)
	}
	for _, size := range []image.Point{{200, 300}, {100, 300}, {40, 20}, {1, 1}} {
		r := detect(t, d, texture(size.Y, size.X, image.Rectangle{}))[0]
		if r.Map.Height != max(size.Y/2, 1) || r.Map.Width != max(size.X/2, 1) || r.Score != r.Map.Max() || r.Score <= 0 {
			t.Errorf("%v: got a map of %dx%d, score %v, of the map %v", size, r.Map.Width, r.Map.Height, r.Score, r.Map.Max())
		}
	}
}

// Outside the region maps are 0, and so is what is found there; tiles without any
// of it are not computed.
func TestRegion(t *testing.T) {
	tile, whole := tiledModels(t)
	defect := image.Rect(100, 20, 110, 30)
	img := texture(wholeHigh, wholeWide, defect)
	region := &heatmap.Mask{Height: wholeHigh / 2, Width: wholeWide / 2, Data: make([]bool, wholeHigh*wholeWide/4)}
	for y := range region.Height {
		for x := range region.Width / 4 {
			region.Data[y*region.Width+x] = true
		}
	}
	for name, d := range map[string]*Detector{
		"whole": openDetector(t, whole, options(Go, View{Region: region})),
		"tiles": openDetector(t, tile, options(Go, View{Region: region, Tiles: &Tiles{Scale: 1}})),
	} {
		r := detect(t, d, img)[0]
		for i, v := range r.Map.Data {
			if in := i%wholeWide < wholeWide/4; in != (v > 0) {
				t.Fatalf("%s: at (%d,%d): got %v", name, i%wholeWide, i/wholeWide, v)
			}
		}
		if r.Score != r.Map.Max() || r.Anomalous != (r.Score > .3) {
			t.Errorf("%s: got score %v, anomalous %v, of a map of %v", name, r.Score, r.Anomalous, r.Map.Max())
		}
		if _, err := d.Detect(t.Context(), texture(100, 200, defect)); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "got an image of 200x100 pixels, want the aspect of the region of interest, 80x56") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	l := openDetector(t, tile, options(Go, View{Region: region, Tiles: &Tiles{Scale: 1}}))
	model, err := l.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer l.release(model)
	if m, err := model.newMosaic(img); err != nil || len(m.looked) != 2 || len(m.across.At) != 3 {
		t.Errorf("got %+v, %v", m, err)
	}
}

// The part alone is looked at, with a margin; the whole image where none stands out.
func TestForeground(t *testing.T) {
	tile, whole := tiledModels(t)
	yes := true
	part := image.Rect(40, 30, 120, 80)
	img := image.NewRGBA(image.Rect(0, 0, wholeWide, wholeHigh))
	busy := texture(wholeHigh, wholeWide, image.Rectangle{})
	for y := range wholeHigh {
		for x := range wholeWide {
			if img.SetRGBA(x, y, color.RGBA{20, 20, 20, 255}); image.Pt(x, y).In(part) {
				img.Set(x, y, busy.At(x, y))
			}
		}
	}
	for name, d := range map[string]*Detector{
		"whole": openDetector(t, whole, options(Go, View{Foreground: &yes})),
		"tiles": openDetector(t, tile, options(Go, View{Foreground: &yes, Tiles: &Tiles{Scale: 1}})),
	} {
		r := detect(t, d, img, busy)
		if r[1].Part != nil || slices.Contains(r[1].Map.Data, 0) {
			t.Errorf("%s: a part stands out of a texture: %v", name, *r[1].Part)
		}
		if r[0].Part == nil || *r[0].Part < .22 || *r[0].Part > .3 {
			t.Fatalf("%s: got a part of %v, want that of %v and a margin", name, r[0].Part, part)
		}
		for i, v := range r[0].Map.Data {
			at := image.Pt(i%wholeWide, i/wholeWide)
			if at.In(part.Inset(-1)) && v == 0 || !at.In(part.Inset(-6)) && v != 0 {
				t.Fatalf("%s: at %v: got %v", name, at, v)
			}
		}
	}
}

// A file carries a view, options come before it, and what makes no sense is refused.
func TestViewMetadata(t *testing.T) {
	yes, no := true, false
	region := &heatmap.Mask{Height: 2, Width: 3, Data: []bool{true, false, true, false, true, true}}
	v := View{Tiles: &Tiles{Scale: .5, Overlap: 8}, Region: region, Foreground: &yes}
	md, err := v.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	if none, err := (View{Tiles: &Tiles{}, Region: &heatmap.Mask{}, Foreground: &no}).Metadata(); err != nil || len(none) > 0 {
		t.Errorf("the whole image: got %v, %v", none, err)
	}
	var again View
	if err := json.Unmarshal([]byte(md["view"]), &again); err != nil || *again.Tiles != *v.Tiles || !*again.Foreground || !slices.Equal(again.Region.Data, region.Data) || again.Region.Width != 3 {
		t.Errorf("got %+v, %v", again, err)
	}
	model := detectorModel(t, models.Spec{Height: 16, Filters: 2}, &onnxexport.Options{Threshold: .3, Metadata: md})
	for _, tt := range []struct {
		v      View
		tiles  *Tiles
		region bool
		part   bool
	}{
		{View{}, v.Tiles, true, true},
		{View{Tiles: &Tiles{}}, nil, true, true},
		{View{Tiles: &Tiles{Scale: 1}}, &Tiles{Scale: 1, Overlap: 4}, true, true},
		{View{Region: &heatmap.Mask{}, Foreground: &no}, v.Tiles, false, false},
	} {
		got := openDetector(t, model, options(Go, tt.v)).Info().View
		if (got.Tiles == nil) != (tt.tiles == nil) || got.Tiles != nil && *got.Tiles != *tt.tiles || (got.Region != nil) != tt.region || (got.Foreground != nil) != tt.part {
			t.Errorf("%v: got %v", tt.v, got)
		}
	}
	for what, v := range map[string]View{
		"scale: got 2":     {Tiles: &Tiles{Scale: 2}},
		"scale: got 0":     {Tiles: &Tiles{Overlap: 3}},
		"overlap: got 9":   {Tiles: &Tiles{Scale: 1, Overlap: 9}},
		"got 1 pixels":     {Region: &heatmap.Mask{Height: 1, Width: 2, Data: []bool{true}}},
		"no pixel is set":  {Region: &heatmap.Mask{Height: 1, Width: 2, Data: []bool{false, false}}},
		"overlap: got -16": {Tiles: &Tiles{Scale: 1, Overlap: -16}},
	} {
		if _, err := OpenBytes(model, options(Go, v)); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for _, bad := range []string{"{", `{"tiles":3}`, `{"region":"AAAA"}`, `{"tiles":{"scale":7}}`} {
		md := maps.Clone(md)
		md["view"] = bad
		model := detectorModel(t, models.Spec{Height: 16, Filters: 2}, &onnxexport.Options{Threshold: .3, Metadata: md})
		if _, err := OpenBytes(model, options(Go, View{})); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
