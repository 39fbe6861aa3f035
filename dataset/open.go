package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Set is a dataset with its split.
type Set struct {
	Name   string // the root's last element
	Root   string
	Layout string // the one that was read

	Train []Sample // good images only, to learn from
	Test  []Sample // good and anomalous ones, to evaluate on; may be empty
}

// Options are those of Open. Nil means the defaults.
type Options struct {
	// Layout is one of those at Open; "" means the first that fits.
	Layout string
}

// A layout is a way to lay out a set on disk.
type layout struct {
	name, shape string // shape says what it looks like, for people
	fits        func(root string) bool
	read        func(root string) (train, test []Sample, err error)
}

// layouts are tried in this order.
var layouts = []layout{
	{"mvtec", "train/good/*, test/<kind>/*, ground_truth/<kind>/<name>_mask.png", isMVTec, readMVTec},
	{"visa", "Data/Images/{Normal,Anomaly}/*, Data/Masks/Anomaly/*", isVisA, readVisA},
	{"mnist", "{train,t10k}-images-idx3-ubyte[.gz], or <kind>/test_images.npy as MNIST-C", isMNIST, readMNIST},
	{"folder", "images", isFolder, readFolder},
	{"rows", "an .npy or idx file", isRows, readRows},
}

// Open reads the set at root, in one of the layouts
//
//	mvtec   train/good, test/<kind>, ground_truth/<kind>/<name>_mask.png or <name>.png:
//	        MVTec AD and all who copy it (Bergmann et al., CVPR 2019). Kinds are the
//	        folders of test; those that have a ground truth must have it for every image.
//	visa    a category of VisA (Zou et al., ECCV 2022): Data/Images/{Normal,Anomaly},
//	        Data/Masks/Anomaly; the split of ../split_csv/1cls.csv, or without it every
//	        tenth normal image to test on; kinds from image_anno.csv, or else "anomaly".
//	mnist   train-images-idx3-ubyte[.gz] to learn from and t10k-images-idx3-ubyte[.gz] as
//	        good images to test on; or MNIST-C (Mu & Gilmer 2019), <kind>/test_images.npy,
//	        with kind "identity" good; or both in one folder.
//	folder  a folder with images in it, all of them good and to learn from. Folders
//	        within are not read.
//	rows    an .npy or idx file as Find reads it, all rows good and to learn from.
//
// Errors wrap fs.ErrNotExist, ErrEmpty, ErrMask, or ErrLayout where none fits.
func Open(root string, opts *Options) (*Set, error) {
	if opts == nil {
		opts = &Options{}
	}
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	for _, l := range layouts {
		if opts.Layout != "" && opts.Layout != l.name || !l.fits(root) {
			continue
		}
		set := &Set{Name: filepath.Base(abs), Root: root, Layout: l.name}
		if set.Train, set.Test, err = l.read(root); err != nil {
			return nil, err
		}
		if len(set.Train)+len(set.Test) == 0 {
			return nil, fmt.Errorf("dataset: %q, layout %s: %w", root, l.name, ErrEmpty)
		}
		return set, nil
	}
	return nil, layoutError(root, opts.Layout)
}

// layoutError says what Open would have accepted, and which folders within root
// it would: giving the folder of all categories is the usual slip.
func layoutError(root, want string) error {
	entries, err := os.ReadDir(root)
	if err == nil && len(entries) == 0 {
		return fmt.Errorf("dataset: folder %q: %w", root, ErrEmpty)
	}
	var b strings.Builder
	var sets []string
	for _, l := range layouts {
		fmt.Fprintf(&b, "\n  %-7s %s", l.name, l.shape)
	}
	for _, entry := range entries { // none if root is a file
		path := filepath.Join(root, entry.Name())
		if slices.ContainsFunc(layouts, func(l layout) bool { return l.fits(path) }) {
			sets = append(sets, entry.Name())
		}
	}
	if len(sets) > 0 {
		fmt.Fprintf(&b, "\nthese in it can be opened: %s", strings.Join(sets, ", "))
	}
	if want != "" {
		want = fmt.Sprintf(", layout %q", want)
	}
	return fmt.Errorf("dataset: %q%s: %w, want one of%s", root, want, ErrLayout, b.String())
}

// file returns the sample of an image file below root.
func file(root, path, kind string) Sample {
	return Sample{Name: relative(root, path), Path: path, Row: -1, Kind: kind, Anomalous: kind != Good}
}

// files returns the samples of all image files below a folder of root, which
// must have some.
func files(root, folder, kind string) ([]Sample, error) {
	paths, err := images(filepath.Join(root, folder))
	if err != nil {
		return nil, err
	}
	samples := make([]Sample, len(paths))
	for i, path := range paths {
		samples[i] = file(root, path, kind)
	}
	return samples, nil
}

func isFolder(root string) bool {
	paths, err := filesIn(root)
	return err == nil && len(paths) > 0
}

func readFolder(root string) (train, test []Sample, err error) {
	paths, err := filesIn(root)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	for _, path := range paths {
		train = append(train, file(root, path, Good))
	}
	return train, nil, nil
}

// filesIn returns the image files in a folder, not below it.
func filesIn(folder string) (paths []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		name := entry.Name()
		if hasImage(name) && !isHidden(name) && isFile(folder, name) {
			paths = append(paths, filepath.Join(folder, name))
		}
	}
	return paths, err
}

func isRows(root string) bool { return hasRows(root) && isFile(root) }

func readRows(root string) (train, test []Sample, err error) {
	train, err = openRows(root, filepath.Base(root), Good)
	return train, nil, err
}
