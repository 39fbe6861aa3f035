package dataset

import (
	"encoding/json"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"

	"github.com/anomaly-go/anomaly/internal/imageio"
)

// A truth is an image's ground truth.
type truth struct {
	paths   []string           // of the masks, whose union it is
	defects map[uint16]*defect // of MVTec LOCO AD, by the level that they have in masks
}

// HasMask reports whether the image has ground truth. A good image has none.
func (s *Sample) HasMask() bool { return s.truth != nil }

// Mask decodes the ground truth, 255 where the image is defective and 0 elsewhere,
// of the image's own size: a mask of another is stretched to it.
//
// Defective are the pixels above the level that separates the mask's own levels:
// the middle for masks that were smoothed or packed by JPEG, the smallest for
// masks that number kinds of defects, whatever the levels are. Masks that are
// black or white all over, or of another size, go to Decoding.Notes.
//
// The error wraps ErrMask where there is none, and what reading says.
func (s *Sample) Mask() (*image.Gray, error) {
	if !s.HasMask() {
		return nil, fmt.Errorf("dataset: mask of %q: there is none: %w", s.Name, ErrMask)
	}
	mask, err := s.readMask()
	if err != nil {
		return nil, fmt.Errorf("dataset: mask of %q: %w", s.Name, err)
	}
	return mask, nil
}

func (s *Sample) readMask() (*image.Gray, error) {
	size, err := s.size()
	if err != nil {
		return nil, err
	}
	union := image.NewGray(image.Rectangle{Max: size})
	for _, path := range s.truth.paths {
		mask, err := s.decodeMask(path, size)
		if err != nil {
			return nil, err
		}
		for i, v := range mask.Pixels.Pix {
			union.Pix[i] |= v
		}
	}
	return union, nil
}

// decodeMask reads a mask and brings it to the image's size.
func (s *Sample) decodeMask(path string, size image.Point) (*imageio.Mask, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	opts, err := s.Decoding.options(0)
	if err != nil {
		return nil, err
	}
	mask, err := imageio.DecodeMask(f, opts)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	notes := s.Decoding.notes()
	switch {
	case mask.Empty:
		notes.Add(s.Name, "the mask is black: no pixel is marked")
	case mask.Full && s.truth.defects == nil:
		notes.Add(s.Name, "the mask has one level only: all pixels are marked")
	}
	if got := mask.Pixels.Rect.Size(); got != size {
		notes.Add(s.Name, "the mask has another size than the image and is stretched to it")
		mask.Pixels = stretch(mask.Pixels, size)
	}
	return mask, nil
}

// stretch takes the pixel at the same centre.
func stretch(mask *image.Gray, size image.Point) *image.Gray {
	from := mask.Rect.Size()
	dst := image.NewGray(image.Rectangle{Max: size})
	for y := range size.Y {
		row := mask.Pix[(2*y+1)*from.Y/(2*size.Y)*mask.Stride:]
		for x := range size.X {
			dst.Pix[y*dst.Stride+x] = row[(2*x+1)*from.X/(2*size.X)]
		}
	}
	return dst
}

// A Defect is one of the defects that ground truth tells apart.
type Defect struct {
	Name string      // "" where the set has no names for them
	Mask *image.Gray // 255 where it is, of the image's size
	// Saturation is how many of its pixels have to be found for it to count as found
	// whole (MVTec LOCO AD, section 4.3): all of them where the set says nothing.
	Saturation int
}

// A defect is an entry of MVTec LOCO AD's defects_config.json.
type defect struct {
	Name      string  `json:"defect_name"`
	Level     uint16  `json:"pixel_value"`
	Threshold float64 `json:"saturation_threshold"` // pixels, or a share of the defect's
	Relative  bool    `json:"relative_saturation"`
}

// readDefects reads a defects_config.json.
func readDefects(root string) (map[uint16]*defect, error) {
	path := filepath.Join(root, "defects_config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	var list []*defect
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("dataset: %q: %w", path, err)
	}
	defects := make(map[uint16]*defect, len(list))
	for _, d := range list {
		if d == nil || d.Level == 0 || !(d.Threshold > 0) || d.Relative && d.Threshold > 1 {
			return nil, fmt.Errorf("dataset: %q: got %+v, want a level and a saturation above 0, relative ones up to 1", path, d)
		}
		defects[d.Level] = d
	}
	return defects, nil
}

// saturation returns how many of area pixels are enough.
func (d *defect) saturation(area int) int {
	if d.Relative {
		return int(d.Threshold * float64(area))
	}
	return int(min(d.Threshold, float64(area)))
}

// Defects decodes the ground truth defect by defect: one for each mask of a set in
// layout loco, else one for the whole mask. Errors are those of Mask.
func (s *Sample) Defects() ([]Defect, error) {
	if s.truth == nil || s.truth.defects == nil {
		mask, err := s.Mask()
		if err != nil {
			return nil, err
		}
		return []Defect{{Mask: mask, Saturation: area(mask)}}, nil
	}
	size, err := s.size()
	if err != nil {
		return nil, fmt.Errorf("dataset: mask of %q: %w", s.Name, err)
	}
	var out []Defect
	for _, path := range s.truth.paths {
		mask, err := s.decodeMask(path, size)
		if err != nil {
			return nil, fmt.Errorf("dataset: mask of %q: %w", s.Name, err)
		}
		config, ok := s.truth.defects[mask.High]
		if !ok {
			return nil, fmt.Errorf("dataset: mask of %q: %q: level %d is not in defects_config.json: %w", s.Name, path, mask.High, ErrMask)
		}
		out = append(out, Defect{Name: config.Name, Mask: mask.Pixels, Saturation: config.saturation(area(mask.Pixels))})
	}
	return out, nil
}

func area(mask *image.Gray) (n int) {
	for _, v := range mask.Pix {
		n += int(v / 255)
	}
	return n
}

// findMasks gives the images of a kind, which lie in test, their ground truth: the
// mask at the same place in the folder of masks, with any image extension, named as
// the image or, which goes before it, with "_mask" behind. Masks that belong to no
// image are noted.
func (r *reader) findMasks(folder, test string, samples []Sample) error {
	if len(samples) == 0 {
		return nil
	}
	paths, err := walk(folder, map[string]bool{}, nil)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	masks := make(map[string]string, len(paths))
	for _, path := range paths {
		masks[stem(relative(folder, path))] = path
	}
	used := map[string]bool{}
	for i := range samples {
		s := &samples[i]
		name := stem(relative(test, s.Path))
		for _, name := range []string{name + "_mask", name} {
			if mask, ok := masks[name]; ok {
				s.truth = &truth{paths: []string{mask}}
				used[mask] = true
				break
			}
		}
	}
	for _, path := range paths {
		if !used[path] {
			r.notes.Add(relative(r.root, path), "masks that belong to no image")
		}
	}
	return nil
}

// missing notes the anomalous images without ground truth, unless none has any.
func (r *reader) missing() {
	if !slices.ContainsFunc(r.set.Test, func(s Sample) bool { return s.HasMask() }) {
		return
	}
	for _, s := range r.set.Test {
		if s.Anomalous && !s.HasMask() {
			r.notes.Add(s.Name, "anomalous images without a mask: their pixels are not measured")
		}
	}
}
