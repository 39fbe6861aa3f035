package train

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// LateFall returns which share of all that the loss of the training images fell by,
// in [0,1], it fell by in the second half of the epochs: 0 where it did not fall.
// The loss of networks that have not learnt what they can falls on, about as far as before.
func (r *Result) LateFall() float64 {
	if r.Epoch < 2 {
		return 0
	}
	first, half, last := r.History[0].Loss, r.History[(r.Epoch-1)/2].Loss, r.History[r.Epoch-1].Loss
	if !(last < half && last < first) {
		return 0
	}
	return min((half-last)/(first-last), 1)
}

// Metadata returns what an exported model should say of its training, without
// the prefix "anomaly.": the network, the settings, the data and the calibration.
func (r *Result) Metadata(tool string) (map[string]string, error) {
	scores := r.Calibration.Scores
	md := map[string]string{
		"tool":             "anomaly " + tool,
		"seed":             strconv.FormatUint(r.Settings.Seed, 10),
		"provider":         string(r.Provider),
		"data.hash":        r.DataHash,
		"data.images":      strconv.Itoa(r.Images),
		"normal.count":     strconv.Itoa(len(scores)),
		"normal.score.min": strconv.FormatFloat(scores[0], 'g', -1, 32),
		"normal.score.max": strconv.FormatFloat(scores[len(scores)-1], 'g', -1, 32),
	}
	if r.Epoch > 0 {
		md["loss"] = r.Settings.Loss
		md["epochs"] = strconv.Itoa(r.Settings.Epochs)
		md["epoch"] = strconv.Itoa(r.Epoch) // of the weights
		md["final_loss"] = strconv.FormatFloat(r.History[r.Epoch-1].Loss, 'g', 6, 64)
		md["late_fall"] = strconv.FormatFloat(r.LateFall(), 'g', 3, 64)
	}
	normal := map[string][]float64{"levels": Levels(), "score": quantiles(scores), "brightness": r.Calibration.Brightness, "sharpness": r.Calibration.Sharpness}
	if len(r.Errors) > 0 {
		normal["error"] = quantiles(r.Errors)
	}
	settings := r.Settings
	settings.View = anrt.View{} // which has a key of its own
	values := map[string]any{"model": r.Network.Spec(), "settings": settings, "normal.quantiles": normal}
	if len(r.Pseudo.Scores) > 0 {
		values["pseudo.scores"], values["pseudo.auroc"] = r.Pseudo.Scores, r.Pseudo.AUROC
	}
	_, height, width := r.Network.InputSize()
	view, err := r.Settings.View.For(height, width)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	looked, err := view.Metadata()
	if err != nil {
		return nil, fmt.Errorf("train: metadata: %w", err)
	}
	maps.Copy(md, looked)
	if len(r.Choices) > 0 {
		values["choices"] = r.Choices
	}
	for key, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("train: metadata %s: %w", key, err)
		}
		md[key] = string(b)
	}
	return md, nil
}
