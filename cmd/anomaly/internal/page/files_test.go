package page

import (
	"testing"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

func TestCaption(t *testing.T) {
	threshold := float32(.5)
	for want, r := range map[string]*anrt.Result{
		"score 0.4, threshold 0.5: review":     {Score: .4, Threshold: &threshold, Verdict: anrt.Review},
		"score 0.4: accept":                    {Score: .4, Verdict: anrt.Accept},
		"score 0.6 > threshold 0.5: anomalous": {Score: .6, Threshold: &threshold, Anomalous: true, Verdict: anrt.Anomalous},
		"score 0.4, threshold 0.5: good":       {Score: .4, Threshold: &threshold, Verdict: anrt.Good},
		"score 0.4, threshold 0.5: anomalous":  {Score: .4, Threshold: &threshold, Anomalous: true, Verdict: anrt.Anomalous}, // the model's own label
		"score 0.3: anomalous":                 {Score: .3, Anomalous: true, Verdict: anrt.Anomalous},
	} {
		if got := caption(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := caption(&anrt.Result{Score: .3}); got != "score 0.3" {
		t.Errorf("no verdict: got %q", got)
	}
}
