package page

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/jpeg"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"golang.org/x/sync/errgroup"
)

// Saves say what is written of each image.
type Saves struct{ Picture, Map, Mask, Reconstruction bool }

// ParseSaves reads the LIST of --save.
func ParseSaves(list string) (Saves, error) {
	var s Saves
	known := map[string]*bool{"picture": &s.Picture, "map": &s.Map, "mask": &s.Mask, "reconstruction": &s.Reconstruction}
	for name := range strings.SplitSeq(list, ",") {
		save := known[strings.TrimSpace(name)]
		if save == nil {
			return Saves{}, fmt.Errorf("got %q, want some of picture, map, mask, reconstruction", name)
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

// Files writes the files of findings below a folder, beside its caller.
type Files struct {
	dir    string // "" writes nothing
	group  *errgroup.Group
	failed context.Context // ends when a file could not be written
	clean  map[string]bool // folders from which what killed runs left was removed

	canvases chan *image.RGBA // for pictures, of which as many are drawn at once

	// Release gives up the folder, which no other run may write to meanwhile.
	Release func()
}

// NewFiles makes the folder and takes it for this process; another's is an error.
func NewFiles(dir string) (*Files, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	s := &Files{dir: dir, clean: map[string]bool{}, canvases: make(chan *image.RGBA, goruntime.GOMAXPROCS(0)), Release: func() {}}
	for range cap(s.canvases) {
		s.canvases <- new(image.RGBA)
	}
	if dir != "" {
		release, err := atomicfile.Lock(filepath.Join(dir, "index.html"))
		if err != nil {
			return nil, err
		}
		s.Release = release
	}
	s.start()
	return s, nil
}

func (s *Files) start() {
	s.group, s.failed = errgroup.WithContext(context.Background())
	s.group.SetLimit(cap(s.canvases))
}

// Wait returns when all files are written, with the error of the first that was not.
func (s *Files) Wait() error {
	err := s.group.Wait()
	s.start()
	return err
}

// Fit reports an image whose files no file system has names for.
func (s *Files) Fit(f *judge.Finding) error {
	name := f.Sample.OutputName()
	if base := path.Base(name); s.dir != "" && len(base) > shortName {
		if _, err := os.Lstat(filepath.Join(s.dir, filepath.FromSlash(name)+reconstructionSuffix)); errors.Is(err, syscall.ENAMETOOLONG) {
			return fmt.Errorf("the name is too long for its files in %s, which end in %s", s.dir, reconstructionSuffix)
		}
	}
	return nil
}

// shortName is as long as names may be wherever there are files.
const shortName = 100

// Save begins to write the files of a finding. The error may be that of an earlier one.
func (s *Files) Save(f *judge.Finding, saves Saves) error {
	if s.dir == "" {
		return nil
	}
	name := filepath.FromSlash(f.Sample.OutputName())
	if !filepath.IsLocal(name) {
		return fmt.Errorf("image %q: its files would lie outside %s", f.Sample.Name, s.dir)
	}
	if folder := filepath.Join(s.dir, filepath.Dir(name)); !s.clean[folder] {
		s.clean[folder] = true
		atomicfile.CleanFolder(folder, pictureSuffix, mapSuffix, maskSuffix, reconstructionSuffix, ".html") // as far as that can be done
	}
	if s.failed.Err() != nil {
		return context.Cause(s.failed)
	}
	s.group.Go(func() error {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		canvas := <-s.canvases
		defer func() { s.canvases <- canvas }()
		return saves.write(path, f, canvas)
	})
	return nil
}

// write writes the files of one finding; their names begin with path. A picture is drawn
// on the canvas, or on a larger one in its place.
func (s Saves) write(path string, f *judge.Finding, canvas *image.RGBA) error {
	r := &f.Result
	for _, file := range []struct {
		wanted bool
		suffix string
		write  func(w io.Writer) error
	}{
		{s.Picture, pictureSuffix, func(w io.Writer) error {
			*canvas = *picture(f, canvas)
			return jpeg.Encode(w, canvas, 88)
		}},
		{s.Map, mapSuffix, func(w io.Writer) error {
			return npy.Write(w, []int{r.Map.Height, r.Map.Width}, r.Map.Data)
		}},
		{s.Mask, maskSuffix, func(w io.Writer) error {
			return EncodePNG(w, r.Map.Mask(*r.PixelThreshold, f.Size.Y, f.Size.X).Image())
		}},
		{s.Reconstruction, reconstructionSuffix, func(w io.Writer) error {
			return EncodePNG(w, r.Reconstruction)
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

// Tile is the longest side of a picture's tiles in pixels: four fit a screen.
const Tile = 384

// picture draws input, reconstruction, heat map and overlay side by side.
func picture(f *judge.Finding, canvas *image.RGBA) *image.RGBA {
	r := &f.Result
	return heatmap.Picture(f.Image, r.Map, &heatmap.PictureOptions{
		Reconstruction: r.Reconstruction, Threshold: r.PixelThreshold, Scale: r.Scale, Tile: Tile, Caption: caption(r), Canvas: canvas,
	})
}

// caption returns what a picture says of a result.
func caption(r *anrt.Result) string {
	if label := r.Verdict == anrt.Good || r.Verdict == anrt.Anomalous; label && r.Threshold != nil && r.Anomalous == (r.Score > *r.Threshold) {
		return heatmap.Caption(r.Score, r.Threshold)
	}
	text := fmt.Sprintf("score %.4g", r.Score)
	if r.Threshold != nil {
		text += fmt.Sprintf(", threshold %.4g", *r.Threshold)
	}
	if r.Verdict != "" {
		text += ": " + string(r.Verdict)
	}
	return text
}

// EncodePNG writes an image quickly rather than small.
func EncodePNG(w io.Writer, img image.Image) error {
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	return e.Encode(w, img)
}
