package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func isMVTec(root string) bool {
	return isDir(root, "train", Good) || isDir(root, "test", Good)
}

func readMVTec(root string) (train, test []Sample, err error) {
	if isDir(root, "train", Good) {
		if train, err = files(root, filepath.Join("train", Good), Good); err != nil {
			return nil, nil, err
		}
	}
	if !isDir(root, "test") {
		return train, nil, nil
	}
	kinds, err := os.ReadDir(filepath.Join(root, "test"))
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	for _, kind := range kinds {
		name := kind.Name()
		if isHidden(name) || !isDir(root, "test", name) {
			continue
		}
		samples, err := files(root, filepath.Join("test", name), name)
		if errors.Is(err, ErrEmpty) {
			continue // a kind of which the set has no image
		}
		if err != nil {
			return nil, nil, err
		}
		if name != Good && isDir(root, "ground_truth", name) {
			if err := findMasks(root, name, samples); err != nil {
				return nil, nil, err
			}
		}
		test = append(test, samples...)
	}
	return train, test, nil
}

// findMasks gives the images of a kind their ground truth: the mask at the same
// place below ground_truth, with any image extension, named as the image or,
// which goes before it, with "_mask" behind.
func findMasks(root, kind string, samples []Sample) error {
	folder := filepath.Join(root, "ground_truth", kind)
	paths, err := images(folder)
	if err != nil {
		return err
	}
	masks := make(map[string]string, len(paths))
	for _, path := range paths {
		masks[stem(relative(folder, path))] = path
	}
	for i := range samples {
		s := &samples[i]
		name := stem(relative(filepath.Join(root, "test", kind), s.Path))
		mask, ok := masks[name+"_mask"]
		if !ok {
			mask, ok = masks[name]
		}
		if !ok {
			return fmt.Errorf("dataset: mask of %q: neither %s_mask.png nor %[2]s.png in %q: %w", s.Name, name, folder, ErrMask)
		}
		s.mask = mask
	}
	return nil
}

// stem returns path without its extension.
func stem(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }
