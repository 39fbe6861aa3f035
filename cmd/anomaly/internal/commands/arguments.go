package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/regular"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// checkModel recognises what is put in a model's place and is none, a folder or an
// image; where the model is another of the arguments, they were swapped.
func checkModel(command, path string, others ...string) error {
	what, wrong := notModel(path)
	if what == "" {
		return nil
	}
	if i := slices.IndexFunc(others, isModel); i >= 0 {
		return usagef("%s takes the model first: got %s, which is %s, and behind it %s, which is a model; swap them", command, printable(path), what, printable(others[i]))
	}
	return wrong
}

// notModel says what a path leads to that is certainly no model, "" where it may be
// one or is not there, and what is wrong with it as one.
func notModel(path string) (what string, wrong error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return "a folder", fmt.Errorf("%s: %w: it is a folder, want a model's file", printable(path), anrt.ErrModel)
	case err == nil && isImage(path):
		return "an image", fmt.Errorf("%s: %w: it is an image, want a model's file", printable(path), anrt.ErrModel)
	}
	return "", nil
}

// isImage reports whether a file begins as an image that is read.
func isImage(path string) bool {
	f, err := regular.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = imageio.Size(f, nil)
	return err == nil
}

// isModel reports whether an argument is the file of a model.
func isModel(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	if strings.EqualFold(filepath.Ext(path), ".onnx") {
		return true
	}
	_, err = anrt.InspectFile(path)
	return err == nil
}
