package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/metrics"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
)

// A precisionLoss is what the metadata keep of a precision.
type precisionLoss struct {
	train.Loss
	Labelled *labelledLoss `json:"labelled,omitempty"` // of a data set's test images
}

// A labelledLoss is what a precision costs on labelled images.
type labelledLoss struct {
	Good         int      `json:"good"`
	Anomalous    int      `json:"anomalous"`
	AUROC        float64  `json:"auroc"`
	AUROCReduced float64  `json:"auroc_reduced"`
	Changed      *float64 `json:"changed,omitempty"`
}

// mostPrecisionImages are read for a precision, evenly: half are what ranges are found on.
const mostPrecisionImages = 128

// reduce has n, what export makes of m, written in o.precision, and returns what that costs, in lines.
func (c *console) reduce(ctx context.Context, o *exportOptions, m, n *onnxexport.Model) (lines []string, err error) {
	if is := m.Precision(); is != onnxexport.Float32 {
		if o.precision == "" || o.precision == is {
			return nil, nil // it was done when the file was made, and its metadata say so
		}
		return nil, fmt.Errorf("is of precision %s: what was rounded does not come back, export from the file of float32 that it was made of", is)
	}
	if o.precision == "" || o.precision == onnxexport.Float32 {
		return nil, nil
	}
	net, _, err := n.Network()
	if err != nil {
		return nil, err
	}
	if net.Spec().AEGrad > 0 {
		return nil, fmt.Errorf("--precision %s: not with --aegrad, whose steps add up what a precision loses", o.precision)
	}
	set, err := dataset.Open(o.data, &dataset.Options{Decoding: o.decoding})
	if err != nil {
		return nil, err
	}
	defer c.noteImages(o.decoding)
	if len(set.Train) == 0 {
		return nil, fmt.Errorf("--data: %s has no training images", o.data)
	}
	if hash, err := dataset.Fingerprint(set.Train); err != nil {
		return nil, err
	} else if want := m.Metadata[onnx.KeyDataHash]; want != "" && hash != want {
		c.notef("the images of %s are not those that the model was trained on", o.data)
	}
	// The detector that is compared: of the same network and map.
	plain := *o
	plain.profile, plain.input = onnxexport.Detector, onnxexport.Uint8NHWC
	detector, err := plain.rebuild(m, func(string, ...any) {})
	if err != nil {
		return nil, err
	}
	channels, height, width := net.InputSize()
	pixels, err := dataset.Load(ctx, spaced(set.Train, mostPrecisionImages), height, width, channels, 0)
	if err != nil {
		return nil, err
	}
	r, err := train.Reduce(ctx, detector, o.precision, pixels, &train.ReduceOptions{SessionOptions: o.engine})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	threshold, _, err := detector.Thresholds()
	if err != nil {
		return nil, err
	}
	loss := precisionLoss{Loss: r.Loss}
	if loss.Labelled, err = labelled(ctx, set.Test, r, threshold); err != nil {
		return nil, err
	}
	if large := loss.large(); large != "" {
		if !o.force {
			return nil, fmt.Errorf("--precision %s costs too much: %s; --force writes the file all the same", o.precision, large)
		}
		c.notef("warning: precision %s costs much: %s", o.precision, large)
	}
	if err := n.SetPrecision(o.precision, r.Quantization); err != nil {
		return nil, err
	}
	if o.threshold == nil {
		if err := translate(n, r); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(loss)
	if err != nil {
		return nil, err
	}
	n.Metadata[onnx.KeyLoss] = string(b)
	return loss.lines(o.precision), nil
}

// large says in words what costs too much, "" for nothing.
func (l *precisionLoss) large() string {
	if of := l.Labelled; of != nil {
		both := train.Loss{Changed: of.Changed, AUROC: of.AUROC, AUROCReduced: of.AUROCReduced}
		if s := both.Large(); s != "" {
			return s + " (of the test images)"
		}
	}
	return l.Loss.Large()
}

// lines says what a precision costs.
func (l *precisionLoss) lines(p onnxexport.Precision) []string {
	line := fmt.Sprintf("%s: on %s and %s scores are apart by %.2g of what nine tenths of the images' lie in at the median, by %.2g at the most", p,
		plural(l.Good, "image"), plural(l.Pseudo, "artificial defect"), l.Apart, l.ApartMost)
	if l.Changed != nil {
		line += fmt.Sprintf("; %.1f %% of the verdicts change", 100**l.Changed)
	}
	if l.Pseudo > 0 {
		line += fmt.Sprintf("; AUROC of the defects %.4f, in float32 %.4f", l.AUROCReduced, l.AUROC)
	}
	lines := []string{line}
	if of := l.Labelled; of != nil {
		line := fmt.Sprintf("%s: on %s and %s to test on AUROC %.4f, in float32 %.4f", p, plural(of.Good, "good image"), plural(of.Anomalous, "anomalous one"), of.AUROCReduced, of.AUROC)
		if of.Changed != nil {
			line += fmt.Sprintf("; %.1f %% of the verdicts change", 100**of.Changed)
		}
		lines = append(lines, line)
	}
	return lines
}

// precisionLine says what a model's metadata tell of its precision.
func precisionLine(precision, stored string) string {
	line := precision + ", map and score in float32"
	var l precisionLoss
	if json.Unmarshal([]byte(stored), &l) != nil {
		return line
	}
	if l.Changed != nil {
		line += fmt.Sprintf("; when it was made %.1f %% of the verdicts changed", 100**l.Changed)
	}
	if l.Pseudo > 0 {
		line += fmt.Sprintf(", AUROC of artificial defects %.4f, in float32 %.4f", l.AUROCReduced, l.AUROC)
	}
	return line
}

// labelled compares both detectors on images to test on; nil where they are not of both classes.
func labelled(ctx context.Context, samples []dataset.Sample, r *train.Reduction, threshold float32) (*labelledLoss, error) {
	l := &labelledLoss{}
	for _, s := range samples {
		if s.Anomalous {
			l.Anomalous++
		} else {
			l.Good++
		}
	}
	if l.Good == 0 || l.Anomalous == 0 {
		return nil, nil
	}
	was, is := r.Detectors()
	var all [2][]float64
	var are []bool
	for i, det := range []*anrt.Detector{was, is} {
		err := judge.Run(ctx, det, samples, nil, func(f *judge.Finding) error {
			if f.Err != nil {
				return f.Err
			}
			all[i] = append(all[i], float64(f.Score))
			if i == 0 {
				are = append(are, f.Sample.Anomalous)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var err error
	if l.AUROC, err = metrics.AUROC(all[0], are); err != nil {
		return nil, err
	}
	if l.AUROCReduced, err = metrics.AUROC(all[1], are); err != nil {
		return nil, err
	}
	if finite(threshold) != nil {
		share := float64(r.Translation.Changed(all[0], all[1], float64(threshold))) / float64(len(are))
		l.Changed = &share
	}
	return l, nil
}

// translate has a model's thresholds, and what its metadata say of scores in float32, be
// about those of its precision.
func translate(n *onnxexport.Model, r *train.Reduction) error {
	t := r.Translation
	if !onnxexport.Profile(n.Metadata[onnx.KeyProfile]).Judges() {
		return nil
	}
	of := func(x float64) float64 { return float64(float32(t.Of(x))) }
	image, pixel, err := n.Thresholds()
	if err != nil {
		return err
	}
	for _, x := range []*float32{&image, &pixel} {
		if finite(*x) != nil {
			*x = float32(t.Of(float64(*x)))
		}
	}
	if err := n.SetThresholds(image, pixel); err != nil {
		return err
	}
	for _, key := range []string{onnx.KeyNormalMin, onnx.KeyNormalMax} {
		if x, err := strconv.ParseFloat(n.Metadata[key], 64); err == nil {
			n.Metadata[key] = strconv.FormatFloat(of(x), 'g', -1, 32)
		}
	}
	store := func(key string, v any) {
		if b, err := json.Marshal(v); err == nil { // finite numbers
			n.Metadata[key] = string(b)
		}
	}
	if _, there := n.Metadata[onnx.KeyNormal]; there {
		normal := onnx.ReadNormal(n.Metadata)
		for i, x := range normal.Score {
			normal.Score[i] = of(x)
		}
		store(onnx.KeyNormal, normal)
	}
	var pseudo []float64
	if json.Unmarshal([]byte(n.Metadata[onnx.KeyPseudoScores]), &pseudo) == nil {
		for i, x := range pseudo {
			pseudo[i] = float64(float32(r.Defects.Of(x)))
		}
		slices.Sort(pseudo)
		store(onnx.KeyPseudoScores, pseudo)
	}
	if review, there := n.Metadata[onnx.KeyReview]; there {
		band, err := anrt.ParseBand(review)
		if err != nil {
			return fmt.Errorf("metadata %s: %w", onnx.KeyReview, err)
		}
		band.Low, band.High = float32(t.Of(float64(band.Low))), float32(t.Of(float64(band.High)))
		n.Metadata[onnx.KeyReview] = band.String()
	}
	if c := judge.ReadCalibration(n.Metadata); c != nil {
		if c.Trained != nil {
			trained := float32(t.Of(float64(*c.Trained)))
			c.Trained = &trained
		}
		c.FalseReject, c.Measured, c.Unlike = nil, nil, nil // measured in float32
		return c.Store(n.Metadata)
	}
	return nil
}

// checkPrecision checks --precision and the flags that go with it.
func (o *exportOptions) checkPrecision() error {
	if err := o.precision.Check(); err != nil {
		return usagef("--precision: %s", strings.TrimPrefix(err.Error(), onnxexport.ErrOption.Error()+": precision: "))
	}
	reduces := o.precision != "" && o.precision != onnxexport.Float32
	switch {
	case reduces && o.data == "":
		return usagef("--precision %s needs --data: the training images, on which the ranges of values are found and scores compared", o.precision)
	case !reduces && o.data != "":
		return usagef("--data goes with --precision fp16 or int8")
	case !reduces && o.force:
		return usagef("--force goes with --precision fp16 or int8")
	}
	return nil
}
