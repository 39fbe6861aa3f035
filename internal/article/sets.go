package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/anomaly-go/anomaly/dataset"
)

// losses are what each network is trained with.
var losses = []string{"mse", "ssim"}

// A set is a data set with the article's settings for it.
type set struct {
	name     string
	data     string // what is trained on, in the folder of all data
	size     int
	channels int
	batch    int
	epochs   int // as many as have the article's number of steps
	aegrad   bool
	// eval are the flags that name test images.
	eval func(data string) []string
	// examples are the test images of the figure.
	examples func(data string) ([]example, error)
}

// An example is a test image of a kind.
type example struct {
	kind   string
	sample dataset.Sample
}

// The article trains for 50 epochs. The sets here have fewer images than its had
// (hazelnut 391, grid 264), and so as many more epochs as make the same number of steps.
var sets = []set{
	{"mnist", "mnist", 32, 1, 128, 50, false, mnistEval, mnistExamples},
	mvtec("bottle", "mvtec/bottle", 50),
	mvtec("hazelnut", "hazelnut_toy/hazelnut", 625),
	mvtec("grid", "mvtec_grid_mini/grid", 850),
}

func mvtec(name, data string, epochs int) set {
	return set{name, data, 128, 3, 16, epochs, true,
		func(root string) []string {
			return []string{"--data", filepath.Join(root, data), "--resolution", "256"}
		},
		func(root string) ([]example, error) { return firstOfKinds(filepath.Join(root, data)) },
	}
}

// corruptions are those of MNIST-C that the article shows.
var corruptions = []string{"dotted_line", "shot_noise", "impulse_noise", "zigzag"}

func mnistGood(root string) string { return filepath.Join(root, "mnist", "t10k-images-idx3-ubyte.gz") }

func mnistCorrupted(root, kind string) string {
	return filepath.Join(root, "mnist-c", kind, "test_images.npy")
}

func mnistEval(root string) []string {
	args := []string{"--good", mnistGood(root)}
	for _, kind := range corruptions {
		args = append(args, "--anomalous", kind+"="+mnistCorrupted(root, kind))
	}
	return args
}

// mnistDigit is the test digit that the figure shows, without and with each corruption.
const mnistDigit = 4

func mnistExamples(root string) ([]example, error) {
	var list []example
	for _, kind := range append([]string{dataset.Good}, corruptions...) {
		path := mnistGood(root)
		if kind != dataset.Good {
			path = mnistCorrupted(root, kind)
		}
		samples, err := dataset.Find(path)
		if err != nil {
			return nil, err
		}
		if len(samples) <= mnistDigit {
			return nil, fmt.Errorf("%s: got %d images, want more than %d", path, len(samples), mnistDigit)
		}
		list = append(list, example{kind, samples[mnistDigit]})
	}
	return list, nil
}

// firstOfKinds returns the first test image of each kind, good ones first.
func firstOfKinds(data string) ([]example, error) {
	s, err := dataset.Open(data, nil)
	if err != nil {
		return nil, err
	}
	var list []example
	for _, sample := range s.Test {
		if !slices.ContainsFunc(list, func(e example) bool { return e.kind == sample.Kind }) {
			list = append(list, example{sample.Kind, sample})
		}
	}
	slices.SortStableFunc(list, func(a, b example) int {
		return cmp.Compare(b2i(a.sample.Anomalous), b2i(b.sample.Anomalous))
	})
	return list, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// train returns the arguments of `anomaly train`, which goes on where it was stopped.
func (s *set) train(root, loss string, epochs int, out string) []string {
	args := []string{
		"train", "--data", filepath.Join(root, s.data), "--model", "dcae", "--size", strconv.Itoa(s.size), "--channels", strconv.Itoa(s.channels),
		"--batch", strconv.Itoa(s.batch), "--loss", loss, "--epochs", strconv.Itoa(epochs), "--out", out,
	}
	if there(out + ".ckpt") {
		args = append(args, "--resume")
	}
	return args
}
