package train

import (
	"context"
	"fmt"
	"image"
	"math/rand/v2"
	goruntime "runtime"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/foreground"
	"github.com/anomaly-go/anomaly/internal/parallel"
	"github.com/anomaly-go/anomaly/internal/tile"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

const (
	// mostTiles bounds the time of training by gradient descent, and mostFittedTiles
	// the memory of features: at 256×256 pixels they are 0.7 MB of a tile.
	mostTiles       = 1000
	mostFittedTiles = 600
	// mostTileBytes bounds their pixels.
	mostTileBytes = 512 << 20
	// tileDraws is how many places are tried for a tile of which half is to lie in the region.
	tileDraws = 100
)

// CutTiles returns data to train on: tiles of the network's size of n images, as
// settings.View has them, at random places, as many of each image as it takes to cover
// it twice or as memory and time allow, one at least. Where there is a region of interest
// most of a tile lies in it. Equal seeds give equal tiles. image returns image i, from any
// goroutine; it is kept, and called again for those that are held back.
func CutTiles(ctx context.Context, net models.Network, n int, image func(i int) (image.Image, error), settings *Settings) (*Data, error) {
	s := settings.withDefaults(net)
	channels, height, width := net.InputSize()
	view, err := s.View.For(height, width)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if view.Tiles == nil || n < 2 {
		return nil, fmt.Errorf("%w: tiles: got a view of %v and %d images, want tiles and two or more", ErrSettings, view, n)
	}
	size := channels * height * width
	budget := mostTiles
	if _, fitted := net.(models.Fitter); fitted {
		budget = mostFittedTiles
	}
	budget = max(min(budget, mostTileBytes/size)/n, 1)
	tiles := make([][]uint8, n)
	err = parallel.Do(ctx, n, goruntime.GOMAXPROCS(0), func(i int) error {
		img, err := image(i)
		if err != nil {
			return err
		}
		tiles[i], err = cutImage(img, &view, budget, channels, height, width, s.Seed, i)
		return err
	})
	if err != nil {
		return nil, err
	}
	d := &Data{Image: image}
	for i, pixels := range tiles {
		d.Pixels = append(d.Pixels, pixels...)
		d.Of = append(d.Of, slices.Repeat([]int{i}, len(pixels)/size)...)
		tiles[i] = nil
	}
	return d, nil
}

// cutImage returns up to budget tiles of image i.
func cutImage(img image.Image, view *anrt.View, budget, channels, height, width int, seed uint64, i int) ([]uint8, error) {
	if err := view.Fits(img.Bounds().Size()); err != nil {
		return nil, fmt.Errorf("%w: image %d: %w", ErrSettings, i, err)
	}
	c, err := tile.NewCanvas(img, view.Tiles.Scale, height, width, channels)
	if err != nil {
		return nil, fmt.Errorf("%w: image %d: %w", ErrSettings, i, err)
	}
	down, across := tile.NewAxis(c.Height, height, 0), tile.NewAxis(c.Width, width, 0)
	n := min(budget, 2*len(down.At)*len(across.At))
	rng := rand.New(rand.NewPCG(seed, tileStream<<32|uint64(i)))
	size := channels * height * width
	pixels := make([]uint8, n*size)
	for k := range n {
		y, x, most := 0, 0, -1.
		for range tileDraws {
			ty, tx := rng.IntN(max(c.Height-height, 0)+1), rng.IntN(max(c.Width-width, 0)+1)
			share := view.Share(image.Rect(tx, ty, tx+width, ty+height), c.Height, c.Width)
			if share > most {
				y, x, most = ty, tx, share
			}
			if share >= .5 {
				break
			}
		}
		if err := c.Cut(pixels[k*size:][:size], y, x, height, width); err != nil {
			return nil, fmt.Errorf("%w: image %d: %w", ErrSettings, i, err)
		}
	}
	return pixels, nil
}

// scorePseudoTiles is scorePseudo of images that are cut into tiles, whose scores good
// has: a defect is put on a tile, which is judged alone, without the edge that its
// neighbours would be taken for; the image's score is the higher one of that and its own.
func (t *trainer) scorePseudoTiles(ctx context.Context, weights map[string]*graph.Tensor, stage int, good []float64) ([]float64, error) {
	made, err := t.makePseudo(stage)
	if err != nil || len(made) == 0 {
		return nil, err
	}
	view, err := t.settings.View.For(t.height, t.width)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	det, err := t.detector(weights, t.settings.Map, anrt.View{})
	if err != nil {
		return nil, err
	}
	defer det.Close()
	of := map[int]float64{} // by image
	for i, image := range t.stages[stage].held {
		of[image] = good[i]
	}
	edge := view.Tiles.Overlap / 4
	scores := make([]float64, 0, len(made))
	for _, p := range made {
		r, err := det.DetectPixels(ctx, p.pixels, 1)
		if err != nil {
			return nil, err
		}
		m, score := r[0].Map, of[t.data.Of[p.row]]
		for y := edge; y < m.Height-edge; y++ {
			score = max(score, float64(slices.Max(m.Data[y*m.Width+edge:][:m.Width-2*edge])))
		}
		scores = append(scores, score)
	}
	return scores, nil
}

// region returns the region of interest [H·W] at the network's size; nil where there
// is none, or images are cut into tiles, which choose their places by it.
func (t *trainer) region() ([]bool, error) {
	v := &t.settings.View
	if v.Region == nil || len(v.Region.Data) == 0 || t.first != nil {
		return nil, nil
	}
	region := make([]bool, t.height*t.width)
	for p := range region {
		x, y := p%t.width, p/t.width
		region[p] = v.Share(image.Rect(x, y, x+1, y+1), t.height, t.width) > 0
	}
	if !slices.Contains(region, true) {
		return nil, fmt.Errorf("%w: region of interest: got none at %dx%d pixels, want a larger one", ErrSettings, t.width, t.height)
	}
	return region, nil
}

// setImages settles which image each row of the data is of.
func (t *trainer) setImages() error {
	of := t.data.Of
	if t.images = t.n; of == nil {
		return nil
	}
	bad := func(want string) error {
		return fmt.Errorf("%w: tiles: got %d, of images %v…, want %s", ErrSettings, t.n, of[:min(len(of), 5)], want)
	}
	if len(of) != t.n || t.n == 0 || of[0] != 0 || t.data.Image == nil || t.settings.View.Tiles == nil {
		return bad("one image of each, from 0 on, the images and a view with tiles")
	}
	for i := range of {
		if i == 0 || of[i] == of[i-1]+1 {
			t.first = append(t.first, i)
		} else if of[i] != of[i-1] {
			return bad("images in ascending order, each with a tile")
		}
	}
	t.images = len(t.first)
	return nil
}

// rows returns the rows of the data that are of some images, in their order.
func (t *trainer) rows(images []int) []int {
	if t.first == nil {
		return images
	}
	var rows []int
	for _, i := range images {
		end := t.n
		if i+1 < t.images {
			end = t.first[i+1]
		}
		for row := t.first[i]; row < end; row++ {
			rows = append(rows, row)
		}
	}
	return rows
}

// withRows fills in the rows of stages that have images.
func (t *trainer) withRows(stages []stage) []stage {
	for i := range stages {
		s := &stages[i]
		s.held = s.heldBack
		s.train, s.heldBack = t.rows(s.train), t.rows(s.heldBack)
	}
	return stages
}

// scoreWhole returns the scores of whole images that are cut into tiles.
func (t *trainer) scoreWhole(ctx context.Context, det *anrt.Detector, images []int) ([]float64, error) {
	scores := make([]float64, 0, len(images))
	for _, i := range images {
		img, err := t.data.Image(i)
		if err != nil {
			return nil, err
		}
		r, err := det.Detect(ctx, img)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.imageName(t.rows([]int{i})[0]), err)
		}
		scores = append(scores, float64(r[0].Score))
		t.scored++
		if r[0].Part != nil {
			t.parts++
		}
	}
	return scores, nil
}

// countParts finds out in how many images a part stands out, where it alone is looked at.
// Those of tiles are counted when whole ones are scored.
func (t *trainer) countParts() {
	if f := t.settings.View.Foreground; f == nil || !*f || t.first != nil {
		return
	}
	found := make([]bool, t.n)
	parallel.Each(t.n, func(i int) {
		part, _ := foreground.Part(t.data.Pixels[i*t.size:][:t.size], t.height, t.width, t.channels)
		found[i] = part != nil
	})
	for _, is := range found {
		t.scored++
		if is {
			t.parts++
		}
	}
}

// logParts says in how many images a part stood out.
func (t *trainer) logParts() {
	if f := t.settings.View.Foreground; f != nil && *f {
		t.settings.Logf("a part stands out from the background in %d of %d images; of others the whole image is looked at", t.parts, t.scored)
	}
}
