package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Set is a dataset with its split.
type Set struct {
	Name   string // the root's last element
	Root   string
	Layout string // the one that was read

	Train      []Sample // good images only, to learn from
	Validation []Sample // good images that the set holds back from learning; may be empty
	Test       []Sample // good and anomalous ones, to evaluate on; may be empty
}

// Options are those of Open and Find. Nil means the defaults.
type Options struct {
	// Layout is one of those at Open; "" means the first that fits.
	Layout string
	// Decoding is that of all samples. What is passed over in folders goes to its
	// Notes.
	Decoding *Decoding
}

func (o *Options) orDefaults() *Options {
	if o == nil {
		return &Options{}
	}
	return o
}

// A layout is a way to lay out a set on disk.
type layout struct {
	name, shape string // shape says what it looks like, for people
	fits        func(root string) bool
	read        func(r *reader) error
}

// layouts are tried in this order.
var layouts = []layout{
	{"mvtec2", "train/good/*, test_public/{good,bad}/*, test_public/ground_truth/bad/<name>_mask.png", isMVTec2, (*reader).mvtec2},
	{"loco", "train/good/*, test/{good,logical_anomalies,…}/*, ground_truth/<kind>/<name>/*.png, defects_config.json", isLOCO, (*reader).loco},
	{"mvtec", "train/good/*, test/<kind>/*, ground_truth/<kind>/<name>_mask.png", isMVTec, (*reader).mvtec},
	{"visa", "Data/Images/{Normal,Anomaly}/*, Data/Masks/Anomaly/*", isVisA, (*reader).visa},
	{"mnist", "{train,t10k}-images-idx3-ubyte[.gz], or <kind>/test_images.npy as MNIST-C", isMNIST, (*reader).mnist},
	{"folder", "images", isFolder, (*reader).folder},
	{"rows", "an .npy or idx file", isRows, (*reader).array},
}

// Open reads the set at root, in one of the layouts
//
//	mvtec2  a category of MVTec AD 2 (Heckler-Kram et al. 2025): train/good,
//	        validation/good, test_public/{good,bad}, test_public/ground_truth/bad.
//	loco    a category of MVTec LOCO AD (Bergmann et al., IJCV 2022): train/good,
//	        validation/good, test/{good,logical_anomalies,structural_anomalies},
//	        ground_truth/<kind>/<name>/*.png, one mask for each defect, whose level is
//	        the defect's number in defects_config.json: [Sample.Defects].
//	mvtec   train/good, test/<kind>, ground_truth/<kind>/<name>_mask.png or <name>.png:
//	        MVTec AD and all who copy it (Bergmann et al., CVPR 2019). Kinds are the
//	        folders of test.
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
// What lies there and is not read, and ground truth that is missing or belongs to
// no image, goes to Options.Decoding.Notes. Tables are CSV with any of , ; and tab
// between fields, as UTF-8 or UTF-16.
//
// Errors wrap fs.ErrNotExist, ErrEmpty, ErrMask, or ErrLayout where none fits.
func Open(root string, opts *Options) (*Set, error) {
	opts = opts.orDefaults()
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
		if err := l.read(&reader{root: root, set: set, notes: opts.Decoding.notes()}); err != nil {
			return nil, err
		}
		if len(set.Train)+len(set.Test) == 0 {
			return nil, fmt.Errorf("dataset: %q, layout %s: %w", root, l.name, ErrEmpty)
		}
		for _, samples := range [][]Sample{set.Train, set.Validation, set.Test} {
			decodeAs(samples, opts.Decoding)
		}
		return set, nil
	}
	return nil, layoutError(root, opts.Layout)
}

// decodeAs gives all samples their decoding.
func decodeAs(samples []Sample, d *Decoding) {
	for i := range samples {
		samples[i].Decoding = d
	}
}

// A reader reads a set.
type reader struct {
	root  string
	set   *Set
	notes *Notes
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
	what := ""
	if isFile(root) {
		what = ": it is a file"
	}
	return fmt.Errorf("dataset: %q%s: %w%s, want one of%s", root, want, ErrLayout, what, b.String())
}

// file returns the sample of an image file below the root, or those of its pages.
func (r *reader) file(path, kind string) []Sample {
	samples := pages(Sample{Name: relative(r.root, path), Path: path, Row: -1})
	for i := range samples {
		samples[i].Kind, samples[i].Anomalous = kind, kind != Good
	}
	return samples
}

// files returns the samples of all image files below a folder of the root, which
// must have some.
func (r *reader) files(kind string, folder ...string) ([]Sample, error) {
	paths, err := images(filepath.Join(append([]string{r.root}, folder...)...), r.notes)
	if err != nil {
		return nil, err
	}
	var samples []Sample
	for _, path := range paths {
		samples = append(samples, r.file(path, kind)...)
	}
	return samples, nil
}

// folders returns the names of the folders in one of the root, and notes the
// images that lie beside them.
func (r *reader) folders(folder string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(r.root, folder))
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case isHidden(name):
		case isDir(r.root, folder, name):
			names = append(names, name)
		default:
			r.beside(filepath.Join(folder, name))
		}
	}
	return names, nil
}

// beside notes a file that the layout has no place for, if it is one that people
// expect to be read.
func (r *reader) beside(path string) {
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case hasImage(path) || unread[ext] != "":
		r.notes.Add(filepath.ToSlash(path), "images beside the folders of the set are not read")
	case ext == ".csv" || ext == ".tsv":
		r.notes.Add(filepath.ToSlash(path), "tables that this layout does not use")
	}
}

// besides notes what lies in the root and is not read: everything but the names
// given.
func (r *reader) besides(known ...string) {
	entries, err := os.ReadDir(r.root)
	if err != nil {
		return // said by who reads it
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case isHidden(name) || slices.Contains(known, name):
		case !isDir(r.root, name):
			r.beside(name)
		case groundTruth.MatchString(name):
			r.notes.Add(name+"/", "ground truth is looked for in ground_truth, not in")
		}
	}
}

// groundTruth are the names that people give folders of masks.
var groundTruth = regexp.MustCompile(`(?i)^(ground[-_ ]*truths?|gt|masks?|labels?|annotations?)$`)

func isFolder(root string) bool {
	paths, _, err := filesIn(root)
	return err == nil && len(paths) > 0
}

func (r *reader) folder() error {
	paths, within, err := filesIn(r.root)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	for _, path := range paths {
		r.set.Train = append(r.set.Train, r.file(path, Good)...)
	}
	for _, name := range within {
		if below, err := walk(filepath.Join(r.root, name), map[string]bool{}, nil); err == nil && len(below) > 0 {
			r.notes.Add(name+"/", "folders within the folder of images are not read")
		}
	}
	r.besides(names(paths)...)
	return nil
}

// names returns the last elements of paths.
func names(paths []string) []string {
	var out []string
	for _, path := range paths {
		out = append(out, filepath.Base(path))
	}
	return out
}

// filesIn returns the image files in a folder, not below it, and the folders.
func filesIn(folder string) (paths, within []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case isHidden(name):
		case hasImage(name) && isFile(folder, name):
			paths = append(paths, filepath.Join(folder, name))
		case isDir(folder, name):
			within = append(within, name)
		}
	}
	return paths, within, err
}

func isRows(root string) bool { return hasRows(root) && isFile(root) }

func (r *reader) array() (err error) {
	r.set.Train, err = openRows(r.root, filepath.Base(r.root), Good)
	return err
}
