package judge

import (
	"strings"
	"testing"
)

func TestGateWorse(t *testing.T) {
	base := GoldenResult{Good: 10, Anomalous: 10, FalseRejects: 2, Missed: 1, Judges: true, AUROC: .98}
	with := func(change func(*GoldenResult)) *GoldenResult {
		r := base
		change(&r)
		return &r
	}
	for _, tt := range []struct {
		name string
		new  *GoldenResult
		want string // beginning; "" passes
	}{
		{"same", &base, ""},
		{"AUROC within the tolerance", with(func(r *GoldenResult) { r.AUROC = .971 }), ""},
		{"AUROC", with(func(r *GoldenResult) { r.AUROC = .969 }), "its AUROC is 0.9690"},
		{"trades a false reject for a miss", with(func(r *GoldenResult) { r.FalseRejects, r.Missed = 0, 2 }), "it misses 2 of 10"},
		{"trades a miss for a false reject", with(func(r *GoldenResult) { r.FalseRejects, r.Missed = 3, 0 }), ""},
		{"one more false reject", with(func(r *GoldenResult) { r.FalseRejects = 3 }), "4 of 20 verdicts are wrong"},
		{"cannot compute one", with(func(r *GoldenResult) { r.Failed = 1 }), "it cannot compute 1 of 20 images "},
		{"no threshold", with(func(r *GoldenResult) { r.Judges = false }), "it does not say what is anomalous"},
	} {
		if got := base.worse(tt.new); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	none := GoldenResult{Good: 10, AUROC: base.AUROC}
	if got := none.worse(&base); got != "" {
		t.Errorf("after a model without a threshold: got %q", got)
	}
}
