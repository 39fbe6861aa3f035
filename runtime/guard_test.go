package runtime

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/models"
)

// A picture is an image of a caller's own.
type picture struct {
	bounds image.Rectangle
	at     func(x, y int) color.Color
}

func (p *picture) ColorModel() color.Model { return color.RGBAModel }
func (p *picture) Bounds() image.Rectangle { return p.bounds }
func (p *picture) At(x, y int) color.Color { return p.at(x, y) }

// A hostile image is an error of the call that gives it, and of no other call that
// is computed with it.
func TestHostileImages(t *testing.T) {
	for name, spec := range map[string]models.Spec{"sized": {Height: 16, Filters: 2, Depth: 1}} {
		d := openDetector(t, detectorModel(t, spec, nil), &Options{SessionOptions: SessionOptions{Provider: Go}, Batch: 4})
		good := image.NewRGBA(image.Rect(0, 0, 16, 16))
		want := detect(t, d, good)[0].Score
		huge := math.MaxInt / 2
		for what, img := range map[string]image.Image{
			"nil":            nil,
			"typed nil":      (*image.RGBA)(nil),
			"typed nil, own": (*picture)(nil),
			"short Pix":      &image.RGBA{Pix: make([]uint8, 3), Stride: 64, Rect: image.Rect(0, 0, 16, 16)},
			"At that panics": &picture{image.Rect(0, 0, 16, 16), func(int, int) color.Color { panic("out of paint") }},
			"no color":       &picture{image.Rect(0, 0, 16, 16), func(int, int) color.Color { return nil }},
			"uniform":        image.NewUniform(color.White),
			"huge bounds":    &picture{image.Rect(-huge, -huge, huge, huge), func(int, int) color.Color { return color.Black }},
			"overflow":       &picture{image.Rectangle{image.Pt(math.MinInt, 0), image.Pt(math.MaxInt, 1)}, func(int, int) color.Color { return color.Black }},
			"empty":          image.NewGray(image.Rect(0, 0, 0, 5)),
		} {
			if _, err := d.Detect(t.Context(), good, img); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "image 1: ") {
				t.Errorf("%s, %s: got %v, want ErrInput of image 1", name, what, err)
			}
			if got := detect(t, d, good)[0].Score; got != want {
				t.Errorf("%s, after %s: got score %v, want %v", name, what, got, want)
			}
		}
	}
}

// A NaN or an infinity in what a model gives is an error wherever it is, though the
// score beside it looks good.
func TestNotFinite(t *testing.T) {
	sketches := map[string]func(sk sketch){
		"a map": func(sk sketch) {
			sk.node("ReduceMean", []string{"input", sk.weight("axes", graph.Int64, []int64{1}, 1)}, "grey")
			sk.node("Sub", []string{"grey", sk.weight("t", graph.Float32, nil, .2)}, "s")
			sk.node("Sqrt", []string{"s"}, "anomaly_map")
			sk.highest("grey", "pred_score")
			sk.output("anomaly_map", graph.Float32, "n", 1, 8, 8)
			sk.output("pred_score", graph.Float32, "n", 1)
		},
		"a reconstruction": func(sk sketch) {
			sk.node("Sub", []string{"input", sk.weight("t", graph.Float32, nil, .2)}, "s")
			sk.node("Sqrt", []string{"s"}, "y")
			sk.output("y", graph.Float32, "n", 3, 8, 8)
		},
		"scores": func(sk sketch) { // 1/0 where the image is black
			sk.node("ReduceMax", []string{"input", sk.weight("axes", graph.Int64, []int64{3}, 1, 2, 3)}, "highest", "keepdims", 0)
			sk.node("Unsqueeze", []string{"highest", sk.weight("last", graph.Int64, []int64{1}, 1)}, "top")
			sk.node("Div", []string{sk.weight("one", graph.Float32, nil, 1), "top"}, "pred_score")
			sk.output("pred_score", graph.Float32, "n", 1)
		},
	}
	each(t, func(t *testing.T, provider Provider) {
		for what, build := range sketches {
			sk := newSketch(18)
			sk.input("input", graph.Float32, "n", 3, 8, 8)
			build(sk)
			d := openDetector(t, sk.bytes(t), &Options{SessionOptions: SessionOptions{Provider: provider}, Reconstruction: true})
			bright, dark := image.NewGray(image.Rect(0, 0, 8, 8)), image.NewGray(image.Rect(0, 0, 8, 8))
			for i := range bright.Pix {
				bright.Pix[i] = 200
			}
			if what != "scores" {
				copy(dark.Pix, bright.Pix)
				dark.Pix[9] = 10
			}
			if _, err := d.Detect(t.Context(), dark); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "got "+what+" with") {
				t.Errorf("%s: got %v, want ErrModel", what, err)
			}
			detect(t, d, bright)
		}
	})
}

// A weight that is no number is an error before anything is computed.
func TestWeightsNotFinite(t *testing.T) {
	spec := models.Spec{Height: 16, Filters: 2, Depth: 1}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		sk := newSketch(18)
		sk.input("input", graph.Float32, "n", 3, 8, 8)
		sk.node("Conv", []string{"input", sk.weight("w", graph.Float32, []int64{3, 3, 1, 1}, 1, 0, 0, 0, bad, 0, 0, 0, 1)}, "y")
		sk.output("y", graph.Float32, "n", 3, 8, 8)
		if _, err := OpenBytes(sk.bytes(t), &Options{SessionOptions: SessionOptions{Provider: Go}}); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), `weight "w": got `) {
			t.Errorf("%v: got %v, want ErrModel of w", bad, err)
		}
	}
	// A threshold that is none is +Inf, in our own files.
	openDetector(t, detectorModel(t, spec, nil), &Options{SessionOptions: SessionOptions{Provider: Go}})
}

// endless is a reconstruction whose graph counts to 2^62 before it gives one.
func endless(t *testing.T) []byte {
	sk := newSketch(18)
	sk.input("input", graph.Float32, "n", 3, 8, 8)
	body := &onnxpb.GraphProto{
		Name: proto.String("body"),
		Input: []*onnxpb.ValueInfoProto{
			declare("i", graph.Int64, nil), declare("go_on", graph.Bool, nil), declare("v", graph.Float32, []any{"n", 3, 8, 8}),
		},
		Node: []*onnxpb.NodeProto{
			{OpType: proto.String("Identity"), Input: []string{"go_on"}, Output: []string{"on"}},
			{OpType: proto.String("Neg"), Input: []string{"v"}, Output: []string{"w"}},
		},
		Output: []*onnxpb.ValueInfoProto{declare("on", graph.Bool, nil), declare("w", graph.Float32, []any{"n", 3, 8, 8})},
	}
	sk.Graph.Node = append(sk.Graph.Node, &onnxpb.NodeProto{
		OpType: proto.String("Loop"), Input: []string{sk.weight("trips", graph.Int64, nil, 1<<62), sk.weight("yes", graph.Bool, nil, 1), "input"}, Output: []string{"y"},
		Attribute: []*onnxpb.AttributeProto{{Name: proto.String("body"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: body}},
	})
	sk.output("y", graph.Float32, "n", 3, 8, 8)
	return sk.bytes(t)
}

// A model that never ends does not hold up who opens it longer than they wait.
func TestEndlessModel(t *testing.T) {
	needProvider(t, CPU)
	path := filepath.Join(t.TempDir(), "endless.onnx")
	if err := os.WriteFile(path, endless(t), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &Options{SessionOptions: SessionOptions{Provider: CPU}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := OpenContext(ctx, path, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline exceeded", err)
	}

	live := filepath.Join(t.TempDir(), "live.onnx")
	if err := os.WriteFile(live, detectorModel(t, models.Spec{Height: 16, Filters: 2, Depth: 1}, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(live, o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.Rename(path, live); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go d.Watch(ctx, live, &WatchOptions{Interval: time.Millisecond, Timeout: 100 * time.Millisecond, Failed: func(_ string, err error) { failed <- err }})
	if err := <-failed; !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "not open and tested after 100ms") {
		t.Errorf("got %v, want ErrModel of the time", err)
	}
	detect(t, d, pictures(1)...)
}

// doubling is a reconstruction beside which a value is doubled so many times.
func doubling(t *testing.T, times int) []byte {
	sk := newSketch(18)
	sk.input("input", graph.Float32, "n", 3, 64, 64)
	from := "input"
	for i := range times {
		to := fmt.Sprintf("double%d", i)
		sk.node("Concat", []string{from, from}, to, "axis", 2)
		from = to
	}
	sk.node("ReduceMean", []string{from, sk.weight("axes", graph.Int64, []int64{3}, 1, 2, 3)}, "mean")
	sk.node("Add", []string{"input", "mean"}, "y")
	sk.output("y", graph.Float32, "n", 3, 64, 64)
	return sk.bytes(t)
}

// A model that takes more memory than it may is refused before it takes it.
func TestMemoryLimit(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		for _, tt := range []struct {
			times int
			limit int64
			want  string // "" for none
		}{
			{4, 0, ""}, {10, 64 << 20, "takes "}, {16, 1 << 30, "takes "}, {40, 0, "too much memory"},
		} {
			o := &Options{SessionOptions: SessionOptions{Provider: provider, MaxMemory: tt.limit}, Batch: 1}
			d, err := OpenBytes(doubling(t, tt.times), o)
			if err == nil {
				d.Close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "memory") || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("doubled %d times: got %v, want %q", tt.times, err, tt.want)
			}
		}
	})
}

// What a processor faults of ends the process on ONNX Runtime: it is refused.
func TestDivisionHazards(t *testing.T) {
	needProvider(t, CPU)
	for _, tt := range []struct {
		name, op string
		build    func(sk sketch) (dividend, divisor string)
		want     string
	}{
		{"by -1", "Div", func(sk sketch) (string, string) {
			return sk.weight("least", graph.Int64, []int64{1}, math.MinInt64), sk.weight("d", graph.Int64, []int64{1}, -1)
		}, "by -1"},
		{"remainder", "Mod", func(sk sketch) (string, string) {
			return sk.weight("least", graph.Int64, []int64{1}, math.MinInt64), sk.weight("d", graph.Int64, []int64{1}, -1)
		}, "by -1"},
		{"by 0, which is computed", "Div", func(sk sketch) (string, string) {
			sk.node("Sub", []string{sk.weight("a", graph.Int64, []int64{1}, 3), sk.weight("b", graph.Int64, []int64{1}, 3)}, "zero")
			return "a", "zero"
		}, "by 0"},
		{"by 2", "Div", func(sk sketch) (string, string) {
			return sk.weight("a", graph.Int64, []int64{1}, 4), sk.weight("d", graph.Int64, []int64{1}, 2)
		}, ""},
	} {
		sk := newSketch(18)
		sk.input("input", graph.Float32, "n", 3, 8, 8)
		a, b := tt.build(sk)
		sk.node(tt.op, []string{a, b}, "q")
		sk.node("Cast", []string{"q"}, "f", "to", 1)
		sk.node("Mul", []string{"f", sk.weight("none", graph.Float32, nil, 0)}, "g")
		sk.node("Add", []string{"input", "g"}, "y")
		sk.output("y", graph.Float32, "n", 3, 8, 8)
		d, err := OpenBytes(sk.bytes(t), &Options{SessionOptions: SessionOptions{Provider: CPU}})
		if err == nil {
			d.Close()
		}
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrModel) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
