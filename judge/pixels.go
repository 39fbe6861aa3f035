package judge

import (
	"context"
	"image"
	goruntime "runtime"
	"slices"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"golang.org/x/sync/errgroup"
)

// truth returns the mask of a sample at a size, nil for a good image: what is there
// at the pixel with the same centre.
func truth(s *dataset.Sample, height, width int) ([]bool, error) {
	if !s.Anomalous {
		return nil, nil
	}
	m, err := s.Mask()
	if err != nil {
		return nil, err
	}
	from := m.Bounds()
	mask := make([]bool, height*width)
	for y := range height {
		for x := range width {
			at := m.GrayAt(from.Min.X+(2*x+1)*from.Dx()/(2*width), from.Min.Y+(2*y+1)*from.Dy()/(2*height))
			mask[y*width+x] = at.Y > 127
		}
	}
	return mask, nil
}

// measurable reports whether the truth of the image's pixels is known, and what
// the model says of them.
func (f *Finding) measurable() bool {
	return f.Result.Map != nil && (!f.Sample.Anomalous || f.Sample.HasMask())
}

// pixelsAt returns residuals and mask, nil for a good image, at a resolution; 0 is the image's own.
func (f *Finding) pixelsAt(resolution int) (*heatmap.Map, []bool, error) {
	size := f.Size
	if resolution > 0 {
		size = image.Pt(resolution, resolution)
	}
	mask, err := truth(f.Sample, size.Y, size.X)
	if err != nil {
		return nil, nil, err
	}
	return f.Result.Map.Resize(size.Y, size.X), mask, nil
}

// eachMap hands on residuals and mask, nil for a good image, at a resolution: of
// the good images and of those with a mask, in their order.
func eachMap(ctx context.Context, findings []*Finding, resolution int, add func(residuals []float32, mask []bool, height, width int) error) error {
	findings = slices.DeleteFunc(slices.Clone(findings), func(f *Finding) bool { return !f.measurable() })
	// As many images as there are cores are brought to size at once, and no more are held.
	for chunk := range slices.Chunk(findings, goruntime.GOMAXPROCS(0)) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		residuals, masks := make([]*heatmap.Map, len(chunk)), make([][]bool, len(chunk))
		var sizing errgroup.Group
		for i := range chunk {
			sizing.Go(func() (err error) {
				residuals[i], masks[i], err = chunk[i].pixelsAt(resolution)
				return err
			})
		}
		if err := sizing.Wait(); err != nil {
			return err
		}
		for i, m := range residuals {
			if err := add(m.Data, masks[i], m.Height, m.Width); err != nil {
				return err
			}
		}
	}
	return nil
}
