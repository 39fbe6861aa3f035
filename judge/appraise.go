package judge

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/metrics"
)

// An Appraisal says how good a detector is, and what to do next.
type Appraisal struct {
	Severity   Severity    `json:"severity"`   // the worst of the statements', Good at the least
	Statements []Statement `json:"statements"` // one or more, the worst first, notes last

	// Pseudo is the share of pseudo-defects that are above the threshold; nil
	// where the model keeps none, or there is no threshold.
	Pseudo *calibrate.Share `json:"pseudo_defects"`
}

// Sentence is what to say first.
func (a *Appraisal) Sentence() string { return a.Statements[0].Text }

// Said returns the statements with advice that is the same as before left out, as people
// are told them.
func (a *Appraisal) Said() []Statement {
	said := map[string]bool{}
	statements := slices.Clone(a.Statements)
	for i := range statements {
		s := &statements[i]
		if said[s.Do] {
			s.Do = ""
		}
		said[s.Do] = true
	}
	return statements
}

// A Statement is one thing that is known of a detector.
type Statement struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	Text     string   `json:"text"` // a sentence without a capital and a full stop
	Do       string   `json:"do"`   // what to do next, in the same form; "" for nothing
}

// Severity says how much is wrong.
type Severity int

// Severities.
const (
	Note     Severity = iota // nothing, but it should be known
	Good                     // nothing
	Doubtful                 // it may be of no use
	Poor                     // it is of no use as it is
)

var severityNames = []string{Note: "note", Good: "good", Doubtful: "doubtful", Poor: "poor"}

// String returns the severity's name.
func (s Severity) String() string { return severityNames[s] }

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severityNames, string(text))
	if i < 0 {
		return fmt.Errorf("judge: severity: got %q, want one of %q", text, severityNames)
	}
	*s = Severity(i)
	return nil
}

// A Code names what a [Statement] is about, and stays.
type Code string

// Codes.
const (
	Finds           Code = "finds"             // what share of anomalous images
	FindsPseudo     Code = "finds-pseudo"      // what share of pseudo-defects
	NearChance      Code = "near-chance"       // the AUROC's interval holds .5
	WorseThanChance Code = "worse-than-chance" // or lies below
	Overlap         Code = "overlap"           // scores of good and anomalous images do
	MissesKind      Code = "misses-kind"       // most of one kind
	Mislocates      Code = "mislocates"        // maps show little of where defects are
	RejectsGood     Code = "rejects-good"      // more than was asked
	Unreachable     Code = "unreachable"       // threshold
	NoThreshold     Code = "no-threshold"
	Unknown         Code = "unknown" // nothing was measured
	FewImages       Code = "few-images"
	UnsureThreshold Code = "unsure-threshold" // set from few scores
	LossFalling     Code = "loss-falling"     // when training ended
	Squashed        Code = "squashed"         // images, from another aspect
	Shrunk          Code = "shrunk"           // to a fraction of their size
	AllAnomalous    Code = "all-anomalous"
	NoneAnomalous   Code = "none-anomalous"
	Unlike          Code = "unlike" // the training images, many images
)

// Evidence is what is known of a detector. What is not known is nil.
type Evidence struct {
	Threshold   *float32         // that is in use
	Training    *Training        // of its file's metadata
	Calibration *Calibration     // of that threshold, where training did not set it
	Evaluation  *Evaluation      // at that threshold
	Good        *calibrate.Share // of good images alone, above that threshold
	Unlike      *calibrate.Share // of images that are unlike those it was trained on, as runtime.Result says
}

// Shares, of anomalous images or of pseudo-defects, below which a detector is
// doubtful and poor: one that misses a part in five, and one in two.
const (
	fewFound   = .8
	hardlyAny  = .5
	chance     = .5 // AUROC of guessing
	goodEnough = .9 // AUROC below which no threshold does well
)

// fewLabelled images of a class are too few to set aside what else is known.
const fewLabelled = 10

// Appraise says what there is to say. What was measured on labelled images counts:
// beside ten or more of each class pseudo-defects and training only add notes, beside
// fewer, doubts. What was measured when the threshold was set counts where nothing else was.
func Appraise(known *Evidence) *Appraisal {
	a := &Appraisal{}
	e, when := *known, ""
	if c := e.Calibration; c != nil && e.Evaluation == nil && e.Good == nil {
		e.Evaluation, e.Good, when = c.Measured, c.FalseReject, " when it was calibrated"
	}
	measured := e.Evaluation != nil
	if measured {
		a.evaluated(&e, when)
	} else if e.Good != nil {
		a.rejects(&e, *e.Good, "good images"+when)
	}
	outranked := Note
	if measured && min(e.Evaluation.N.Good, e.Evaluation.N.Anomalous) < fewLabelled {
		outranked = Doubtful
	}
	if t := e.Training; t != nil {
		var of Appraisal
		of.pseudo(&e)
		of.trained(&e)
		a.Pseudo = of.Pseudo
		for _, s := range of.Statements {
			if measured && (a.says(s.Code) || s.Code == UnsureThreshold) { // which says it better
				continue
			}
			if measured && s.Severity > Good {
				s.Severity = min(s.Severity, outranked)
			}
			a.Statements = append(a.Statements, s)
		}
	}
	switch c := e.Calibration; {
	case known.Unlike != nil:
		a.unlike(known.Unlike, known.Evaluation != nil, "")
	case c != nil && c.Unlike != nil && known.Evaluation == nil:
		a.unlike(c.Unlike, c.Measured != nil, when)
	}
	if e.Threshold == nil && (e.Evaluation == nil || e.Evaluation.Decided == nil) {
		a.say(Doubtful, NoThreshold, "nothing says which images are anomalous: there is no threshold", "set one with anomaly calibrate, or give --threshold")
	}
	if !measured && !a.says(FindsPseudo) && !a.says(NoThreshold) {
		a.say(Doubtful, Unknown, "nothing was measured that would say how good it is", "measure it on labelled images: anomaly eval --data DIR")
	}
	slices.SortStableFunc(a.Statements, func(x, y Statement) int { return cmp.Compare(y.Severity, x.Severity) })
	a.Severity = max(a.Statements[0].Severity, Good)
	return a
}

func (a *Appraisal) say(s Severity, code Code, text, do string) {
	a.Statements = append(a.Statements, Statement{s, code, text, do})
}

// says reports whether there is a statement of a code.
func (a *Appraisal) says(code Code) bool {
	return slices.ContainsFunc(a.Statements, func(s Statement) bool { return s.Code == code })
}

// byShare is how a detector does that finds a share.
func byShare(share float64) Severity {
	switch {
	case share < hardlyAny:
		return Poor
	case share < fewFound:
		return Doubtful
	}
	return Good
}

// evaluated says what labelled images tell; when, where not "", is added to what is counted.
func (a *Appraisal) evaluated(e *Evidence, when string) {
	m := e.Evaluation
	area := fmt.Sprintf("AUROC %.3f, %.3f to %.3f with 95 %% confidence", m.Image.AUROC, m.Image.AUROCLow, m.Image.AUROCHigh)
	separates := m.Image.AUROCLow > chance
	if d := m.Decided; d != nil {
		text := fmt.Sprintf("it finds %s and rejects %d of %d good ones (at most %s)",
			found(d.Recall, "anomalous image"), d.FalseReject.Above, d.FalseReject.Of, percent(d.FalseReject.AtMost)) + when
		s, do := byShare(d.Recall.Share), ""
		if s > Good {
			do = e.Training.better()
			if separates && m.Image.AUROC >= goodEnough {
				do = fmt.Sprintf("its scores tell them from good ones, its threshold is too high (F1 %.2f, at the best %.2f): set it anew with anomaly calibrate", d.F1, m.Image.F1Max)
			}
		}
		a.say(s, Finds, text, do)
		a.rejects(e, d.FalseReject, "good images"+when)
		if d.Recall.Above+d.FalseReject.Above == 0 {
			a.say(Poor, Unreachable, fmt.Sprintf("no image that it was measured on, good or anomalous, is above its threshold, %s", figure(m.Threshold)), recalibrate)
		}
	}
	switch {
	case m.Image.AUROCHigh < chance:
		a.say(Poor, WorseThanChance, "it is worse than chance: anomalous images score lower than good ones ("+area+")",
			"see whether good and anomalous images are mixed up; otherwise "+e.Training.better())
	case !separates && m.Image.AUROCHigh < goodEnough:
		a.say(Poor, NearChance, "it is near chance: it does not tell anomalous images from good ones ("+area+")", e.Training.better())
	case !separates:
		a.say(Doubtful, NearChance, fmt.Sprintf("this may be chance: %d good and %d anomalous images are too few to tell (%s)", m.N.Good, m.N.Anomalous, area),
			"measure it on more images, 20 of each or more")
	}
	if separates && m.Image.AUROC < goodEnough {
		a.say(Doubtful, Overlap, "no threshold does well: the scores of good and anomalous images overlap ("+area+")", e.Training.better())
	}
	a.locates(e)
	if !separates || m.Decided == nil || m.Decided.Recall.Share < hardlyAny {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.Kinds)) {
		if d := m.Kinds[name].Decided; d.Recall.Share < hardlyAny {
			a.say(Doubtful, MissesKind, fmt.Sprintf("it misses %d of %d images of kind %s", d.Recall.Of-d.Recall.Above, d.Recall.Of, name),
				"look at them in the report; small defects want a larger --size or --preset best")
		}
	}
}

// locates says that maps show little of where defects are, whatever images score.
func (a *Appraisal) locates(e *Evidence) {
	m := e.Evaluation
	if m.Pixel == nil || m.N.Anomalous < fewLabelled || m.Pixel.AUPRO30 >= hardlyAny {
		return
	}
	s, text := Doubtful, "its maps show only a part of where defects are"
	if m.Pixel.AUPRO30 < 2*chancePRO {
		s, text = Poor, "its maps do not show where defects are"
	}
	a.say(s, Mislocates, fmt.Sprintf("%s (AU-PRO %.2f, by chance %.2f)", text, m.Pixel.AUPRO30, chancePRO), e.Training.better())
}

// chancePRO is the AU-PRO up to a false-positive rate of .3 of maps that know nothing: of
// every defect they mark the share that they mark of good pixels.
const chancePRO = .15

const recalibrate = "set it anew with anomaly calibrate, from good images or labelled ones"

// asked is the share of good images that the threshold was set to reject, and whether it
// was set for one: else that of training and its default is held against it.
func (e *Evidence) asked() (share float64, set bool) {
	switch c := e.Calibration; {
	case c == nil:
		return e.Training.Asked(), e.Training != nil && e.Training.Rule != calibrate.Max
	case c.Rule == RuleFalseReject:
		return c.Target, true
	}
	return e.Training.Asked(), false
}

// rejects says that more good images are rejected than was asked for.
func (a *Appraisal) rejects(e *Evidence, r calibrate.Share, what string) {
	asked, set := e.asked()
	if r.AtLeast <= asked { // may be chance
		return
	}
	s := Doubtful
	if r.Share > chance {
		s = Poor
	}
	more, do := fmt.Sprintf("the %s that it was set for", percent(asked)), "these images differ from those it was trained on: train on images like them too, or anomaly calibrate --good with some that are not among these"
	if !set {
		more = percent(asked)
	}
	if c := e.Calibration; c != nil && c.Rule == RuleGiven {
		do = "the threshold was given: " + recalibrate
	}
	a.say(s, RejectsGood, fmt.Sprintf("it rejects %d of %d %s, more than %s", r.Above, r.Of, what, more), do)
}

// unlike says that many images are unlike those it was trained on: what is said of its
// training then says little of them. A measure on such images, if labelled, holds.
func (a *Appraisal) unlike(u *calibrate.Share, measured bool, when string) {
	if u.Of < severalImages || u.Share <= mostUnlike {
		return
	}
	s, those := Doubtful, "images are"
	if measured {
		s = Note
	}
	if when != "" {
		those = "images that it was calibrated on are"
	}
	a.say(s, Unlike, fmt.Sprintf("%d of %d %s unlike those it was trained on: of another camera, lamp, lens or product", u.Above, u.Of, those),
		"see in what they are (unlike in --json and in the report), and train on images like them")
}

// pseudo says what pseudo-defects on held-back images tell.
func (a *Appraisal) pseudo(e *Evidence) {
	t := e.Training
	n := len(t.Pseudo)
	if n == 0 {
		return
	}
	if e.Threshold != nil {
		share := calibrate.ShareAbove(*e.Threshold, t.Pseudo)
		a.Pseudo = &share
		s, do := byShare(share.Share), ""
		switch {
		case s == Good:
		case e.Calibration != nil && t.PseudoAUROC >= goodEnough:
			do = recalibrate
		default:
			do = t.better()
		}
		a.say(s, FindsPseudo, "it finds "+found(share, "artificial defect")+", put on good images that were held back", do)
		if top, known := t.largest(); known && share.Share <= hardly && float64(*e.Threshold) > top {
			a.say(Poor, Unreachable, fmt.Sprintf("its threshold of %s can hardly be exceeded: good images reach %s, artificial defects %s", figure(e.Threshold), short(top), short(t.Pseudo[n-1])), recalibrate)
		}
	}
	if low, high := metrics.AUROCInterval(t.PseudoAUROC, max(t.HeldBack, 1), n); low <= chance {
		s, text := Poor, "it does not tell artificial defects from good images"
		if high >= goodEnough {
			s, text = Doubtful, "it may not tell artificial defects from good images"
		}
		a.say(s, NearChance, fmt.Sprintf("%s (AUROC %.3f, %.3f to %.3f with 95 %% confidence)", text, t.PseudoAUROC, low, high), t.better())
	}
}

// found says how many of some there are, with the bound that tells more.
func found(s calibrate.Share, what string) string {
	bound, at := "at least", s.AtLeast
	if s.Share < hardlyAny {
		bound, at = "at most", s.AtMost
	}
	return fmt.Sprintf("%d of %s (with 95 %% confidence %s %s)", s.Above, countOf(s.Of, what), bound, percent(at))
}

// hardly is the share of pseudo-defects that a threshold may find which can hardly be exceeded.
const hardly = .02

// trained says what is known of training.
func (a *Appraisal) trained(e *Evidence) {
	t := e.Training
	if share := t.above(e.Threshold); t.HeldBack > 0 && share > 0 {
		a.rejects(e, calibrate.ShareOf(int(math.Round(share*float64(t.HeldBack))), t.HeldBack), "good images that were held back")
	}
	if t.Images > 0 && t.Images < enough {
		a.say(Doubtful, FewImages, fmt.Sprintf("it was trained on %s, which can hardly show all that good parts look like", countOf(t.Images, "image")),
			fmt.Sprintf("train on %d or more, taken on different days and in every pose that occurs", enough))
	}
	a.unsure(e)
	if t.LateFall > stillFalling {
		a.say(Doubtful, LossFalling, fmt.Sprintf("training ended while it was still learning: %s of all that the loss fell by, it fell by in the second half", percent(t.LateFall)),
			fmt.Sprintf("train for longer: --epochs %d", 4*max(t.Epochs, 1)))
	}
	if t.Width == 0 || t.SeenWidth == 0 {
		return
	}
	x, y := float64(t.Width)/float64(t.SeenWidth), float64(t.Height)/float64(t.SeenHeight)
	if by := max(x/y, y/x); by > squashedBy {
		a.say(Note, Squashed, fmt.Sprintf("images of %dx%d are squashed to %dx%d, by %.1f", t.Width, t.Height, t.SeenWidth, t.SeenHeight, by), "leave out --size, or give it as WIDTHxHEIGHT in the images' aspect")
	}
	if by := min(x, y); by > shrunkBy {
		a.say(Note, Shrunk, fmt.Sprintf("images of %dx%d are seen at %dx%d: what is smaller than some %.0f pixels can hardly be found", t.Width, t.Height, t.SeenWidth, t.SeenHeight, math.Ceil(2*by)), "small defects want a larger --size")
	}
}

// unsure says that a threshold that was set from good images rests on too few.
func (a *Appraisal) unsure(e *Evidence) {
	t, c := e.Training, e.Calibration
	n, rests := t.HeldBack, countOf(t.HeldBack, "good image")+" held back"
	if c != nil {
		n, rests = c.Good, countOf(c.Good, "good image")
		if c.Rule != RuleFalseReject && c.Rule != RuleMax {
			return
		}
	}
	asked, _ := e.asked()
	need := calibrate.Enough(asked)
	if n == 0 || n >= need {
		return
	}
	do := fmt.Sprintf("anomaly calibrate --good with %d other good images", need)
	if c == nil && t.Images > 0 {
		do += fmt.Sprintf(", or train on %d", (need*t.Images+n-1)/n)
	}
	a.say(Note, UnsureThreshold, fmt.Sprintf("its threshold rests on %s, too few to be sure that it rejects %s of good parts at most", rests, percent(asked)), do)
}

const (
	enough       = 20  // training images, from which on networks model each place by itself
	stillFalling = .1  // share of the loss's fall in the second half of training
	squashedBy   = 1.1 // further one way than the other
	shrunkBy     = 4   // further, defects of a few pixels are no more than noise
)

// AppraiseRun is [Appraise] with notes on what is odd about so many anomalous images
// of all that were run, of which highest is the largest score.
func AppraiseRun(e *Evidence, anomalous, images int, highest float32) *Appraisal {
	a := Appraise(e)
	switch {
	case images >= severalImages && anomalous == images:
		a.say(Note, AllAnomalous, fmt.Sprintf("all %d images are anomalous", images),
			"if there are good ones among them, they differ from those it was trained on, or the threshold is too low: train on images like them too, or anomaly calibrate --good with some")
	case images >= manyImages && anomalous == 0 && e.Threshold != nil:
		a.say(Note, NoneAnomalous, fmt.Sprintf("none of %d images is above the threshold of %s, the highest score is %s", images, figure(e.Threshold), short(float64(highest))),
			"if there are bad ones among them, anomaly eval says whether they are told from good ones, and anomaly calibrate sets the threshold anew")
	}
	return a
}

// So many images that it is odd if all are anomalous, and if none is.
const (
	severalImages = 5
	manyImages    = 20
	mostUnlike    = .2 // the share of them that may be unlike the training images
)

// countOf spells a number of things.
func countOf(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// percent spells a share.
func percent(share float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(100*share, 'f', 1, 64), ".0") + " %"
}

// short spells a score.
func short(score float64) string { return strconv.FormatFloat(score, 'g', 4, 64) }

// figure spells a threshold, nil for that of a model's own label.
func figure(threshold *float32) string {
	if threshold == nil {
		return "its own"
	}
	return short(float64(*threshold))
}
