package dataset

import (
	"fmt"
	"path/filepath"
	"strings"
)

func isVisA(root string) bool { return isDir(root, "Data", "Images", "Normal") }

func (r *reader) visa() error {
	kinds, err := visaKinds(r.root)
	if err != nil {
		return err
	}
	defer r.missing()
	err = r.visaSplit(kinds)
	if err != nil || len(r.set.Train)+len(r.set.Test) > 0 {
		return err
	}

	normal, err := r.files(Good, "Data", "Images", "Normal")
	if err != nil {
		return err
	}
	for i, s := range normal {
		if i%10 == 9 {
			r.set.Test = append(r.set.Test, s)
		} else {
			r.set.Train = append(r.set.Train, s)
		}
	}
	if !isDir(r.root, "Data", "Images", "Anomaly") {
		return nil
	}
	anomalous, err := r.files("anomaly", "Data", "Images", "Anomaly")
	if err != nil {
		return err
	}
	for i := range anomalous {
		s := &anomalous[i]
		if kind, ok := kinds[s.Name]; ok {
			s.Kind = kind
		}
		mask := filepath.Join(r.root, "Data", "Masks", "Anomaly", stem(filepath.Base(s.Path))+".png")
		if isFile(mask) {
			s.truth = &truth{paths: []string{mask}}
		}
	}
	r.set.Test = append(r.set.Test, anomalous...)
	return nil
}

// visaKinds returns the anomalous images' kinds by Name. One image can have
// several, in one string: "bent,scratch".
func visaKinds(root string) (map[string]string, error) {
	kinds := map[string]string{}
	err := readCSV(filepath.Join(root, "image_anno.csv"), []string{"image", "label"}, func(row []string) error {
		path, err := visaPath(root, row[0])
		if err == nil && row[1] != "normal" {
			kinds[relative(root, path)] = row[1]
		}
		return err
	})
	return kinds, err
}

// visaSplit reads the set as ../split_csv/1cls.csv has it, nothing if that has no
// images of this category.
func (r *reader) visaSplit(kinds map[string]string) error {
	abs, err := filepath.Abs(r.root)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	split := filepath.Join(filepath.Dir(abs), "split_csv", "1cls.csv")
	columns := []string{"object", "split", "label", "image", "mask"}
	return readCSV(split, columns, func(row []string) error {
		if row[0] != filepath.Base(abs) {
			return nil
		}
		path, err := visaPath(r.root, row[3])
		if err != nil {
			return err
		}
		kind := Good
		if row[2] != "normal" {
			kind = "anomaly"
			if k, ok := kinds[relative(r.root, path)]; ok {
				kind = k
			}
		}
		samples := r.file(path, kind)
		if row[4] != "" {
			mask, err := visaPath(r.root, row[4])
			if err != nil {
				return err
			}
			for i := range samples {
				samples[i].truth = &truth{paths: []string{mask}}
			}
		}
		switch {
		case row[1] == "test":
			r.set.Test = append(r.set.Test, samples...)
		case row[1] == "train" && kind == Good:
			r.set.Train = append(r.set.Train, samples...)
		default:
			return fmt.Errorf("got split %q of a %s image, want train (normal only) or test", row[1], row[2])
		}
		return nil
	})
}

// visaPath returns where a path of VisA's tables lies: they begin with the
// category, which root is.
func visaPath(root, path string) (string, error) {
	_, below, ok := strings.Cut(path, "/")
	below = filepath.FromSlash(below)
	if !ok || !filepath.IsLocal(below) {
		return "", fmt.Errorf("got path %q, want <category>/Data/…", path)
	}
	return filepath.Join(root, below), nil
}
