package dataset_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
)

// What a camera sends is decoded as training decoded its images: upright, 8 bits, RGB
// or grey, and no larger than is allowed, which is checked before memory is taken.
func ExampleDecode() {
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray16(image.Rect(0, 0, 640, 480))); err != nil {
		log.Fatal(err)
	}
	decoding := &dataset.Decoding{MaxPixels: 4 << 20}
	img, _, err := dataset.Decode(&file, "camera 1", decoding)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%T of %v\n", img, img.Bounds().Size())

	_, _, err = dataset.Decode(strings.NewReader("no image"), "camera 2", decoding)
	fmt.Println(errors.Is(err, image.ErrFormat), err)
	// Output:
	// *image.Gray of (640,480)
	// true dataset: "camera 2": imageio: neither PNG, JPEG, GIF, BMP, TIFF, WebP nor PNM, but text: image: unknown format
}
