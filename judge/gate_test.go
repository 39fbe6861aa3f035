package judge

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// Limits hold whatever the model in use does, and where there is none.
func TestGateLimits(t *testing.T) {
	r := GoldenResult{Good: 10, Anomalous: 10, FalseRejects: 2, Missed: 1, Judges: true, AUROC: .98}
	limit := func(v float64) *float64 { return &v }
	for _, tt := range []struct {
		name                string
		falseReject, recall *float64
		r                   func(GoldenResult) GoldenResult
		want                string
	}{
		{"none", nil, nil, nil, ""},
		{"just within", limit(.2), limit(.9), nil, ""},
		{"rejects more", limit(.19), nil, nil, "it rejects 2 of 10 good images, the limit is 0.19"},
		{"finds fewer", nil, limit(.91), nil, "it finds 9 of 10 anomalous images, the limit is 0.91"},
		{"what fails is not found", nil, limit(.9), func(r GoldenResult) GoldenResult { r.failedAnomalous = 1; return r }, "it finds 8 of 10 anomalous images"},
		{"no threshold", limit(.5), nil, func(r GoldenResult) GoldenResult { r.Judges = false; return r }, "it does not say what is anomalous"},
		{"no such images", nil, limit(.5), func(r GoldenResult) GoldenResult { r.Anomalous, r.Missed = 0, 0; return r }, "there is no anomalous image"},
	} {
		result := r
		if tt.r != nil {
			result = tt.r(r)
		}
		g := &Gate{MostFalseReject: tt.falseReject, LeastRecall: tt.recall}
		if got := g.beyond(&result); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A golden set may be folders: good, and others of any names.
func TestGateFolders(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"good/a.png", "good/b.png", "scratch/c.png", "Kratzer 2/d/e.png", ".cache/f.png", "notes.txt"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, err := OpenGate(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range g.samples {
		got = append(got, fmt.Sprint(s.Kind, " ", s.Anomalous, " ", filepath.Base(s.Path)))
	}
	want := []string{"Kratzer 2 true e.png", "good false a.png", "good false b.png", "scratch true c.png"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
