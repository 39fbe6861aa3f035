package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/parallel"
	"github.com/anomaly-go/anomaly/models"
)

// setSides reads --size of train, "" for none: one number is what the network's
// Height alone means to train.Choose, WxH both sides.
func setSides(spec *models.Spec, size string) error {
	if size == "" {
		return nil
	}
	width, height, two := strings.Cut(strings.ToLower(size), "x")
	if !two {
		height = width
	}
	w, errW := strconv.Atoi(width)
	h, errH := strconv.Atoi(height)
	if errors.Join(errW, errH) != nil || min(w, h) < 1 {
		return usagef("--size: got %q, want a number of pixels, or WIDTHxHEIGHT, 1 or more", size)
	}
	if spec.Height = h; two {
		spec.Width = w
	}
	return nil
}

// mostSized is of how many images the size is looked at, evenly.
const mostSized = 1000

// usualSize returns the size of that image whose aspect is the median of all, 1x1
// if none can be read: what is wrong is said when they are.
func usualSize(ctx context.Context, samples []dataset.Sample) (width, height int) {
	n := min(len(samples), mostSized)
	sizes := make([]image.Point, n)
	err := parallel.Do(ctx, n, 0, func(i int) error {
		sizes[i], _ = samples[i*len(samples)/n].Size()
		return nil
	})
	sizes = slices.DeleteFunc(sizes, func(p image.Point) bool { return p.X < 1 || p.Y < 1 })
	if err != nil || len(sizes) == 0 {
		return 1, 1
	}
	slices.SortFunc(sizes, func(a, b image.Point) int {
		return cmp.Or(cmp.Compare(a.X*b.Y, b.X*a.Y), cmp.Compare(a.X, b.X))
	})
	usual := sizes[len(sizes)/2]
	return usual.X, usual.Y
}

// sizeFlag is how --size says the sides of a network.
func sizeFlag(spec *models.Spec) string { return fmt.Sprintf("%dx%d", spec.Width, spec.Height) }
