package parts

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"
)

func TestPart(t *testing.T) {
	draw := func(defect string) (*image.RGBA, *image.Gray) {
		return New(rand.New(rand.NewPCG(1, 2)), defect).Draw()
	}
	good, mask := draw("")
	for _, v := range mask.Pix {
		if v != 0 {
			t.Fatal("a good part has a mask")
		}
	}
	if again, _ := draw(""); !bytes.Equal(good.Pix, again.Pix) {
		t.Error("the same seed gives another picture")
	}
	for _, defect := range Defects {
		t.Run(defect, func(t *testing.T) {
			img, mask := draw(defect) // of the same part as good, but for the defect
			set, seen, elsewhere := 0, 0, 0
			for y := range Size {
				for x := range Size {
					d := 0 // how far the pixel is from the good one
					for c := range 3 {
						a, b := int(img.Pix[img.PixOffset(x, y)+c]), int(good.Pix[good.PixOffset(x, y)+c])
						d = max(d, a-b, b-a)
					}
					const visible = 10
					switch {
					case mask.GrayAt(x, y).Y != 0:
						set++
						if d > visible {
							seen++
						}
					case d > visible:
						elsewhere++
					}
				}
			}
			// A soft outline lies half outside the mask; a defect may match the mat here and there.
			if set < 100 || set > Size*Size/20 || seen < set*8/10 || elsewhere > set/2 {
				t.Errorf("the mask has %d pixels, of which %d differ from the good part, and %d others do", set, seen, elsewhere)
			}
		})
	}
}
