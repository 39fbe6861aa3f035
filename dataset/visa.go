package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func isVisA(root string) bool { return isDir(root, "Data", "Images", "Normal") }

func readVisA(root string) (train, test []Sample, err error) {
	kinds, err := visaKinds(root)
	if err != nil {
		return nil, nil, err
	}
	train, test, err = visaSplit(root, kinds)
	if err != nil || len(train)+len(test) > 0 {
		return train, test, err
	}

	normal, err := files(root, filepath.Join("Data", "Images", "Normal"), Good)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range normal {
		if i%10 == 9 {
			test = append(test, s)
		} else {
			train = append(train, s)
		}
	}
	if !isDir(root, "Data", "Images", "Anomaly") {
		return train, test, nil
	}
	anomalous, err := files(root, filepath.Join("Data", "Images", "Anomaly"), "anomaly")
	if err != nil {
		return nil, nil, err
	}
	for i := range anomalous {
		s := &anomalous[i]
		if kind, ok := kinds[s.Name]; ok {
			s.Kind = kind
		}
		mask := filepath.Join(root, "Data", "Masks", "Anomaly", stem(filepath.Base(s.Path))+".png")
		if isFile(mask) {
			s.mask = mask
		} else if isDir(root, "Data", "Masks", "Anomaly") {
			return nil, nil, fmt.Errorf("dataset: mask of %q: no file %q: %w", s.Name, mask, ErrMask)
		}
	}
	return train, append(test, anomalous...), nil
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

// visaSplit returns the set as ../split_csv/1cls.csv has it, nothing if that has
// no images of this category.
func visaSplit(root string, kinds map[string]string) (train, test []Sample, err error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	split := filepath.Join(filepath.Dir(abs), "split_csv", "1cls.csv")
	columns := []string{"object", "split", "label", "image", "mask"}
	err = readCSV(split, columns, func(row []string) error {
		if row[0] != filepath.Base(abs) {
			return nil
		}
		path, err := visaPath(root, row[3])
		if err != nil {
			return err
		}
		s := file(root, path, Good)
		if row[2] != "normal" {
			kind, ok := kinds[s.Name]
			if !ok {
				kind = "anomaly"
			}
			s.Kind, s.Anomalous = kind, true
		}
		if row[4] != "" {
			if s.mask, err = visaPath(root, row[4]); err != nil {
				return err
			}
		}
		switch {
		case row[1] == "test":
			test = append(test, s)
		case row[1] == "train" && !s.Anomalous:
			train = append(train, s)
		default:
			return fmt.Errorf("got split %q of a %s image, want train (normal only) or test", row[1], row[2])
		}
		return nil
	})
	return train, test, err
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

// readCSV calls row with the named columns of every line. That there is no such
// file is no error.
func readCSV(path string, columns []string, row func([]string) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return fmt.Errorf("dataset: %q: %w", path, err)
	}
	if len(lines) == 0 {
		return fmt.Errorf("dataset: %q: %w", path, ErrEmpty)
	}
	at := make([]int, len(columns))
	for i, column := range columns {
		at[i] = -1
		for j, name := range lines[0] {
			if strings.TrimSpace(name) == column {
				at[i] = j
			}
		}
		if at[i] < 0 {
			return fmt.Errorf("dataset: %q: got columns %q, want %q", path, lines[0], columns)
		}
	}
	picked := make([]string, len(columns))
	for n, line := range lines[1:] {
		for i, j := range at {
			picked[i] = line[j]
		}
		if err := row(picked); err != nil {
			return fmt.Errorf("dataset: %q, row %d: %w", path, n+1, err)
		}
	}
	return nil
}
