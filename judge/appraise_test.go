package judge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/metrics"
)

// goodTraining is of a detector of which nothing is to be said: 60 held-back good
// images score 0 to 1, 96 pseudo-defects 2 to 3.
func goodTraining() *Training {
	t := &Training{
		Model: "features", Images: 60, HeldBack: 60, FalseReject: .1, PseudoAUROC: 1,
		Levels: []float64{0, .25, .5, 1}, Scores: []float64{0, .25, .5, 1},
		Width: 400, Height: 300, SeenWidth: 200, SeenHeight: 150,
	}
	for i := range 96 {
		t.Pseudo = append(t.Pseudo, 2+float64(i)/96)
	}
	return t
}

// evaluation is of so many good and anomalous images, of two kinds alike.
func evaluation(auroc float64, rejected, good, found, anomalous int) *Evaluation {
	of := func(found, anomalous int) OfKind {
		var s ScoreMetrics
		s.AUROC, s.F1Max = auroc, .95
		s.AUROCLow, s.AUROCHigh = metrics.AUROCInterval(auroc, good, anomalous)
		return OfKind{Image: s, Decided: calibrate.DecideOf(rejected, good, found, anomalous), N: anomalous}
	}
	all := of(found, anomalous)
	threshold := float32(1.5)
	return &Evaluation{
		Image: all.Image, Decided: all.Decided, Threshold: &threshold, N: Counts{good, anomalous},
		Kinds: map[string]OfKind{"a": of(found/2, anomalous/2), "b": of(found-found/2, anomalous-anomalous/2)},
	}
}

// Every statement is provoked by a change to a detector that gives no reason for it,
// and is silent where the change is a little smaller.
func TestAppraise(t *testing.T) {
	threshold := func(v float32) func(*Evidence) { return func(e *Evidence) { e.Threshold = &v } }
	trained := func(change func(*Training)) func(*Evidence) { return func(e *Evidence) { change(e.Training) } }
	measured := func(m *Evaluation, change ...func(*Evaluation)) func(*Evidence) {
		return func(e *Evidence) {
			for _, c := range change {
				c(m)
			}
			e.Evaluation = m
		}
	}
	unlike := func(n, of int) func(*Evidence) {
		return func(e *Evidence) {
			share := calibrate.ShareOf(n, of)
			e.Unlike = &share
		}
	}
	found := func(n int) func(*Evidence) { // of the 96 pseudo-defects
		return threshold(float32(2 + (float64(96-n)-.5)/96))
	}
	maps := func(aupro float64) func(*Evaluation) {
		return func(m *Evaluation) { m.Pixel = &PixelMetrics{AUPRO30: aupro} }
	}
	kindB := func(found int) func(*Evaluation) {
		return func(m *Evaluation) {
			b := m.Kinds["b"]
			b.Decided = calibrate.DecideOf(0, 50, found, 25)
			m.Kinds["b"] = b
		}
	}
	for _, tt := range []struct {
		code     Code
		severity Severity // provoked
		provoke  func(*Evidence)
		text     string // in it
		silent   func(*Evidence)
	}{
		{FindsPseudo, Poor, found(47), "finds 47 of 96 artificial defects (with 95 % confidence at most 57.8 %)", func(e *Evidence) { e.Training.Pseudo = nil }},
		{FindsPseudo, Doubtful, found(76), "finds 76 of 96 artificial defects (with 95 % confidence at least 71.2 %)", func(e *Evidence) { e.Threshold = nil }},
		{FindsPseudo, Good, found(77), "finds 77 of 96", func(e *Evidence) { e.Training = nil }},
		{FindsPseudo, Note, func(e *Evidence) { found(47)(e); measured(evaluation(1, 0, 50, 50, 50))(e) }, "finds 47 of 96", func(e *Evidence) { e.Training = nil }},
		{Finds, Poor, measured(evaluation(.99, 0, 50, 24, 50)), "finds 24 of 50 anomalous images (with 95 % confidence at most 60.5 %) and rejects 0 of 50 good ones (at most 5.8 %)", nil},
		{Finds, Doubtful, measured(evaluation(.99, 0, 50, 39, 50)), "finds 39 of 50", nil},
		{Finds, Good, measured(evaluation(.99, 0, 50, 40, 50)), "finds 40 of 50 anomalous images (with 95 % confidence at least 68.4 %)", func(e *Evidence) {
			measured(evaluation(.99, 0, 50, 40, 50))(e)
			e.Evaluation.Decided = nil
		}},
		{NearChance, Poor, measured(evaluation(.46, 0, 24, 40, 72)), "near chance", measured(evaluation(.7, 0, 24, 40, 72))},
		{NearChance, Doubtful, measured(evaluation(.8, 0, 3, 3, 3)), "3 good and 3 anomalous images are too few", measured(evaluation(.8, 0, 50, 50, 50))},
		{NearChance, Poor, trained(func(t *Training) { t.PseudoAUROC = .52 }), "does not tell artificial defects from good images (AUROC 0.520", trained(func(t *Training) { t.PseudoAUROC = .7 })},
		{WorseThanChance, Poor, measured(evaluation(.3, 0, 24, 40, 72)), "worse than chance", measured(evaluation(.45, 0, 24, 40, 72))},
		{Overlap, Doubtful, measured(evaluation(.85, 0, 50, 45, 50)), "no threshold does well", measured(evaluation(.91, 0, 50, 45, 50))},
		{MissesKind, Doubtful, measured(evaluation(.99, 0, 50, 45, 50), kindB(12)), "misses 13 of 25 images of kind b", measured(evaluation(.99, 0, 50, 45, 50), kindB(13))},
		{Mislocates, Poor, measured(evaluation(.99, 0, 50, 50, 50), maps(.29)), "its maps do not show where defects are (AU-PRO 0.29, by chance 0.15)", measured(evaluation(.99, 0, 50, 50, 50))},
		{Mislocates, Doubtful, measured(evaluation(.99, 0, 50, 50, 50), maps(.49)), "only a part of where defects are", measured(evaluation(.99, 0, 50, 50, 50), maps(.5))},
		{Mislocates, Doubtful, measured(evaluation(.99, 0, 50, 10, 10), maps(.4)), "AU-PRO 0.40", measured(evaluation(.99, 0, 50, 9, 9), maps(.1))},
		{RejectsGood, Poor, measured(evaluation(.99, 26, 50, 50, 50)), "rejects 26 of 50 good images, more than the 10 %", measured(evaluation(.99, 8, 50, 50, 50))},
		{RejectsGood, Doubtful, measured(evaluation(.99, 15, 50, 50, 50)), "rejects 15 of 50", func(e *Evidence) { // 15 of 50 were asked for
			measured(evaluation(.99, 15, 50, 50, 50))(e)
			e.Training.FalseReject = .3
		}},
		{RejectsGood, Doubtful, func(e *Evidence) { s := calibrate.ShareOf(15, 50); e.Good = &s }, "rejects 15 of 50", func(e *Evidence) { s := calibrate.ShareOf(6, 50); e.Good = &s }},
		{RejectsGood, Poor, threshold(.2), "rejects 45 of 60 good images that were held back", threshold(.6)},
		{Unreachable, Poor, threshold(4), "its threshold of 4 can hardly be exceeded: good images reach 1, artificial defects 2.99", found(3)},
		{Unreachable, Poor, measured(evaluation(.99, 0, 50, 0, 50)), "no image that it was measured on, good or anomalous, is above its threshold, 1.5", measured(evaluation(.99, 0, 50, 1, 50))},
		{NoThreshold, Doubtful, func(e *Evidence) { e.Threshold = nil }, "there is no threshold", func(e *Evidence) { // a label of its own
			measured(evaluation(.99, 0, 50, 50, 50))(e)
			e.Threshold = nil
		}},
		{Unknown, Doubtful, func(e *Evidence) { e.Training = nil }, "nothing was measured", func(e *Evidence) {
			measured(evaluation(.99, 0, 50, 50, 50))(e)
			e.Training = nil
		}},
		{Unlike, Doubtful, unlike(2, 9), "2 of 9 images are unlike those it was trained on", unlike(2, 10)},
		{Unlike, Doubtful, unlike(2, 5), "2 of 5 images", unlike(4, 4)},
		{Unlike, Note, func(e *Evidence) {
			measured(evaluation(.99, 0, 50, 50, 50))(e)
			unlike(100, 100)(e)
		}, "100 of 100 images", unlike(0, 100)},
		{FewImages, Doubtful, trained(func(t *Training) { t.Images = 19 }), "trained on 19 images", trained(func(t *Training) { t.Images = 20 })},
		{UnsureThreshold, Note, trained(func(t *Training) { t.HeldBack = 10 }), "rests on 10 good images held back, too few to be sure that it rejects 10 %", trained(func(t *Training) { t.HeldBack = 29 })},
		{LossFalling, Doubtful, trained(func(t *Training) { t.Epochs, t.LateFall = 3, .21 }), "21 % of all that the loss fell by", trained(func(t *Training) { t.LateFall = .09 })},
		{Squashed, Note, trained(func(t *Training) { t.SeenWidth = 150 }), "images of 400x300 are squashed to 150x150, by 1.3", trained(func(t *Training) { t.SeenWidth = 190 })},
		{Shrunk, Note, trained(func(t *Training) { t.SeenWidth, t.SeenHeight = 80, 60 }), "seen at 80x60: what is smaller than some 10 pixels", trained(func(t *Training) { t.SeenWidth, t.SeenHeight = 100, 75 })},
	} {
		for _, provoked := range []bool{true, false} {
			change := tt.provoke
			if !provoked {
				change = tt.silent
			}
			if change == nil {
				continue
			}
			at := float32(1.5)
			e := &Evidence{Threshold: &at, Training: goodTraining()}
			change(e)
			a := Appraise(e)
			i := slices.IndexFunc(a.Statements, func(s Statement) bool { return s.Code == tt.code })
			switch {
			case !provoked && i >= 0:
				t.Errorf("%s: got %+v, want silence", tt.code, a.Statements[i])
			case provoked && i < 0:
				t.Errorf("%s: got nothing of it in %+v", tt.code, a)
			case provoked:
				s := a.Statements[i]
				if s.Severity != tt.severity || !strings.Contains(s.Text, tt.text) || (s.Do == "") != (s.Severity == Good) {
					t.Errorf("%s: got %v %+v, want %v and %q", tt.code, s.Severity, s, tt.severity, tt.text)
				}
				if s.Severity > Good && a.Severity < s.Severity {
					t.Errorf("%s: got %v as a whole, want %v", tt.code, a.Severity, s.Severity)
				}
			}
			if !slices.IsSortedFunc(a.Statements, func(x, y Statement) int { return int(y.Severity - x.Severity) }) {
				t.Errorf("%s: got %+v, want the worst first", tt.code, a.Statements)
			}
		}
	}
}

// Of a detector that gives no reason, nothing is said but what it finds.
func TestAppraiseGood(t *testing.T) {
	at := float32(1.5)
	for _, e := range []*Evidence{{Threshold: &at, Training: goodTraining()}, {Threshold: &at, Evaluation: evaluation(.99, 1, 50, 49, 50)}} {
		if a := Appraise(e); a.Severity != Good || len(a.Statements) != 1 || a.Statements[0].Severity != Good || a.Statements[0].Do != "" {
			t.Errorf("got %+v", a)
		}
	}
}

// What was measured on labelled images counts, what training suggests is noted.
func TestAppraiseMeasuredFirst(t *testing.T) {
	at := float32(4) // above all pseudo-defects
	training := goodTraining()
	training.Images, training.LateFall = 7, .9
	if a := Appraise(&Evidence{Threshold: &at, Training: training}); a.Severity != Poor {
		t.Errorf("got %v of training alone, want poor", a.Severity)
	}
	a := Appraise(&Evidence{Threshold: &at, Training: training, Evaluation: evaluation(.99, 0, 50, 50, 50)})
	if a.Severity != Good || a.Pseudo == nil || a.Pseudo.Above != 0 {
		t.Errorf("got %+v, want good", a)
	}
	for _, s := range a.Statements {
		if (s.Code == Finds) != (s.Severity == Good) {
			t.Errorf("got %v %q, want notes beside what it finds", s.Severity, s.Text)
		}
	}
	// A few labelled images do not outweigh what else is known.
	if a := Appraise(&Evidence{Threshold: &at, Training: training, Evaluation: evaluation(.99, 0, 50, 9, 9)}); a.Severity != Doubtful || !a.says(FindsPseudo) {
		t.Errorf("got %+v of 9 anomalous images, want doubtful", a)
	}
}

func TestAppraiseRun(t *testing.T) {
	at := float32(1.5)
	for _, tt := range []struct {
		anomalous, images int
		want              Code // "" for silence
		text              string
	}{
		{5, 5, AllAnomalous, "all 5 images are anomalous"}, {4, 4, "", ""}, {5, 6, "", ""},
		{0, 20, NoneAnomalous, "none of 20 images is above the threshold of 1.5, the highest score is 0.25"}, {0, 19, "", ""}, {1, 20, "", ""},
	} {
		a := AppraiseRun(&Evidence{Threshold: &at, Training: goodTraining()}, tt.anomalous, tt.images, .25)
		got := a.Statements[1:]
		if (tt.want == "") != (len(got) == 0) || len(got) > 0 && (got[0].Code != tt.want || got[0].Text != tt.text || got[0].Do == "") || a.Severity != Good {
			t.Errorf("%d of %d: got %+v, want %q", tt.anomalous, tt.images, a, tt.want)
		}
	}
	if a := AppraiseRun(&Evidence{Training: goodTraining()}, 0, 100, 1); a.says(NoneAnomalous) {
		t.Errorf("without a threshold: got %+v", a)
	}
}

func TestSeverityText(t *testing.T) {
	b, err := json.Marshal([]Severity{Note, Good, Doubtful, Poor})
	if err != nil || string(b) != `["note","good","doubtful","poor"]` {
		t.Fatalf("got %s, %v", b, err)
	}
	var back []Severity
	if err := json.Unmarshal(b, &back); err != nil || fmt.Sprint(back) != "[note good doubtful poor]" {
		t.Errorf("got %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`["fine"]`), &back); err == nil {
		t.Error("fine: got no error")
	}
}

func TestReadTraining(t *testing.T) {
	got := ReadTraining(map[string]string{
		"anomaly.data.hash": "x", "anomaly.data.images": "92", "anomaly.data.size": "384x288", "anomaly.epoch": "3", "anomaly.late_fall": "0.25",
		"anomaly.model":    `{"model":"dcae","channels":3,"height":64,"width":80}`,
		"anomaly.settings": `{"false_reject":0.05}`, "anomaly.normal.count": "9",
		"anomaly.normal.quantiles": `{"levels":[0,1],"score":[0.5,0.75],"brightness":[0,1]}`,
		"anomaly.pseudo.scores":    "[1,2]", "anomaly.pseudo.auroc": "0.75",
	})
	want := &Training{
		Model: "dcae", Images: 92, HeldBack: 9, FalseReject: .05, Epochs: 3, LateFall: .25, Levels: []float64{0, 1}, Scores: []float64{.5, .75},
		Pseudo: []float64{1, 2}, PseudoAUROC: .75, Width: 384, Height: 288, SeenWidth: 80, SeenHeight: 64,
	}
	if fmt.Sprint(*got) != fmt.Sprint(*want) {
		t.Errorf("got %+v, want %+v", *got, *want)
	}
	if got := ReadTraining(map[string]string{"producer": "other"}); got != nil {
		t.Errorf("of another tool: got %+v", got)
	}
	// An older file, or a damaged one, says less.
	if got := ReadTraining(map[string]string{"anomaly.data.hash": "x", "anomaly.normal.quantiles": `{"levels":[0],"score":[]}`, "anomaly.model": "{"}); got == nil || got.Scores != nil || got.above(new(float32)) != 0 {
		t.Errorf("of a damaged file: got %+v", got)
	}
}
