package heatmap_test

import (
	"fmt"
	"image"

	"github.com/anomaly-go/anomaly/heatmap"
)

func ExampleRegions() {
	m := &heatmap.Map{
		Data: []float32{
			.1, .1, .1, .1,
			.1, .9, .1, .1,
			.1, .1, .8, .1,
			.6, .1, .1, .1,
		},
		Height: 4, Width: 4,
	}
	for _, r := range heatmap.Regions(m, &heatmap.RegionOptions{Threshold: .5, Width: 400, Height: 400}) {
		fmt.Printf("%dx%d at (%d,%d), %d pixels, score %v\n", r.W, r.H, r.X, r.Y, r.Area, r.Score)
	}
	// Output:
	// 200x200 at (100,100), 20000 pixels, score 0.9
	// 100x100 at (0,300), 10000 pixels, score 0.6
}

func ExampleSSIM() {
	const height, width = 16, 16
	a, b := make([]float32, height*width), make([]float32, height*width)
	for i := range a {
		a[i] = float32(i%width) / width
		b[i] = a[i]
	}
	b[8*width+8] = 0 // a scratch
	mean, residual, err := heatmap.SSIM(a, b, 1, height, width, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("SSIM %.3f, highest residual %.3f, in the corner %.3f\n", mean, residual.Max(), residual.Data[0])
	// Output: SSIM 0.775, highest residual 0.474, in the corner 0.000
}

func ExamplePicture() {
	input := image.NewGray(image.Rect(0, 0, 32, 32))
	m := heatmap.NewMap(32, 32)
	m.Data[20] = .8
	threshold := float32(.4)
	picture := heatmap.Picture(input, m, &heatmap.PictureOptions{
		Threshold: &threshold,
		Caption:   "007.png  " + heatmap.Caption(m.Max(), &threshold),
	})
	fmt.Println(picture.Bounds().Size())
	// Output: (792,306)
}

func ExampleOverlay() {
	input := image.NewGray(image.Rect(0, 0, 32, 32))
	m := heatmap.NewMap(32, 32)
	m.Data[20*32+10] = .8
	overlay := heatmap.Overlay(input, m, .4, nil)
	fmt.Println(overlay.RGBAAt(10, 20), overlay.RGBAAt(9, 20), overlay.RGBAAt(0, 0))
	// Output: {0 104 41 255} {0 230 90 255} {0 0 0 255}
}
