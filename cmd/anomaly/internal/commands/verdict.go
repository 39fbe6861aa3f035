package commands

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/urfave/cli/v2"
)

var strictFlag = &cli.BoolFlag{Name: "strict", Usage: "exit with 4 if the verdict on the detector is poor", DisableDefaultText: true}

// verdictHelp says what the verdict is, in the description of each command that gives it.
const verdictHelp = `The verdict says how good the detector is and what to do next, the worst first:
poor (of no use as it is), doubtful, good, and notes. Labelled images decide where
there are any, else artificial defects put on good images that were held back.
--strict makes a poor one exit with 4. In JSON, it is

  "verdict": {"severity": "poor", "statements": [{"severity", "code", "text", "do"}, …],
              "pseudo_defects": {"above", "of", "share", "at_most", "at_least"}}

where pseudo_defects is the share of artificial defects above the threshold, null
where the model has none.`

// errPoor makes the exit code that of a poor verdict.
var errPoor = errors.New("the verdict on the detector is poor (--strict)")

// strictly returns errPoor if the verdict is poor and that is to be an error.
func strictly(strict bool, a *judge.Appraisal) error {
	if strict && a.Severity == judge.Poor {
		return errPoor
	}
	return nil
}

// evidence returns what a model's file tells of how good it is at a threshold, nil for
// none, as it is used.
func evidence(metadata map[string]string, threshold *float32, o *surveyOptions) *judge.Evidence {
	e := judge.FileEvidence(metadata, threshold)
	minArea, zones := o.minArea, o.detector.Zones != nil
	if t := e.Training; t != nil && (minArea > 1 || zones) {
		t.ForgetScores() // which are not what is compared with the threshold
	}
	if o.detector.Threshold != nil && !o.scoresOnly {
		e.Calibration = &judge.Calibration{Rule: judge.RuleGiven}
	} else if c := e.Calibration; c != nil && (max(c.MinArea, 1) != max(minArea, 1) || c.Zones || zones) {
		c.ForgetScores()
	}
	return e
}

// printAppraisal prints a verdict: the sentence, then what else there is, and what to
// do about each.
func printAppraisal(w io.Writer, a *judge.Appraisal) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", page.Capital(a.Severity.String()), a.Sentence())
	for i, s := range a.Said() {
		if i > 0 {
			fmt.Fprintf(&b, "  %s: %s\n", s.Severity, s.Text)
		}
		if s.Do != "" {
			fmt.Fprintf(&b, "    -> %s\n", s.Do)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// noteAppraisal says what is wrong with a detector that is run, and notes on the run.
// That nothing is known of another tool's is no news.
func (c *console) noteAppraisal(r *page.Report) {
	for i, s := range r.Appraisal.Statements {
		first := i == 0 && s.Severity > judge.Good && r.Evidence.Training != nil
		if first || s.Code == judge.AllAnomalous || s.Code == judge.NoneAnomalous || s.Code == judge.Unlike {
			c.notef("%s: %s; %s", s.Severity, s.Text, s.Do)
		}
	}
}
