package onnx

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A Normal is what metadata say of good images: quantiles, at Levels, of the scores of
// those that the network was not trained on, of the errors of their reconstructions, and
// of what all of them look like.
type Normal struct {
	Brightness []float64 `json:"brightness"`
	Error      []float64 `json:"error,omitempty"`
	Levels     []float64 `json:"levels"`
	Score      []float64 `json:"score,omitempty"`
	Sharpness  []float64 `json:"sharpness"`
}

// ReadNormal reads it; zero where it is not there, or cannot be read.
func ReadNormal(metadata map[string]string) Normal {
	var n Normal
	if json.Unmarshal([]byte(metadata[KeyNormal]), &n) != nil {
		return Normal{}
	}
	return n
}

// At returns one of the quantiles; known is false where there is none of the level.
func (n *Normal) At(quantiles []float64, level float64) (value float64, known bool) {
	if i := slices.Index(n.Levels, level); i >= 0 && i < len(quantiles) {
		return quantiles[i], true
	}
	return 0, false
}

// TrainedThreshold returns the threshold that training had set where it was set anew since,
// else nil.
func TrainedThreshold(metadata map[string]string) *float32 {
	var c struct {
		Trained *float32 `json:"trained"`
	}
	if json.Unmarshal([]byte(metadata[KeyCalibration]), &c) != nil {
		return nil
	}
	return c.Trained
}

// DataSize returns the size of the usual training image that metadata say, in pixels;
// 0 where they do not.
func DataSize(metadata map[string]string) (width, height int) {
	fmt.Sscanf(metadata[KeyDataSize], "%dx%d", &width, &height)
	return width, height
}
