package main

import (
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mseTolerance is what rounding to 8 bit leaves of an error that is bisected, relative.
const mseTolerance = .02

// All distortions have one squared error, and are the less similar the more an eye sees of them.
func TestComparison(t *testing.T) {
	img, list, err := comparison()
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() < 5*side || b.Dy() < side {
		t.Errorf("got a figure of %v", b)
	}
	if len(list) != len(distortions) {
		t.Fatalf("got %d distortions, want %d", len(list), len(distortions))
	}
	for i, c := range list {
		if math.Abs(c.mse-list[0].mse) > mseTolerance*list[0].mse {
			t.Errorf("%s: got a squared error of %v, %s has %v", c.name, c.mse, list[0].name, list[0].mse)
		}
		if i > 0 && c.ssim >= list[i-1].ssim {
			t.Errorf("%s: got SSIM %v, want less than the %v of %s", c.name, c.ssim, list[i-1].ssim, list[i-1].name)
		}
	}
}

// Training goes on where there is something to go on from, and else begins.
func TestTrainResumes(t *testing.T) {
	out := filepath.Join(t.TempDir(), "m.onnx")
	for _, begun := range []bool{false, true} {
		if begun {
			if err := os.WriteFile(out+".ckpt", nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got := slices.Contains(sets[0].train("data", "mse", 5, out), "--resume"); got != begun {
			t.Errorf("with a checkpoint %v: got --resume %v", begun, got)
		}
	}
}

func TestReadFigures(t *testing.T) {
	f, err := readFigures([]byte("{\"path\":\"a.png\"}\n" + `{"image":{"auroc":0.75},"pixel":{"auroc":0.5,"aupro30":0.25},"kinds":{"zigzag":{"image":{"auroc":1}}}}` + "\n"))
	if err != nil || f.Image != .75 || f.Pixel != .5 || f.PRO != .25 || f.Kinds["zigzag"] != 1 {
		t.Errorf("got %+v, %v", f, err)
	}
	for _, bad := range []string{"", "{}", "x"} {
		if f, err := readFigures([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, f)
		}
	}
}

// What was not run is marked, what was has its figures and epochs.
func TestMarkdown(t *testing.T) {
	var rows []row
	for i := range sets {
		rows = append(rows, row{set: &sets[i], loss: "mse"})
	}
	rows[0].Epochs, rows[0].plain = 5, &figures{Image: .875, Kinds: map[string]float64{"zigzag": 1}}
	rows[1].Epochs, rows[1].plain, rows[1].descent = 50, &figures{Image: .5, Pixel: .25, PRO: .125}, &none
	page := string(markdown(rows, []compared{{"noise", .004, .5}}, time.Unix(0, 0)))
	for _, want := range []string{
		"1970-01-01", "| noise | 0.0040 | 0.50 |",
		"| mse | 5 | – | – | – | 1.000 | .875 |",
		"| bottle | mse | 50 of 50 | .500 | .250 | .125 | – | – | – |",
		"| grid | mse | – of 850 | – | – | – | – | – | – |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("got no %q in\n%s", want, page)
		}
	}
}

func TestMontage(t *testing.T) {
	a, b := image.NewGray(image.Rect(0, 0, 10, 20)), image.NewGray(image.Rect(5, 5, 35, 10))
	m := montage([][]image.Image{{a, b}, {b}})
	if got, want := m.Bounds(), image.Rect(0, 0, 10+gap+30, 20+gap+5); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if r, _, _, _ := m.At(10+gap/2, 1).RGBA(); r != 0xffff {
		t.Error("between pictures it is not white")
	}
	if r, _, _, _ := m.At(10+gap, 0).RGBA(); r != 0 {
		t.Error("the second picture is not where it belongs")
	}
}

func TestSettings(t *testing.T) {
	for _, s := range []settings{{share: 0}, {share: 2}, {share: math.NaN()}, {share: 1, only: "cable"}} {
		if err := run(t.Context(), &s); err == nil {
			t.Errorf("%+v: got no error", s)
		}
	}
}
