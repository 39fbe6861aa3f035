package drift

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/runtime"
)

// ErrInput is wrapped by errors about options.
var ErrInput = errors.New("drift: input")

// Options are options of [New]; nil is all defaults.
type Options struct {
	// Window is how many images are compared at a time; 0 is 200.
	Window int
	// FalseAlarms is the share of windows, at the most, in which anything is said to have
	// drifted though images are independent and as in training; 0 is 0.001.
	FalseAlarms float64
	// NoScores leaves scores out: where they are not such as training saw, of another map or
	// with areas left out.
	NoScores bool
}

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Window = cmp.Or(c.Window, DefaultWindow)
	c.FalseAlarms = cmp.Or(c.FalseAlarms, DefaultFalseAlarms)
	return c
}

func (o *Options) validate() error {
	const least, most = 20, 10_000
	switch {
	case o.Window < least || o.Window > most:
		return fmt.Errorf("%w: window: got %d images, want %d to %d", ErrInput, o.Window, least, most)
	case !(o.FalseAlarms > 0 && o.FalseAlarms < 1):
		return fmt.Errorf("%w: false alarms: got %v, want a share between 0 and 1", ErrInput, o.FalseAlarms)
	}
	return nil
}

// ScoresOf leaves scores out where a detector's are not such as training saw.
func (o *Options) ScoresOf(d *runtime.Options) {
	o.NoScores = o.NoScores || d.Zones != nil || d.MinArea > 1
}

// Defaults of Options.
const (
	DefaultWindow      = 200
	DefaultFalseAlarms = .001
)

// Quantities that are compared, in this order.
const (
	Score      = "score" // higher ones alone: models that training fitted to fewer images score higher
	Brightness = "brightness"
	Sharpness  = "sharpness"
)

// A Report is what a window of images is like in one quantity.
type Report struct {
	Quantity string  `json:"quantity"`
	Distance float64 `json:"distance"` // from the training images, in [0,1]: see [New]
	Limit    float64 `json:"limit"`    // of the distance
	Drifted  bool    `json:"drifted"`  // whether it is reached
	Median   float64 `json:"median"`   // of the window
	Usual    float64 `json:"usual"`    // of the training images
	Images   int     `json:"images"`   // of the window
}

// String says it in words.
func (r Report) String() string {
	how := "as in training"
	if r.Drifted {
		words := map[string][2]string{Score: {"lower", "higher"}, Brightness: {"darker", "brighter"}, Sharpness: {"more blurred", "sharper or noisier"}}[r.Quantity]
		switch {
		case r.Median < r.Usual:
			how = words[0] + " than in training"
		case r.Median > r.Usual:
			how = words[1] + " than in training"
		default:
			how = "spread otherwise than in training"
		}
	}
	return fmt.Sprintf("%s: %s (median %.3g of the last %d images, usual %.3g; distance %.2f, limit %.2f)", r.Quantity, how, r.Median, r.Images, r.Usual, r.Distance, r.Limit)
}

// A Monitor compares images with those that a model was trained on. It is safe for
// concurrent use.
type Monitor struct {
	mu    sync.Mutex
	tests []*test
}

// A test is of one quantity.
type test struct {
	reference
	quantity string
	usual    float64
	limit    float64
	values   []float64 // of the window that fills
	last     *Report
}

// New returns a monitor for a model. It compares what the model's metadata have quantiles
// of, the quantities of which they have none, or of too few images, are left out: of models
// of other tools all are.
//
// The distance is that of Kolmogorov and Smirnov for two samples, taken at the quantiles
// alone: the largest difference of two distribution functions. Its limit is exact: the
// least whose chance, counted over all orders in which the values of two samples of one
// distribution can lie, is at most FalseAlarms divided by the quantities. Errors wrap
// ErrInput.
func New(info *runtime.ModelInfo, o *Options) (*Monitor, error) {
	c := o.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	normal := onnx.ReadNormal(info.Metadata)
	number := func(key string) int {
		n, err := strconv.Atoi(info.Metadata[key])
		if err != nil {
			return 0
		}
		return n
	}
	m := &Monitor{}
	add := func(quantity string, q []float64, n int) {
		median, known := normal.At(q, .5)
		if n < 2 || !known || len(q) != len(normal.Levels) || !slices.IsSorted(q) || !slices.IsSorted(normal.Levels) || normal.Levels[0] < 0 || normal.Levels[len(q)-1] > 1 {
			return
		}
		m.tests = append(m.tests, &test{reference: reference{n, normal.Levels, q, quantity == Score}, quantity: quantity, usual: median})
	}
	if !c.NoScores && info.Kind == runtime.KindDetector {
		add(Score, normal.Score, number(onnx.KeyNormalCount))
	}
	add(Brightness, normal.Brightness, number(onnx.KeyDataImages))
	add(Sharpness, normal.Sharpness, number(onnx.KeyDataImages))
	rate := c.FalseAlarms / float64(len(m.tests))
	for _, t := range m.tests {
		t.limit = t.reference.limit(c.Window, rate)
		t.values = make([]float64, 0, c.Window)
	}
	m.tests = slices.DeleteFunc(m.tests, func(t *test) bool { return math.IsInf(t.limit, 1) })
	return m, nil
}

// Add takes note of an image. Of the quantities whose window it fills it returns what they
// are like, before the next window begins.
func (m *Monitor) Add(r *runtime.Result) []Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reports []Report
	for _, t := range m.tests {
		x := float64(r.Score)
		switch {
		case t.quantity != Score && r.Look == nil:
			continue
		case t.quantity == Brightness:
			x = r.Look.Brightness
		case t.quantity == Sharpness:
			x = r.Look.Sharpness
		}
		if t.values = append(t.values, x); len(t.values) < cap(t.values) {
			continue
		}
		slices.Sort(t.values)
		d := t.distance(t.values)
		t.last = &Report{t.quantity, d, t.limit, d >= t.limit, t.values[len(t.values)/2], t.usual, len(t.values)}
		reports = append(reports, *t.last)
		t.values = t.values[:0]
	}
	return reports
}

// Last returns what the last full window of each quantity was like.
func (m *Monitor) Last() []Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reports []Report
	for _, t := range m.tests {
		if t.last != nil {
			reports = append(reports, *t.last)
		}
	}
	return reports
}
