package dataset

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

func isMVTec(root string) bool {
	return isDir(root, "train", Good) || isDir(root, "test", Good)
}

func isLOCO(root string) bool { return isMVTec(root) && isFile(root, "defects_config.json") }

func isMVTec2(root string) bool {
	return isDir(root, "train", Good) && isDir(root, "test_public", Good)
}

// mvtec reads MVTec AD's layout.
func (r *reader) mvtec() error {
	if err := r.good(); err != nil {
		return err
	}
	err := r.test("test", "ground_truth", func(kind string, samples []Sample) error {
		return r.findMasks(filepath.Join(r.root, "ground_truth", kind), filepath.Join(r.root, "test", kind), samples)
	})
	r.besides("train", "test", "validation", "ground_truth")
	return err
}

// good reads what there is to learn from, and what is held back.
func (r *reader) good() (err error) {
	if isDir(r.root, "train") {
		kinds, err := r.folders("train")
		if err != nil {
			return err
		}
		for _, kind := range kinds {
			if kind != Good {
				r.notes.Add("train/"+kind+"/", "folders of train other than good are not read")
			}
		}
	}
	if isDir(r.root, "train", Good) {
		if r.set.Train, err = r.files(Good, "train", Good); err != nil {
			return err
		}
	}
	if isDir(r.root, "validation", Good) {
		r.set.Validation, err = r.files(Good, "validation", Good)
		if errors.Is(err, ErrEmpty) {
			err = nil
		}
	}
	return err
}

// test reads the kinds in a folder, and calls masks for those that have a folder
// of ground truth.
func (r *reader) test(folder, truth string, masks func(kind string, samples []Sample) error) error {
	if !isDir(r.root, folder) {
		return nil
	}
	kinds, err := r.folders(folder)
	if err != nil {
		return err
	}
	if parent, base := filepath.Split(truth); filepath.Clean(parent) == folder {
		kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind == base })
	}
	for _, kind := range kinds {
		samples, err := r.files(kind, folder, kind)
		if errors.Is(err, ErrEmpty) {
			r.notes.Add(folder+"/"+kind+"/", "folders of the set without an image")
			continue
		}
		if err != nil {
			return err
		}
		if kind != Good && isDir(r.root, truth, kind) {
			if err := masks(kind, samples); err != nil {
				return err
			}
		}
		r.set.Test = append(r.set.Test, samples...)
	}
	r.missing()
	if !isDir(r.root, truth) {
		return nil
	}
	marked, err := r.folders(truth)
	for _, kind := range marked {
		if !slices.Contains(kinds, kind) {
			r.notes.Add(filepath.ToSlash(truth)+"/"+kind+"/", "ground truth of a kind that "+folder+" does not have")
		}
	}
	return err
}

// mvtec2 reads MVTec AD 2's layout. Its private test sets have no labels.
func (r *reader) mvtec2() error {
	if err := r.good(); err != nil {
		return err
	}
	truth := filepath.Join("test_public", "ground_truth")
	err := r.test("test_public", truth, func(kind string, samples []Sample) error {
		return r.findMasks(filepath.Join(r.root, truth, kind), filepath.Join(r.root, "test_public", kind), samples)
	})
	for _, private := range []string{"test_private", "test_private_mixed"} {
		if isDir(r.root, private) {
			r.notes.Add(private+"/", "test images without labels are not read")
		}
	}
	r.besides("train", "validation", "test_public")
	return err
}

// loco reads MVTec LOCO AD's layout: a folder of masks for each image.
func (r *reader) loco() error {
	defects, err := readDefects(r.root)
	if err != nil {
		return err
	}
	if err := r.good(); err != nil {
		return err
	}
	err = r.test("test", "ground_truth", func(kind string, samples []Sample) error {
		for i := range samples {
			s := &samples[i]
			name := stem(relative(filepath.Join(r.root, "test", kind), s.Path))
			folder := filepath.Join(r.root, "ground_truth", kind, filepath.FromSlash(name))
			if !isDir(folder) {
				continue
			}
			paths, err := images(folder, r.notes)
			if errors.Is(err, ErrEmpty) {
				continue
			}
			if err != nil {
				return err
			}
			s.truth = &truth{paths: paths, defects: defects}
		}
		return nil
	})
	r.besides("train", "test", "validation", "ground_truth")
	return err
}

// stem returns path without its extension.
func stem(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }
