package main

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A variant is one of the models that are swapped.
type variant struct {
	height, width int
	profile       onnxexport.Profile
	input         onnxexport.InputKind
}

func (v variant) String() string {
	return fmt.Sprintf("%v, %v, %d×%d", v.profile, v.input, v.height, v.width)
}

// variants differ in size, profile and input, and in their weights. The first is
// the one that memory is compared with.
var variants = []variant{
	{128, 128, onnxexport.Detector, onnxexport.Uint8NHWC},
	{64, 64, onnxexport.Reconstruction, onnxexport.FloatNCHW},
	{256, 256, onnxexport.Detector, onnxexport.FloatNCHW},
	{64, 64, onnxexport.Detector, onnxexport.Uint8NHWC},
	{192, 96, onnxexport.Reconstruction, onnxexport.Uint8NHWC},
}

// bytes returns the model's file: a network of random weights, which gives every
// image a score of its own as a trained one does.
func (v variant) bytes(seed uint64) ([]byte, error) {
	spec := models.Spec{Height: v.height, Width: v.width, Filters: 16}
	net, err := models.Open(spec, nil)
	if err != nil {
		return nil, err
	}
	m, err := onnxexport.Build(net, net.Init(seed), &onnxexport.Options{Profile: v.profile, Input: v.input})
	if err != nil {
		return nil, err
	}
	return onnxexport.Marshal(m)
}

// writeVariants writes the models' files, and one that is none.
func writeVariants(dir string) (files []string, broken string, err error) {
	for i, v := range variants {
		b, err := v.bytes(uint64(i + 1))
		if err != nil {
			return nil, "", err
		}
		file := filepath.Join(dir, fmt.Sprintf("model%d.onnx", i))
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return nil, "", err
		}
		files = append(files, file)
		if i == 0 { // a file that was copied halfway
			broken = filepath.Join(dir, "broken.onnx")
			if err := os.WriteFile(broken, b[:len(b)/2], 0o600); err != nil {
				return nil, "", err
			}
		}
	}
	return files, broken, nil
}

// pictures are images of several sizes and types.
func pictures() []image.Image {
	var imgs []image.Image
	for i, size := range []image.Point{{64, 64}, {200, 150}, {97, 131}, {256, 256}, {50, 300}, {128, 128}} {
		bounds := image.Rectangle{Max: size}
		rgba, grey := image.NewRGBA(bounds), image.NewGray(bounds)
		for y := range size.Y {
			for x := range size.X {
				v := uint8(x*x*(i+1)/16 + 3*y)
				rgba.SetRGBA(x, y, color.RGBA{v, uint8(x * y / 8), uint8(40 * i), 255})
				grey.SetGray(x, y, color.Gray{v})
			}
		}
		if i%3 == 2 {
			imgs = append(imgs, grey)
		} else {
			imgs = append(imgs, rgba)
		}
	}
	return imgs
}
