package dataset

import (
	"fmt"
	"os"
	"path/filepath"
)

// identity is MNIST-C's name for MNIST itself.
const identity = "identity"

func isMNIST(root string) bool {
	if idxFile(root, "train") != "" || idxFile(root, "t10k") != "" {
		return true
	}
	kinds, err := corruptions(root)
	return err == nil && len(kinds) > 0
}

func (r *reader) mnist() error {
	add := func(to *[]Sample, path, kind string) error {
		samples, err := openRows(path, relative(r.root, path), kind)
		*to = append(*to, samples...)
		return err
	}
	kinds, err := corruptions(r.root)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	// MNIST's own files go before MNIST-C's copies of them.
	trainFile, testFile := idxFile(r.root, "train"), idxFile(r.root, "t10k")
	if path := filepath.Join(r.root, identity, "train_images.npy"); trainFile == "" && isFile(path) {
		trainFile = path
	}
	if path := filepath.Join(r.root, identity, "test_images.npy"); testFile == "" && isFile(path) {
		testFile = path
	}
	if trainFile != "" {
		if err := add(&r.set.Train, trainFile, Good); err != nil {
			return err
		}
	}
	if testFile != "" {
		if err := add(&r.set.Test, testFile, Good); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		if kind == identity {
			continue
		}
		if err := add(&r.set.Test, filepath.Join(r.root, kind, "test_images.npy"), kind); err != nil {
			return err
		}
	}
	return nil
}

// idxFile returns the path of MNIST's images of a split, "" if there is none.
func idxFile(root, split string) string {
	for _, name := range []string{"-images-idx3-ubyte", "-images.idx3-ubyte"} {
		for _, packed := range []string{"", ".gz"} {
			if isFile(root, split+name+packed) {
				return filepath.Join(root, split+name+packed)
			}
		}
	}
	return ""
}

// corruptions returns the folders of root that hold MNIST-C's test images.
func corruptions(root string) (kinds []string, err error) {
	entries, err := os.ReadDir(root)
	for _, entry := range entries {
		if isFile(root, entry.Name(), "test_images.npy") {
			kinds = append(kinds, entry.Name())
		}
	}
	return kinds, err
}
