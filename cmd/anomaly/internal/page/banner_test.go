package page

import (
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// The head of a report says how good the detector is, each advice once; what a poor
// one calls good is not green where nothing else says that it is.
func TestBanner(t *testing.T) {
	poor := &judge.Appraisal{Severity: judge.Poor, Statements: []judge.Statement{
		{Severity: judge.Poor, Code: judge.NearChance, Text: "it is near <chance>", Do: "train anew"},
		{Severity: judge.Doubtful, Code: judge.FewImages, Text: "two images are few", Do: "train anew"},
		{Severity: judge.Note, Code: judge.Squashed, Text: "images are squashed", Do: "anomaly calibrate --good <DIR>"},
		{Severity: judge.Note, Code: judge.NoneAnomalous, Text: "none is"},
	}}
	good := &judge.Appraisal{Severity: judge.Good, Statements: []judge.Statement{{Severity: judge.Good, Code: judge.Finds, Text: "it finds all"}}}
	const doubted = `class="doubted"`
	for name, c := range map[string]struct {
		appraisal *judge.Appraisal
		eval      bool
		with      []string
		without   []string
	}{
		"poor":                    {poor, false, []string{doubted, `class="banner poor"`, "<b>Poor.</b> It is near &lt;chance&gt;.", "<b>Doubtful:</b> Two images are few.", `<li class="note">`, `→ anomaly calibrate <span class="flag">--good</span> &lt;DIR&gt;.`, "<summary>1 note</summary>"}, nil},
		"poor by labelled images": {poor, true, []string{`class="banner poor"`}, []string{doubted}},
		"good":                    {good, false, []string{`class="banner good"`, "<b>Good.</b> It finds all."}, []string{doubted, "<ul>", "<details>", "→ "}},
		"none":                    {nil, false, nil, []string{"<section class=\"banner", doubted}},
	} {
		r := NewReport(anrt.ModelInfo{Provider: anrt.Go}, Saves{}, false)
		if r.Appraisal = c.appraisal; c.eval {
			r.Evaluate(&judge.Evaluation{})
		}
		var page strings.Builder
		if err := reportTemplate.Execute(&page, r); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.with {
			if !strings.Contains(page.String(), want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
		for _, unwanted := range c.without {
			if strings.Contains(page.String(), unwanted) {
				t.Errorf("%s: the page has %q", name, unwanted)
			}
		}
		if n := strings.Count(page.String(), "Train anew."); c.appraisal == poor && n != 1 {
			t.Errorf("%s: what to do is said %d times", name, n)
		}
	}
}
