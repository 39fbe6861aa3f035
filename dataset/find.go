package dataset

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/internal/imageio"
)

// Find returns the images that the arguments of a command line name, in their
// order: image files (each page of a TIFF file is an image), folders (with all that lie below, sorted by path; hidden
// ones, whose names begin with '.', are left out), patterns of
// [filepath.Glob], and .npy or idx files (each row one image).
//
// .npy files hold [N,H,W,C], [N,C,H,W] (C 1 or 3; if both axes could be, the
// last is) or [N,H,W]: uint8, or float32 or float64 in [0,1], which is times 255
// and rounded. idx files (.idx3-ubyte and the like, also .gz) hold bytes [N,H,W]
// or [N,H,W,C]. In folders they are left out: arrays there may be anything.
//
// A Name is relative to the deepest folder that contains all arguments (a folder
// itself, a file's folder), so that no two are the same; an image that several
// arguments name is returned once. Kind is not known.
//
// Errors wrap fs.ErrNotExist where there is nothing, ErrEmpty where there are no
// images. Of image files only TIFF is opened, to count its pages: what is damaged
// shows when it is read.
func Find(args ...string) ([]Sample, error) { return (*Options)(nil).Find(args...) }

// Find is the function Find with samples that are decoded by o.Decoding; the files
// in folders that are passed over go to its Notes.
func (o *Options) Find(args ...string) ([]Sample, error) {
	o = o.orDefaults()
	var files, folders []string
	for _, arg := range args {
		paths, err := expand(arg)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			path, err := filepath.Abs(path)
			if err != nil {
				return nil, fmt.Errorf("dataset: %w", err)
			}
			info, err := os.Stat(path)
			switch {
			case err != nil:
				return nil, fmt.Errorf("dataset: %w", err)
			case info.IsDir():
				below, err := images(path, o.Decoding.notes())
				if err != nil {
					return nil, err
				}
				files, folders = append(files, below...), append(folders, path)
			case info.Mode().IsRegular():
				files, folders = append(files, path), append(folders, filepath.Dir(path))
			default:
				return nil, fmt.Errorf("dataset: %q: neither a file nor a folder", arg)
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("dataset: nothing named: %w", ErrEmpty)
	}
	root := common(folders)
	var samples []Sample
	seen := make(map[string]bool, len(files))
	for _, path := range files {
		if seen[path] {
			continue
		}
		seen[path] = true
		if !hasRows(path) {
			samples = append(samples, pages(Sample{Name: relative(root, path), Path: path, Row: -1})...)
			continue
		}
		rows, err := openRows(path, relative(root, path), "")
		if err != nil {
			return nil, err
		}
		samples = append(samples, rows...)
	}
	decodeAs(samples, o.Decoding)
	return samples, nil
}

// pages returns the samples of a file's pages: itself unless it is a TIFF file of
// several.
func pages(s Sample) []Sample {
	switch strings.ToLower(filepath.Ext(s.Path)) {
	case ".tif", ".tiff", ".btf", ".tf8":
	default:
		return []Sample{s}
	}
	f, err := os.Open(s.Path)
	if err != nil {
		return []Sample{s} // said when it is read
	}
	defer f.Close()
	n := imageio.Pages(f)
	if n == 1 {
		return []Sample{s}
	}
	samples := make([]Sample, n)
	for i := range samples {
		samples[i] = s
		samples[i].Page, samples[i].pages = i+1, n
		samples[i].Name += "#" + strconv.Itoa(i+1)
	}
	return samples
}

// expand returns the paths that arg stands for: itself if there is such a path,
// whatever characters it has.
func expand(arg string) ([]string, error) {
	if arg == "" { // a variable that is not set, rather than the working folder
		return nil, fmt.Errorf("dataset: got an empty path: %w", fs.ErrNotExist)
	}
	if _, err := os.Lstat(arg); err == nil || !strings.ContainsAny(arg, "*?[") {
		return []string{arg}, nil
	}
	paths, err := filepath.Glob(arg)
	if err != nil {
		return nil, fmt.Errorf("dataset: pattern %q: %w", arg, err)
	}
	if !isHidden(arg) { // as in a shell, * does not match them
		paths = slices.DeleteFunc(paths, isHidden)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("dataset: pattern %q: %w", arg, fs.ErrNotExist)
	}
	return paths, nil
}

// common returns the deepest folder above all of the absolute paths (or one of
// them); "" if they lie on several volumes.
func common(folders []string) string {
	root := folders[0]
	for _, folder := range folders[1:] {
		for {
			rel, err := filepath.Rel(root, folder)
			if err == nil && (rel == "." || filepath.IsLocal(rel)) {
				break
			}
			parent := filepath.Dir(root)
			if parent == root {
				return ""
			}
			root = parent
		}
	}
	return root
}

// relative returns path as seen from root, '/'-separated: with its volume as the
// first element where the paths have no common root.
func relative(root, path string) string {
	rel, err := filepath.Rel(root, path)
	if root == "" || err != nil {
		rel = strings.NewReplacer(":", "", `\\`, "").Replace(path)
	}
	return filepath.ToSlash(rel)
}

// extensions are those of files that are images in folders.
var extensions = []string{
	".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".gif", ".bmp", ".dib",
	".tif", ".tiff", ".btf", ".tf8", ".webp", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm",
}

// unread are the extensions of images that are not read, with their formats.
var unread = map[string]string{
	".jp2": "JPEG 2000", ".j2k": "JPEG 2000", ".j2c": "JPEG 2000", ".jpc": "JPEG 2000", ".jpf": "JPEG 2000", ".jpx": "JPEG 2000",
	".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".avif": "AVIF", ".avifs": "AVIF", ".jxl": "JPEG XL", ".jxr": "JPEG XR", ".wdp": "JPEG XR",
	".cr2": "camera raw", ".cr3": "camera raw", ".crw": "camera raw", ".nef": "camera raw", ".nrw": "camera raw", ".arw": "camera raw",
	".srf": "camera raw", ".sr2": "camera raw", ".dng": "camera raw", ".raf": "camera raw", ".rw2": "camera raw", ".orf": "camera raw",
	".pef": "camera raw", ".srw": "camera raw", ".x3f": "camera raw", ".raw": "camera raw",
	".psd": "PSD", ".psb": "PSD", ".xcf": "XCF", ".ico": "ICO", ".icns": "ICNS", ".svg": "SVG", ".pdf": "PDF", ".eps": "PostScript",
	".dcm": "DICOM", ".exr": "OpenEXR", ".hdr": "Radiance HDR", ".tga": "TGA", ".pcx": "PCX", ".sgi": "SGI", ".ras": "Sun raster",
	".qoi": "QOI", ".dds": "DDS", ".fits": "FITS", ".fit": "FITS", ".xbm": "XBM", ".xpm": "XPM", ".wmf": "WMF", ".emf": "EMF",
	".mp4": "video", ".avi": "video", ".mov": "video", ".mkv": "video",
}

func hasImage(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// passOver notes a file in a folder that is not read.
func passOver(notes *Notes, path string) {
	name := filepath.Base(path)
	if format := unread[strings.ToLower(filepath.Ext(name))]; format != "" {
		notes.Add(name, format+" is not read (convert it to PNG or TIFF): left out")
		return
	}
	if hasRows(name) {
		notes.Add(name, "arrays in folders are left out (name them themselves)")
		return
	}
	notes.Add(name, "files that are no images by their names: left out")
}

func isHidden(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") }

// images returns the paths of all image files below folder, sorted, at least one.
// The other files are noted.
func images(folder string, notes *Notes) ([]string, error) {
	var others []string
	found, err := walk(folder, map[string]bool{}, &others)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	for _, path := range others {
		passOver(notes, path)
	}
	if len(found) == 0 {
		var said Notes
		for _, path := range others {
			passOver(&said, path)
		}
		detail := ""
		for _, line := range said.Lines() {
			detail += "; " + line
		}
		return nil, fmt.Errorf("dataset: folder %q: %w (files named as PNG, JPEG, TIFF, BMP, GIF, WebP or PNM are; name .npy and idx files themselves)%s", folder, ErrEmpty, detail)
	}
	return found, nil
}

// walk follows symbolic links, unlike filepath.WalkDir: sets are often put
// together from them. seen are the folders that were entered, by real path; others,
// if not nil, gets the files that are no images.
func walk(folder string, seen map[string]bool, others *[]string) (found []string, err error) {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	if seen[real] {
		return nil, nil
	}
	seen[real] = true
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		if isHidden(path) {
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			below, err := walk(path, seen, others)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		case !hasImage(entry.Name()):
			if others != nil {
				*others = append(*others, path)
			}
		case err == nil && info.Mode().IsRegular():
			found = append(found, path)
		case err != nil: // such as a link to nothing or to itself: shows when it is read
			found = append(found, path)
		}
	}
	return found, nil
}

// isDir reports whether there is a folder at the joined path.
func isDir(elem ...string) bool {
	info, err := os.Stat(filepath.Join(elem...))
	return err == nil && info.IsDir()
}

// isFile reports whether there is a file at the joined path.
func isFile(elem ...string) bool {
	info, err := os.Stat(filepath.Join(elem...))
	return err == nil && info.Mode().IsRegular()
}
