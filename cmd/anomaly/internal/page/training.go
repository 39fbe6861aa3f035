package page

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/regular"
	"github.com/anomaly-go/anomaly/internal/text"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
)

// What the names of a training run's files end in, behind the model's.
const (
	LogSuffix     = ".log.jsonl"
	ConfigSuffix  = ".config.json"
	SamplesSuffix = ".samples" // a folder of reconstructions
)

// SampleName is the name of the reconstructions after an epoch, in the folder.
func SampleName(epoch int) string { return fmt.Sprintf("epoch-%06d.png", epoch) }

// runOf returns what the files of the run of a log begin with.
func runOf(log string) string { return strings.TrimSuffix(log, LogSuffix) }

// palette is how many colours the page has for runs.
const palette = 8

// A trainingRun is what the page shows of a run.
type trainingRun struct {
	Name     string
	Colour   int
	Lines    []train.LogLine // of the last network; none of one that is fitted in closed form
	Networks int             // trained before it, to set the threshold
	Seconds  float64         // of all networks
	Machines []string        // that computed them
	Config   map[string]string
	Samples  []epochSample

	Threshold *float32         // of the model that came of it; nil for none, or none yet
	Appraisal *judge.Appraisal // of that model; nil if it is not there
}

// An epochSample is a picture of reconstructions.
type epochSample struct {
	Epoch int
	URL   template.URL // holds the picture itself
}

// readTrainingRun reads the log and what lies beside it.
func readTrainingRun(log string) (*trainingRun, error) {
	f, err := regular.Open(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := train.ReadLog(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", log, err)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: no epochs", log)
	}
	r := &trainingRun{Name: filepath.Base(runOf(log)), Networks: lines[len(lines)-1].Stage - 1, Config: map[string]string{}}
	for _, l := range lines {
		if l.Stage == r.Networks+1 {
			r.Lines = append(r.Lines, l)
		}
		if r.Seconds += l.Seconds; l.Machine != "" && !slices.Contains(r.Machines, l.Machine) {
			r.Machines = append(r.Machines, l.Machine)
		}
	}
	r.conclude(runOf(log))
	if err := r.configured(runOf(log)); err != nil {
		return nil, err
	}
	for _, l := range r.Lines {
		if l.Stage != l.Stages {
			break
		}
		b, err := regular.Read(filepath.Join(runOf(log)+SamplesSuffix, SampleName(l.Epoch)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.Samples = append(r.Samples, epochSample{l.Epoch, template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b))})
	}
	return r, nil
}

func (r *trainingRun) Last() train.LogLine { return r.Lines[len(r.Lines)-1] }

// Best returns the epoch with the lowest held-back loss, nil if nothing was held back.
func (r *trainingRun) Best() *train.LogLine {
	var best *train.LogLine
	for i, l := range r.Lines {
		if l.Val != nil && (best == nil || *l.Val < *best.Val) {
			best = &r.Lines[i]
		}
	}
	return best
}

// conclude reads the model that came of the run, if it is there and not an earlier one.
func (r *trainingRun) conclude(model string) {
	d, err := anrt.InspectFile(model)
	if err != nil {
		return
	}
	epoch, loss := d.Metadata[onnx.KeyEpoch], d.Metadata[onnx.KeyFinalLoss]
	if i := slices.IndexFunc(r.Lines, func(l train.LogLine) bool { return strconv.Itoa(l.Epoch) == epoch }); i < 0 || loss != strconv.FormatFloat(r.Lines[i].Loss, 'g', 6, 64) {
		return
	}
	r.judged(d)
}

// judged takes over how good the model is that came of the run.
func (r *trainingRun) judged(d *anrt.Description) {
	r.Threshold = d.Threshold
	r.Appraisal = judge.Appraise(judge.FileEvidence(d.Metadata, d.Threshold))
}

// configured reads what the run of a model was configured with, if that is there.
func (r *trainingRun) configured(model string) error {
	content, err := text.Read(model + ConfigSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(content), &config); err != nil {
		return fmt.Errorf("%s%s: %w", model, ConfigSuffix, err)
	}
	for name, value := range config {
		r.Config[name] = fmt.Sprint(value)
	}
	return nil
}

// Time spells how long the run took.
func (r *trainingRun) Time() string {
	if r.Seconds < 60 {
		return fmt.Sprintf("%.1f s", r.Seconds)
	}
	return time.Duration(r.Seconds * float64(time.Second)).Round(time.Second).String()
}

// curve returns a curve of the run; of returns NaN where there is no value.
func (r *trainingRun) curve(what string, dashed bool, of func(train.LogLine) float64) curve {
	c := curve{name: r.Name + ": " + what, colour: r.Colour, dashed: dashed}
	for _, l := range r.Lines {
		c.x, c.y = append(c.x, float64(l.Epoch)), append(c.y, of(l))
	}
	return c
}

// A trainReport is the page.
type trainReport struct {
	Runs     []*trainingRun
	Loss     template.HTML
	Rate     template.HTML
	Norm     template.HTML
	Settings []settingRow
}

// A settingRow is a setting and its value in each run.
type settingRow struct {
	Name    string
	Values  []string
	Differs bool
}

//go:embed training.html
var trainReportHTML string

var trainReportTemplate = withBanner("training", trainReportHTML, template.FuncMap{"loss": spellLoss, "short": Short})

// spellLoss spells a loss of held-back images for people.
func spellLoss(loss *float64) string {
	if loss == nil {
		return "–"
	}
	return fmt.Sprintf("%.4f", *loss)
}

// WriteTraining writes the page of the runs of some logs.
func WriteTraining(path string, logs []string) error {
	page := &trainReport{}
	var loss, rate, norm []curve
	for i, log := range logs {
		r, err := readTrainingRun(log)
		if err != nil {
			return err
		}
		r.Colour = i % palette
		page.Runs = append(page.Runs, r)
		val := func(l train.LogLine) float64 {
			if l.Val == nil {
				return 0 // not drawn
			}
			return *l.Val
		}
		loss = append(loss, r.curve("loss", false, func(l train.LogLine) float64 { return l.Loss }), r.curve("held back", true, val))
		rate = append(rate, r.curve("learning rate", false, func(l train.LogLine) float64 { return l.LearningRate }))
		norm = append(norm, r.curve("gradient norm", false, func(l train.LogLine) float64 { return l.GradNorm }))
	}
	page.Loss, page.Rate, page.Norm = chart("loss, logarithmic", "epoch", loss), chart("learning rate, logarithmic", "epoch", rate), chart("gradient norm, logarithmic", "epoch", norm)
	return page.write(path)
}

// WriteFitted writes the page of a network that was fitted in closed form, which has no
// log: to what model it came on a machine in so many seconds.
func WriteFitted(path, model, machine string, seconds float64) error {
	r := &trainingRun{Name: filepath.Base(model), Seconds: seconds, Machines: []string{machine}, Config: map[string]string{}}
	d, err := anrt.InspectFile(model)
	if err != nil {
		return err
	}
	r.judged(d)
	if err := r.configured(model); err != nil {
		return err
	}
	page := &trainReport{Runs: []*trainingRun{r}}
	return page.write(path)
}

// write writes the page with the settings of its runs.
func (page *trainReport) write(path string) error {
	settings := map[string]bool{}
	for _, r := range page.Runs {
		for name := range r.Config {
			settings[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		row := settingRow{Name: name}
		for _, r := range page.Runs {
			row.Values = append(row.Values, r.Config[name])
		}
		row.Differs = len(slices.Compact(slices.Sorted(slices.Values(row.Values)))) > 1
		page.Settings = append(page.Settings, row)
	}
	slices.SortStableFunc(page.Settings, func(a, b settingRow) int { // what differs first
		return strings.Compare(fmt.Sprint(b.Differs), fmt.Sprint(a.Differs))
	})
	var b bytes.Buffer
	if err := trainReportTemplate.Execute(&b, page); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, b.Bytes())
}
