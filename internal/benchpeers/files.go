package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/parallel"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// madeSide is the side of images that are made up, in pixels: that of MVTec AD's bottles.
const madeSide = 900

// find sets the images that are scored and the good ones, which networks are fitted to.
func (b *bench) find() error {
	var err error
	if b.files, err = images(b.data, "test", b.images); err == nil {
		b.good, err = images(b.data, "train", fitImages)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.madeUp = true
	dir := filepath.Join(b.dir, "images")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	b.files = make([]string, b.images)
	err = parallel.Do(context.Background(), b.images, 0, func(i int) error {
		img := image.NewRGBA(image.Rect(0, 0, madeSide, madeSide))
		for at, pix := 0, picture(i, madeSide, madeSide); at < len(img.Pix); at += 4 {
			copy(img.Pix[at:], pix[at/4*3:][:3])
			img.Pix[at+3] = 255
		}
		var file bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&file, img); err != nil {
			return err
		}
		b.files[i] = filepath.Join(dir, fmt.Sprintf("%03d.png", i))
		return writeFile(b.files[i], file.Bytes())
	})
	b.good = b.files[:min(fitImages, len(b.files))]
	return err
}

// images lists so many images of a part of a set, the same number of each of its folders as far as there are.
func images(data, part string, n int) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(data, part, "*", "*.png"))
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("no images in %s: %w", filepath.Join(data, part), fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	n = min(n, len(paths))
	var out []string
	for i := range n {
		path, err := filepath.Abs(paths[i*len(paths)/n])
		if err != nil {
			return nil, err
		}
		out = append(out, path)
	}
	return out, nil
}

func writeFile(path string, content []byte) error { return os.WriteFile(path, content, 0o600) }

// ourScores is a side of ours: files to scores, as the command run does it. What it
// finds goes to scores.
func (b *bench) ourScores(ctx context.Context, f *file) (*task, []float64, anrt.Provider, error) {
	samples, err := dataset.Find(b.files...)
	if err != nil {
		return nil, nil, "", err
	}
	det, err := anrt.OpenBytes(f.bytes, nil)
	if err != nil {
		return nil, nil, "", err
	}
	var scores []float64
	t := &task{free: det.Close}
	t.do = func(ctx context.Context) error {
		scores = scores[:0]
		return judge.Run(ctx, det, samples, nil, func(f *judge.Finding) error {
			scores = append(scores, float64(f.Score))
			return f.Err
		})
	}
	if err := t.do(ctx); err != nil {
		det.Close()
		return nil, nil, "", err
	}
	return t, slices.Clone(scores), det.Info().Provider, nil
}

// filesBeside is the row of files to scores beside a kind of peer.
func filesBeside(kind string) func(ctx context.Context, b *bench) (*pair, error) {
	return func(ctx context.Context, b *bench) (*pair, error) {
		f, err := b.dcae(ctx)
		if err != nil {
			return nil, err
		}
		peer, want, err := b.peer.prepare(kind, map[string]any{"model": f.path, "paths": b.files, "size": f.height})
		if err != nil {
			return nil, err
		}
		ours, got, provider, err := b.ourScores(ctx, f)
		if err != nil {
			return nil, err
		}
		return &pair{ours: ours, peer: peer, provider: provider, units: len(b.files), difference: apart(got, want)}, nil
	}
}

// picturesBeside is the row of files to pictures and a report: of ours the whole
// command, its start included.
func picturesBeside(ctx context.Context, b *bench) (*pair, error) {
	f, err := b.dcae(ctx)
	if err != nil {
		return nil, err
	}
	ours, scores, provider, err := b.ourScores(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := ours.close(); err != nil {
		return nil, err
	}
	threshold := slices.Sorted(slices.Values(scores))[len(scores)/2] // half of them have something to show
	theirs, dir := filepath.Join(b.dir, "theirs"), filepath.Join(b.dir, "ours")
	if err := os.MkdirAll(theirs, 0o755); err != nil {
		return nil, err
	}
	peer, want, err := b.peer.prepare("pictures", map[string]any{
		"model": f.path, "paths": b.files, "size": f.height, "threshold": threshold, "top": 2 * threshold, "out": theirs,
	})
	if err != nil {
		return nil, err
	}
	arguments := append([]string{"--out", dir, "--threshold", fmt.Sprint(threshold)}, f.path)
	var got []float64
	ours = &task{do: func(ctx context.Context) error {
		got, _, err = b.anomaly(ctx, append(arguments, b.files...)...)
		return err
	}}
	if err := ours.do(ctx); err != nil {
		return nil, err
	}
	made, err := filepath.Glob(filepath.Join(dir, "*.picture.jpg"))
	if err != nil {
		return nil, err
	}
	deeper, err := filepath.Glob(filepath.Join(dir, "*", "*.picture.jpg"))
	if err != nil {
		return nil, err
	}
	made = append(made, deeper...)
	if len(made) != len(b.files) {
		return nil, fmt.Errorf("pictures: got %d, want %d", len(made), len(b.files))
	}
	beside, err := filepath.Glob(filepath.Join(theirs, "*.jpg"))
	if err != nil {
		return nil, err
	}
	if got, want := pictureSize(made), pictureSize(beside); got != want { // of images of one size
		return nil, fmt.Errorf("pictures: ours have %v pixels, the peer's %v", got, want)
	}
	return &pair{ours: ours, peer: peer, provider: provider, units: len(b.files), difference: apart(got, want)}, nil
}

// pictureSize is the size of the first of JPEG files; nothing of what is none.
func pictureSize(paths []string) image.Point {
	if len(paths) == 0 {
		return image.Point{}
	}
	f, err := os.Open(paths[0])
	if err != nil {
		return image.Point{}
	}
	defer f.Close()
	c, err := jpeg.DecodeConfig(f)
	if err != nil {
		return image.Point{}
	}
	return image.Pt(c.Width, c.Height)
}

// anomaly runs the command run with arguments and returns the scores it prints and
// the most memory that it took, in MB; 0 where the system does not say.
func (b *bench) anomaly(ctx context.Context, arguments ...string) ([]float64, float64, error) {
	cmd := exec.CommandContext(ctx, b.binary, append([]string{"run", "--json"}, arguments...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	most := watchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	memory := most()
	if err != nil {
		return nil, 0, fmt.Errorf("anomaly run: %w: %s", err, strings.TrimSpace(said.String()))
	}
	var scores []float64
	for lines := json.NewDecoder(&out); ; {
		var f struct{ Score float64 }
		err := lines.Decode(&f)
		if err == io.EOF {
			return scores, memory, nil
		}
		if err != nil {
			return nil, 0, err
		}
		scores = append(scores, f.Score)
	}
}

// decodeBeside is the row of files to pixels.
func decodeBeside(ctx context.Context, b *bench) (*pair, error) {
	samples, err := dataset.Find(b.files...)
	if err != nil {
		return nil, err
	}
	peer, want, err := b.peer.prepare("decode", map[string]any{"paths": b.files})
	if err != nil {
		return nil, err
	}
	got := make([]float64, len(samples))
	decode := func(each func(i int, img image.Image)) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return parallel.Do(ctx, len(samples), 0, func(i int) error {
				img, err := samples[i].Image()
				if err == nil && each != nil {
					each(i, img)
				}
				return err
			})
		}
	}
	if err := decode(func(i int, img image.Image) { got[i] = sum(img) })(ctx); err != nil {
		return nil, err
	}
	return &pair{ours: &task{do: decode(nil)}, peer: peer, units: len(b.files), difference: apart(got, want)}, nil
}

// sum of the three channels of all pixels; NaN of an image of another kind than
// package dataset gives.
func sum(img image.Image) float64 {
	s := 0
	switch img := img.(type) {
	case *image.RGBA:
		for i := 0; i < len(img.Pix); i += 4 {
			s += int(img.Pix[i]) + int(img.Pix[i+1]) + int(img.Pix[i+2])
		}
	case *image.Gray:
		for _, v := range img.Pix {
			s += 3 * int(v)
		}
	default:
		return math.NaN()
	}
	return float64(s)
}
