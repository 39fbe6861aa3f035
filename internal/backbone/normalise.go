package backbone

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// above this, means are of pixels from 0 to 255.
const mostUnit = 2

// keys are what metadata call mean and standard deviation.
var keys = [][2]string{{"mean", "std"}, {"image_mean", "image_std"}, {"pixel_mean", "pixel_std"}}

// normalise settles what becomes of pixels.
func (k *Backbone) normalise(file *onnx.File, f *found, o *Options) error {
	if (o.Mean == nil) != (o.Std == nil) {
		return fmt.Errorf("normalisation: got mean %v and standard deviation %v, want both or neither", o.Mean, o.Std)
	}
	mean, std, who := o.Mean, o.Std, "as given"
	for _, key := range keys {
		if mean != nil {
			break
		}
		m, s := parse(file.Metadata[key[0]]), parse(file.Metadata[key[1]])
		if m != nil && s != nil {
			mean, std, who = m, s, "of the file's metadata"
		}
	}
	if mean == nil {
		if scale, shift, does := f.leading(); does {
			full := 1.
			for c := range scale {
				// A pixel of the mean becomes 0; a factor alone tells by its size.
				if centre := -shift[c] / scale[c]; centre > mostUnit || shift[c] == 0 && math.Abs(scale[c]) < 1./16 {
					full = 255
				}
			}
			k.scale = [3]float64{full, full, full}
			k.Normalisation = fmt.Sprintf("pixels from 0 to %v, which the network normalises itself", full)
			return nil
		}
		mean, std, who = imageNetMean, imageNetStd, "ImageNet's, as nothing says another"
	}
	if len(mean) != 1 && len(mean) != 3 || len(std) != 1 && len(std) != 3 {
		return fmt.Errorf("normalisation: got mean %v and standard deviation %v, want one number each, or three", mean, std)
	}
	full := 1.
	for _, m := range mean {
		if m > mostUnit {
			full = 255
		}
	}
	for c := range 3 {
		m, s := mean[c%len(mean)]/full, std[c%len(std)]/full
		if !(s > 0) || math.IsInf(s, 0) || math.IsNaN(m) || math.IsInf(m, 0) {
			return fmt.Errorf("normalisation: got mean %v and standard deviation %v, want numbers, the latter positive", mean, std)
		}
		k.scale[c], k.shift[c] = 1/s, -m/s
	}
	k.Normalisation = fmt.Sprintf("mean %v, standard deviation %v, %s", mean, std, who)
	return nil
}

// parse reads one number or three, as JSON or between commas or spaces; nil is none.
func parse(s string) []float64 {
	var list []float64
	if json.Unmarshal([]byte(s), &list) == nil {
		return list
	}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",; []()", r) }) {
		x, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return nil
		}
		list = append(list, x)
	}
	return list
}

// leading returns the factors and sums that the network begins with, a channel
// each; does says whether there are any.
func (f *found) leading() (scale, shift [3]float64, does bool) {
	scale = [3]float64{1, 1, 1}
	users := graph.Users(f.image.Graph().Nodes(f.all...))
	at := f.image
	for len(users[at]) == 1 {
		n := users[at][0]
		apply := func(g func(c int, by float64)) bool {
			by := n.Inputs[len(n.Inputs)-1]
			if by == at && len(n.Inputs) == 2 {
				by = n.Inputs[0]
			}
			t := by.Const()
			if t == nil || t.DType() != graph.Float32 || t.Len() != 1 && t.Len() != 3 {
				return false
			}
			for c := range 3 {
				g(c, float64(graph.Data[float32](t)[c%t.Len()]))
			}
			does = true
			return true
		}
		ok := true
		switch n.Op {
		case "Cast", "Identity", "Transpose":
		case "Mul":
			ok = apply(func(c int, by float64) { scale[c], shift[c] = scale[c]*by, shift[c]*by })
		case "Div":
			ok = n.Inputs[0] == at && apply(func(c int, by float64) { scale[c], shift[c] = scale[c]/by, shift[c]/by })
		case "Add":
			ok = apply(func(c int, by float64) { shift[c] += by })
		case "Sub":
			ok = n.Inputs[0] == at && apply(func(c int, by float64) { shift[c] -= by })
		default:
			ok = false
		}
		if !ok {
			break
		}
		at = n.Outputs[0]
	}
	return scale, shift, does
}
