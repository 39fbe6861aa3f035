package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/runtime"
	"github.com/google/go-cmp/cmp"
)

// modelFile writes a model of random weights for square images of a size.
func modelFile(t *testing.T, size int) string {
	t.Helper()
	net, err := models.Open(models.Spec{Channels: 1, Height: size, Width: size, Filters: 4, Depth: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxexport.Build(net, net.Init(1), &onnxexport.Options{Threshold: 1e-6})
	if err != nil {
		t.Fatal(err)
	}
	b, err := onnxexport.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.onnx", size))
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func openModel(t *testing.T, path string, o *runtime.Options) *runtime.Detector {
	t.Helper()
	if o == nil {
		o = &runtime.Options{}
	}
	o.Provider = runtime.Go
	det, err := runtime.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { det.Close() })
	return det
}

// images writes n images and finds them; the one in the middle is none.
func images(t *testing.T, n int) []dataset.Sample {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%02d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		img := image.NewGray(image.Rect(0, 0, 20, 16))
		for at := range img.Pix {
			img.Pix[at] = uint8(at*(i+3)>>2 + at/20*i)
		}
		img.SetGray(3, 3, color.Gray{255})
		if i == n/2 {
			f.WriteString("no image")
		} else if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	samples, err := dataset.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

func collect(t *testing.T, det *runtime.Detector, samples []dataset.Sample, o *Options) []*Finding {
	t.Helper()
	var all []*Finding
	if err := Run(t.Context(), det, samples, o, func(f *Finding) error { all = append(all, f); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRun(t *testing.T) {
	samples := images(t, 7)
	det := openModel(t, modelFile(t, 16), &runtime.Options{Batch: 3})
	all := collect(t, det, samples, &Options{MinArea: 1})
	for i, f := range all {
		if f.Sample != &samples[i] || f.Path != samples[i].Name || (f.Err != nil) != (i == 3) {
			t.Errorf("image %d: got %s, %v", i, f.Path, f.Err)
		}
		if i == 3 {
			continue
		}
		img, err := samples[i].Image()
		if err != nil {
			t.Fatal(err)
		}
		alone, err := det.Detect(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		if f.Score != alone[0].Score || f.Verdict != runtime.Anomalous || !*f.Anomalous || len(f.Regions) == 0 || f.Image != nil || f.Size != image.Pt(20, 16) {
			t.Errorf("image %d: got %+v, want score %v", i, f, alone[0].Score)
		}
	}
	if len(all) != len(samples) {
		t.Errorf("got %d findings, want %d", len(all), len(samples))
	}

	for longest, want := range map[int]image.Point{0: {20, 16}, 10: {10, 8}, 30: {20, 16}} {
		for i, f := range collect(t, det, samples, &Options{KeepImages: true, Longest: longest}) {
			if f.Score != all[i].Score || f.Size != all[i].Size || f.Err == nil && f.Image.Bounds() != (image.Rectangle{Max: want}) {
				t.Errorf("image %d, longest %d: got score %v, size %v and an image %v, want %v, %v and %v", i, longest, f.Score, f.Size, f.Image, all[i].Score, all[i].Size, want)
			}
		}
	}

	fail := errors.New("enough")
	if err := Run(t.Context(), det, samples, nil, func(*Finding) error { return fail }); err != fail {
		t.Errorf("got %v, want the error of each", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := Run(ctx, det, samples, nil, func(*Finding) error { n++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n != 3 {
		t.Errorf("cancelled in the first batch: got %d findings and %v, want its 3", n, err)
	}
}

// A model of another size may come into use while images of the old one's are read.
func TestRunSwapped(t *testing.T) {
	samples := images(t, 9)
	small, large := modelFile(t, 16), modelFile(t, 24)
	det := openModel(t, small, &runtime.Options{Batch: 2})
	swapped := false
	var all []*Finding
	err := Run(t.Context(), det, samples, &Options{Swapped: true}, func(f *Finding) error {
		all = append(all, f)
		if !swapped {
			swapped = true
			return det.Swap(t.Context(), large)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := collect(t, openModel(t, large, nil), samples, &Options{Swapped: true})
	for i, f := range all[2:] { // those of the first batch are the old model's
		if w := want[i+2]; f.Model != w.Model || f.Score != w.Score || (f.Err == nil) != (w.Err == nil) {
			t.Errorf("image %d: got score %v of %s (%v), want %v of %s", i+2, f.Score, f.Model, f.Err, w.Score, w.Model)
		}
	}
	if all[0].Model == all[2].Model || all[0].Model != all[1].Model {
		t.Errorf("got models %s, %s, %s", all[0].Model, all[1].Model, all[2].Model)
	}
}

// The JSON form is what the command's documentation says.
func TestFindingJSON(t *testing.T) {
	threshold, yes := float32(.3), true
	for _, tt := range []struct {
		f    Finding
		want string
	}{
		{Finding{Path: "a", Score: .1}, `{"path":"a","score":0.1,"threshold":null,"anomalous":null,"regions":[]}`},
		{Finding{Path: "a", Score: .5, Threshold: &threshold, Anomalous: &yes, Verdict: runtime.Anomalous},
			`{"path":"a","score":0.5,"threshold":0.3,"anomalous":true,"regions":[]}`},
		{Finding{Path: "a", Score: .5, Threshold: &threshold, Anomalous: &yes, Verdict: runtime.Review, Model: "0123"},
			`{"path":"a","score":0.5,"threshold":0.3,"anomalous":true,"regions":[],"verdict":"review","model":"0123"}`},
		{Finding{Path: "a", Score: .5, Err: ErrScore}, `{"path":"a","error":"the score is not a finite number"}`},
	} {
		b, err := json.Marshal(&tt.f)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, string(b)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

func TestLeaveOut(t *testing.T) {
	samples := images(t, 4)
	dir := filepath.Dir(samples[0].Path)
	if rest, left := LeaveOut(samples, filepath.Join(dir, "absent")); len(rest) != 4 || left != 0 {
		t.Errorf("no folder: left out %d", left)
	}
	if rest, left := LeaveOut(samples, dir); len(rest) != 0 || left != 4 {
		t.Errorf("the folder itself: left out %d, want 4", left)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip("no links: ", err)
	}
	if _, left := LeaveOut(samples, link); left != 4 {
		t.Errorf("another name of the folder: left out %d, want 4", left)
	}
	through, err := dataset.Find(link + string(filepath.Separator))
	if err != nil {
		t.Fatal(err)
	}
	if _, left := LeaveOut(through, dir); left != 4 {
		t.Errorf("images under another name: left out %d, want 4; %s", left, strings.TrimPrefix(through[0].Path, link))
	}
}
