package main

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// comparedFile is the figure beside the page: no data of others is in it.
const comparedFile = "article-ssim.png"

// write writes the page, and beside it the figure of equal errors.
func (s *settings) write(rows []row) error {
	img, list, err := comparison()
	if err != nil {
		return err
	}
	if err := writePNG(filepath.Join(filepath.Dir(s.page), comparedFile), img); err != nil {
		return err
	}
	return atomicfile.WriteBytes(s.page, markdown(rows, list, time.Now()))
}

func markdown(rows []row, list []compared, now time.Time) []byte {
	var b bytes.Buffer
	library := ""
	if v := anrt.Diagnose(&anrt.SessionOptions{Provider: anrt.CPU}).Version; v != "" {
		library = ", ONNX Runtime " + v
	}
	fmt.Fprintf(&b, `# The article, reproduced

Written by `+"`make article`"+` (%s, %d cores%s, seed 1). The project began with an article of 2021 that finds anomalies with a deep
convolutional autoencoder in Keras: MNIST against four corruptions of MNIST-C (32×32, 50 epochs, batches of 128), and MVTec AD's bottle,
hazelnut and grid (128×128, 50 epochs, batches of 16), with a squared error and with SSIM as loss, 32 filters of 3×3 everywhere. It shows
pictures and no figures. Here are figures. The sets of hazelnut and grid are small ones (28 and 7 images to train on), trained for as many steps
as 50 epochs of the whole sets have.

`+"`make article`"+` keeps models, measurements and figures in `+"`article/`"+` and does nothing twice; when interrupted it goes on where it was.
`+"`make article ONLY=grid`"+` trains one set, `+"`QUICK=1`"+` trains for a fiftieth of the epochs, into `+"`article/quick/`"+`. Where epochs are fewer than
they should be, or a row has – alone, that run has not been made yet.

## Equal error, unequal to the eye

![a wire mesh: brighter, of more contrast, blurred, with noise](%s)

| distortion | mean squared error | SSIM |
|---|---|---|
`, now.UTC().Format(time.DateOnly), goruntime.GOMAXPROCS(0), library, comparedFile)
	for _, c := range list {
		fmt.Fprintf(&b, "| %s | %.4f | %.2f |\n", c.name, c.mse, c.ssim)
	}
	b.WriteString(`
A squared error cannot tell them apart. What an autoencoder does by itself is to blur, and a loss that sees little in it leaves it at that.

## MNIST against MNIST-C

Image AUROC of 10,000 good digits against 10,000 of each corruption; the map is 1 - SSIM, smoothed, the score its maximum. What ten epochs give is
in [first results](first-results.md).

| loss | epochs of 50 | ` + strings.Join(corruptions, " | ") + ` | all |
|---|---|` + strings.Repeat("---|", len(corruptions)) + `---|
`)
	for _, r := range rows {
		if r.set.name == "mnist" {
			fmt.Fprintf(&b, "| %s | %s |", r.loss, epochs(r))
			for _, kind := range corruptions {
				if auroc, ok := r.figures().Kinds[kind]; ok {
					fmt.Fprintf(&b, " %s |", cell(auroc))
				} else {
					b.WriteString(" – |")
				}
			}
			fmt.Fprintf(&b, " %s |\n", cell(r.figures().Image))
		}
	}
	fmt.Fprintf(&b, `
## MVTec AD

`+"`anomaly eval --resolution 256`"+`, raw scores, and the same models with `+"`anomaly export --aegrad %d`"+`, which the article wanted to show and could not get
to work ([why](aegrad.md)).

| set | loss | epochs | image AUROC | pixel AUROC | AU-PRO@.3 | with AE-Grad: image | pixel | AU-PRO@.3 |
|---|---|---|---|---|---|---|---|---|
`, descent)
	for _, r := range rows {
		if r.set.name != "mnist" {
			f, d := r.figures(), r.descent
			if d == nil {
				d = &none
			}
			fmt.Fprintf(&b, "| %s | %s | %s of %d | %s | %s | %s | %s | %s | %s |\n", r.set.name, r.loss, epochs(r), r.set.epochs,
				cell(f.Image), cell(f.Pixel), cell(f.PRO), cell(d.Image), cell(d.Pixel), cell(d.PRO))
		}
	}
	b.WriteString(`
Three of grid's 14 test images are good: image AUROC says next to nothing there, and networks of 7 images differ with the rounding of the processor. By the same
training with the squared error another one came to .848 / .848 / .532, with AE-Grad .727 / .898 / .560.

## The paper's network

SSIM as a loss comes from Bergmann et al. (VISAPP 2019), whose network is another: ` + "`--model ssimae`" + `, through a vector of 100 numbers, or of 500. It
is not measured here. For textures they train it on patches of 128×128 of images of 256×256, which an image is covered with when it is judged:

` + "```sh" + `
anomaly train --data ../shared/data/mvtec_grid_mini/grid --model ssimae --latent 500 --size 128 --tiles --tile-scale 0.25 --out grid.onnx
` + "```" + `

## Figures

` + "`article/SET.png`" + ` has the article's: for an image of each kind, and with either loss, input, reconstruction, heat map and what is marked.
They show images whose licences (CC BY-NC-SA for MVTec AD's) are not this project's, and are therefore drawn and not kept here.
In ` + "`article/grid.png`" + ` the network, which has seen whole meshes alone, continues the mesh where it is torn, if blurred: what the article found most
curious. What is marked is above the threshold that training found, which the article chose by eye: with 7 images to train on that is little.
`)
	return b.Bytes()
}

// none is what is not measured.
var none = figures{Image: math.NaN(), Pixel: math.NaN(), PRO: math.NaN()}

func (r *row) figures() *figures {
	if r.plain == nil {
		return &none
	}
	return r.plain
}

// epochs is how many epochs a network was trained for.
func epochs(r row) string {
	if r.Epochs == 0 {
		return "–"
	}
	return fmt.Sprint(r.Epochs)
}

// cell is a figure in a table.
func cell(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return strings.TrimPrefix(fmt.Sprintf("%.3f", v), "0")
}
