package commands

import (
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/npy"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// saves say what is written of each image.
type saves struct{ Picture, Map, Mask, Reconstruction bool }

// parseSaves reads the LIST of --save.
func parseSaves(list string) (saves, error) {
	var s saves
	known := map[string]*bool{"picture": &s.Picture, "map": &s.Map, "mask": &s.Mask, "reconstruction": &s.Reconstruction}
	for name := range strings.SplitSeq(list, ",") {
		save := known[strings.TrimSpace(name)]
		if save == nil {
			return saves{}, usagef("--save: got %q, want some of picture, map, mask, reconstruction", name)
		}
		*save = true
	}
	return s, nil
}

// What the files of an image end in, behind the image's own name.
const (
	pictureSuffix        = ".picture.jpg"
	mapSuffix            = ".map.npy"
	maskSuffix           = ".mask.png"
	reconstructionSuffix = ".reconstruction.png"
)

// A saver writes the files of outcomes below a folder, beside its caller.
type saver struct {
	dir string // "" writes nothing
	*workers
}

// newSaver makes the folder.
func newSaver(dir string) (*saver, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return &saver{dir, newWorkers()}, nil
}

// save begins to write the files of an outcome, with a threshold for pixels or nil.
// The error may be that of an earlier one.
func (s *saver) save(o *outcome, saves saves, threshold *float32) error {
	if s.dir == "" {
		return nil
	}
	name := filepath.FromSlash(o.sample.OutputName())
	if !filepath.IsLocal(name) {
		return fmt.Errorf("image %q: its files would lie outside %s", o.sample.Name, s.dir)
	}
	return s.do(func() error {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return saves.write(path, o, threshold)
	})
}

// write writes the files of one outcome; their names begin with path.
func (s saves) write(path string, o *outcome, threshold *float32) error {
	r := &o.result
	for _, file := range []struct {
		wanted bool
		suffix string
		write  func(w io.Writer) error
	}{
		{s.Picture, pictureSuffix, func(w io.Writer) error {
			return jpeg.Encode(w, picture(o, threshold), &jpeg.Options{Quality: 88})
		}},
		{s.Map, mapSuffix, func(w io.Writer) error {
			return npy.Write(w, []int{r.Map.Height, r.Map.Width}, r.Map.Data)
		}},
		{s.Mask, maskSuffix, func(w io.Writer) error {
			return encodePNG(w, r.Map.Mask(*threshold, o.size.Y, o.size.X).Image())
		}},
		{s.Reconstruction, reconstructionSuffix, func(w io.Writer) error {
			return encodePNG(w, r.Reconstruction)
		}},
	} {
		if file.wanted {
			if err := atomicfile.Write(path+file.suffix, file.write); err != nil {
				return err
			}
		}
	}
	return nil
}

// pictureTile is the longest side of a picture's tiles in pixels: four fit a screen.
const pictureTile = 384

// picture draws input, reconstruction, heat map and overlay side by side.
func picture(o *outcome, threshold *float32) image.Image {
	r := &o.result
	return heatmap.Picture(o.image, r.Map, &heatmap.PictureOptions{
		Reconstruction: r.Reconstruction, Threshold: threshold, Tile: pictureTile, Caption: caption(r),
	})
}

// caption returns what a picture says of a result.
func caption(r *anrt.Result) string {
	text := fmt.Sprintf("score %.4g", r.Score)
	verdict := string(r.Verdict)
	switch {
	case verdict != "" || !r.Judged:
	case r.Threshold == nil || r.Anomalous != (r.Score > *r.Threshold):
		verdict = finding{Anomalous: &r.Anomalous}.Verdict()
	default:
		return heatmap.Verdict(r.Score, r.Threshold)
	}
	if r.Threshold != nil {
		text += fmt.Sprintf(", threshold %.4g", *r.Threshold)
	}
	if verdict != "" {
		text += ": " + verdict
	}
	return text
}

// encodePNG writes an image quickly rather than small.
func encodePNG(w io.Writer, img image.Image) error {
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	return e.Encode(w, img)
}
