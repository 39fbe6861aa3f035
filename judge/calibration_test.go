package judge

import (
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/calibrate"
)

// statement returns what is said of a code, the zero Statement for nothing.
func statement(a *Appraisal, code Code) Statement {
	for _, s := range a.Statements {
		if s.Code == code {
			return s
		}
	}
	return Statement{}
}

// What a threshold rests on is what it was set from last.
func TestAppraiseCalibration(t *testing.T) {
	low, high := float32(.2), float32(1.5) // 45 of 60 good images that were held back are above .2
	share := func(n, of int) *calibrate.Share {
		s := calibrate.ShareOf(n, of)
		return &s
	}
	for _, tt := range []struct {
		name      string
		threshold *float32
		c         *Calibration
		unlike    *calibrate.Share // of images that are run
		code      Code
		want      string // in the statement, "" for none
		severity  Severity
	}{
		{"training's share", &low, nil, nil, RejectsGood, "held back, more than the 10 % that it was set for", Poor},
		{"given: nothing was asked", &low, &Calibration{Rule: RuleGiven}, nil, RejectsGood, "45 of 60 good images that were held back, more than 10 %", Poor},
		{"recall: nothing was asked", &low, &Calibration{Rule: RuleRecall, Target: .9}, nil, RejectsGood, "held back, more than 10 %", Poor},
		{"another share", &low, &Calibration{Rule: RuleFalseReject, Target: .05, Good: 100}, nil, RejectsGood, "more than the 5 % that it was set for", Poor},
		{"a share of that size", &low, &Calibration{Rule: RuleFalseReject, Target: .7, Good: 100}, nil, RejectsGood, "", 0},
		{"few good images", &high, &Calibration{Rule: RuleFalseReject, Target: .05, Good: 58}, nil, UnsureThreshold, "rests on 58 good images, too few to be sure that it rejects 5 %", Note},
		{"as many as it takes", &high, &Calibration{Rule: RuleFalseReject, Target: .05, Good: 59}, nil, UnsureThreshold, "", 0},
		{"given: it rests on none", &high, &Calibration{Rule: RuleGiven}, nil, UnsureThreshold, "", 0},
		{"labelled images", &high, &Calibration{Rule: RuleF1, Good: 50, Anomalous: 50, Measured: evaluation(.99, 0, 50, 24, 50)}, nil, Finds, "finds 24 of 50 anomalous images (with 95 % confidence at most 60.5 %) and rejects 0 of 50 good ones (at most 5.8 %) when it was calibrated", Poor},
		{"good images", &high, &Calibration{Rule: RuleGiven, Good: 50, FalseReject: share(15, 50)}, nil, RejectsGood, "15 of 50 good images when it was calibrated, more than 10 %", Doubtful},
		{"of another product", &high, &Calibration{Rule: RuleFalseReject, Target: .1, Good: 50, Unlike: share(50, 50)}, nil, Unlike, "50 of 50 images that it was calibrated on are unlike", Doubtful},
		{"labelled, of another product", &high, &Calibration{Rule: RuleF1, Measured: evaluation(.99, 0, 50, 50, 50), Unlike: share(50, 50)}, nil, Unlike, "50 of 50 images", Note},
		{"a run of another product", &high, &Calibration{Rule: RuleF1, Measured: evaluation(.99, 0, 50, 50, 50)}, share(9, 9), Unlike, "9 of 9 images are unlike", Doubtful},
		{"set too high", new(float32(9)), &Calibration{Rule: RuleGiven}, nil, FindsPseudo, "finds 0 of 96", Poor},
		{"a run of its own", &high, &Calibration{Rule: RuleF1, Measured: evaluation(.99, 0, 50, 50, 50), Unlike: share(50, 50)}, share(0, 9), Unlike, "", 0},
	} {
		training := goodTraining()
		if tt.code == UnsureThreshold {
			training.HeldBack = 10 // which is of no account any more
		}
		s := statement(Appraise(&Evidence{Threshold: tt.threshold, Training: training, Calibration: tt.c, Unlike: tt.unlike}), tt.code)
		if (s.Code == "") != (tt.want == "") || !strings.Contains(s.Text, tt.want) || s.Severity != tt.severity || strings.Contains(s.Do, "or train on") {
			t.Errorf("%s: got %v %+v, want %v %q", tt.name, s.Severity, s, tt.severity, tt.want)
		}
		if tt.want == "more than 10 %" && strings.Contains(s.Text, "set for") {
			t.Errorf("%s: got %q", tt.name, s.Text)
		}
	}
	// What was set too high is to be set anew, not trained.
	for _, c := range []*Calibration{nil, {Rule: RuleGiven}} {
		if s := statement(Appraise(&Evidence{Threshold: new(float32(9)), Training: goodTraining(), Calibration: c}), FindsPseudo); (s.Do == recalibrate) != (c != nil) {
			t.Errorf("%+v: got %q", c, s.Do)
		}
	}
	// What is measured now counts.
	a := Appraise(&Evidence{Threshold: &high, Training: goodTraining(), Evaluation: evaluation(.99, 0, 50, 50, 50), Calibration: &Calibration{Rule: RuleF1, Measured: evaluation(.99, 0, 50, 24, 50)}})
	if s := statement(a, Finds); s.Severity != Good || strings.Contains(s.Text, "when") {
		t.Errorf("got %+v", s)
	}
}

// A file says what it was told.
func TestCalibrationStore(t *testing.T) {
	md := map[string]string{"anomaly.data.hash": "x"}
	trained := float32(.5)
	c := &Calibration{Rule: RuleRecall, Target: .98, Good: 20, Anomalous: 30, Trained: &trained, Measured: evaluation(.99, 1, 20, 29, 30)}
	if err := c.Store(md); err != nil {
		t.Fatal(err)
	}
	threshold := float32(.25)
	got := FileEvidence(md, &threshold)
	if got.Calibration == nil || *got.Calibration.Trained != trained || got.Calibration.Measured.N != c.Measured.N || got.Calibration.Measured.Decided.F1 != c.Measured.Decided.F1 {
		t.Fatalf("got %+v, want %+v", got.Calibration, c)
	}
	for _, tt := range []struct {
		t    *Training
		c    *Calibration
		want string
	}{
		{nil, nil, ""},
		{goodTraining(), nil, "from scores of 60 good images held back"},
		{goodTraining(), c, "calibrated to find 98 % of 30 anomalous images"},
		{goodTraining(), &Calibration{Rule: RuleF1, Good: 2, Anomalous: 1}, "calibrated for the best F1 of 2 good and 1 anomalous image"},
		{goodTraining(), &Calibration{Rule: RuleMax, Good: 2}, "calibrated, the largest score of 2 good images"},
		{goodTraining(), &Calibration{Rule: RuleFalseReject, Target: .02, Good: 40}, "calibrated from 40 good images, to reject 2 % of them"},
		{goodTraining(), Given(threshold, &trained), "given by hand"},
		{goodTraining(), Given(trained, &trained), "from scores of 60 good images held back"}, // it is that of training again
	} {
		if got := Source(tt.t, tt.c); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if err := (*Calibration)(nil).Store(md); err != nil || len(md) != 1 || ReadCalibration(md) != nil {
		t.Errorf("got %v, %v, want it gone", md, err)
	}
}
