package commands

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
)

const (
	mostPictures = 200 // of suspects on the page
	besides      = 6   // images that follow them on the page, to compare with
)

// findSuspects ranks the training images by networks that have not seen them,
// reports those that may have a defect and, if they are to be dropped, returns
// the others.
func (c *console) findSuspects(ctx context.Context, o *trainOptions, images []dataset.Sample, data *train.Data) (*train.Data, error) {
	s := o.settings
	s.Checkpoint = o.out + suspectsSuffix
	s.Resume = s.Resume && isThere(s.Checkpoint)
	net, scouting := train.Scout(o.net, &s, len(images))
	c.notef("looking for defects among the %d images, with networks that were not trained on them", len(images))
	small := &train.Data{Names: data.Names, Hash: data.Hash}
	channels, height, width := net.InputSize()
	var err error
	if small.Pixels, err = dataset.Load(ctx, images, height, width, channels, 0); err != nil {
		return nil, err
	}
	fitted, err := train.CrossFit(ctx, net, small, scouting)
	c.clear()
	if err != nil {
		return nil, err
	}
	suspect := make([]bool, len(images))
	var ranked []page.Suspect
	n := 0
	for _, r := range fitted.Ranked() {
		suspect[r.Image] = r.Z > train.SuspectZ
		ranked = append(ranked, page.Suspect{Name: images[r.Image].Name, Score: r.Score, Z: r.Z, Suspect: suspect[r.Image]})
		if suspect[r.Image] {
			n++
			if _, err := fmt.Fprintf(c.out, "suspect  %s  %s\n", printable(images[r.Image].Name), r); err != nil {
				return nil, err
			}
		}
	}
	c.notef("suspected of a defect: %d of %s", n, plural(len(images), "image"))
	if o.suspects != "" {
		if err := writeSuspects(ctx, o.suspects, images, small, fitted, ranked); err != nil {
			return nil, err
		}
	}
	if !o.drop || n == 0 {
		return data, nil
	}
	c.notef("training on the other %d", len(images)-n)
	size := len(data.Pixels) / len(images)
	var kept []dataset.Sample
	rest := &train.Data{}
	for i := range images {
		if !suspect[i] {
			kept = append(kept, images[i])
			rest.Names = append(rest.Names, data.Names[i])
			rest.Pixels = append(rest.Pixels, data.Pixels[i*size:(i+1)*size]...)
		}
	}
	rest.Hash, err = dataset.Fingerprint(kept)
	return rest, err
}

// writeSuspects writes suspects.json, all images by rank, and index.html with
// pictures of the first.
func writeSuspects(ctx context.Context, dir string, images []dataset.Sample, data *train.Data, fitted *train.CrossFitted, ranked []page.Suspect) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(ranked, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, "suspects.json"), append(b, '\n')); err != nil {
		return err
	}
	suspects := 0
	for _, r := range ranked {
		if r.Suspect {
			suspects++
		}
	}
	shown := min(min(suspects, mostPictures)+besides, len(ranked))
	pictures := make([]template.URL, len(images))
	order := fitted.Ranked()[:shown]
	for fold := range fitted.Weights {
		if err := drawSuspects(ctx, images, data, fitted, fold, order, pictures); err != nil {
			return err
		}
	}
	for i, r := range order {
		ranked[i].Picture = pictures[r.Image]
	}
	return page.WriteSuspects(filepath.Join(dir, "index.html"), train.SuspectZ, ranked, shown)
}

// drawSuspects fills in the pictures, by image, of those in order that belong to
// a fold: as the fold's network, which has not seen them, finds them.
func drawSuspects(ctx context.Context, images []dataset.Sample, data *train.Data, fitted *train.CrossFitted, fold int, order []train.Suspect, pictures []template.URL) error {
	model, err := onnxexport.Build(fitted.Network, fitted.Weights[fold], &onnxexport.Options{Map: *fitted.Settings.Map})
	if err != nil {
		return err
	}
	b, err := onnxexport.Marshal(model)
	if err != nil {
		return err
	}
	det, err := anrt.OpenBytes(b, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: fitted.Settings.Provider, ProviderOptions: fitted.Settings.ProviderOptions}, Reconstruction: true})
	if err != nil {
		return err
	}
	defer det.Close()
	channels, height, width := fitted.Network.InputSize()
	size := channels * height * width
	for _, s := range order {
		if fitted.Fold[s.Image] != fold {
			continue
		}
		results, err := det.DetectPixels(ctx, data.Pixels[s.Image*size:(s.Image+1)*size], 1)
		if err != nil {
			return err
		}
		img, err := images[s.Image].Image()
		if err != nil {
			return err
		}
		picture := heatmap.Picture(img, results[0].Map, &heatmap.PictureOptions{Reconstruction: results[0].Reconstruction, Scale: results[0].Scale, Tile: page.Tile})
		if pictures[s.Image], err = page.Embed(picture); err != nil {
			return err
		}
	}
	return nil
}
