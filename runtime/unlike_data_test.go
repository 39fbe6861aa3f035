package runtime

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/appearance"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// Ordinary images of a product are not called unlike those trained on: no good one,
// and next to no part with a defect; an image of another product is.
func TestUnlikeOfRealImages(t *testing.T) {
	const side = 128
	load := func(samples []dataset.Sample) [][]uint8 {
		pixels, err := dataset.Load(t.Context(), samples, side, side, 3, 0)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Collect(slices.Chunk(pixels, side*side*3))
	}
	defects, called := 0, 0
	usuals, good := map[string]usual{}, map[string][][]uint8{}
	for _, name := range []string{"dobot", "hazelnut_toy/hazelnut", "tire"} {
		set, err := dataset.Open(testenv.Shared(t, "data", name), nil)
		if err != nil {
			t.Fatal(err)
		}
		var brightness, sharpness []float64
		for _, pix := range load(set.Train) {
			b, s := appearance.Measure(pix, side, side, 3)
			brightness, sharpness = append(brightness, b), append(sharpness, s)
		}
		levels := []float64{0, .05, .5, .95, 1}
		q := map[string][]float64{"levels": levels}
		for key, values := range map[string][]float64{"brightness": brightness, "sharpness": sharpness} {
			slices.Sort(values)
			for _, level := range levels {
				q[key] = append(q[key], calibrate.Quantile(values, level))
			}
		}
		b, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		size, err := set.Train[0].Size()
		if err != nil {
			t.Fatal(err)
		}
		u := readUsual(map[string]string{"anomaly.normal.quantiles": string(b), "anomaly.data.size": fmt.Sprintf("%dx%d", size.X, size.Y)})
		usuals[name] = u
		of, unlike := map[bool]int{}, map[bool]int{}
		for i, pix := range load(set.Test) {
			s := &set.Test[i]
			size, err := s.Size()
			if err != nil {
				t.Fatal(err)
			}
			of[s.Anomalous]++
			_, said := u.pixels(pix, side, side, 3)
			if said = append(said, unlikeSize(u.size, size)...); said != nil {
				unlike[s.Anomalous]++
				t.Logf("%s %s: %q", name, s.Name, said)
			}
			if !s.Anomalous {
				good[name] = append(good[name], pix)
			}
		}
		t.Logf("%s: unlike are %d of %d good images and %d of %d with a defect; brightness %.3g, sharpness %.3g", name, unlike[false], of[false], unlike[true], of[true], u.brightness, u.sharpness)
		if unlike[false] > 0 {
			t.Errorf("%s: %d of %d good images are called unlike, want none", name, unlike[false], of[false])
		}
		defects, called = defects+of[true], called+unlike[true]
	}
	if 20*called > defects {
		t.Errorf("%d of %d images with a defect are called unlike, want a twentieth at the most", called, defects)
	}
	for name, u := range usuals {
		for other, images := range good {
			n := 0
			for _, pix := range images {
				if _, said := u.pixels(pix, side, side, 3); said != nil {
					n++
				}
			}
			if want := len(images); other != name && n < want {
				t.Errorf("trained on %s: %d of %d images of %s are called unlike, want all", name, n, want, other)
			}
		}
	}
}
