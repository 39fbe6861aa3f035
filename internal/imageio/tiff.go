package imageio

import (
	"fmt"
	"io"

	"github.com/anomaly-go/anomaly/internal/tiff"
)

// copiesLeftOut is the note of TIFF files whose reduced copies and masks are no
// pages.
const copiesLeftOut = "reduced copies and transparency masks in the file are left out"

func openTIFF(src *source, opts *Options) (*file, error) {
	t, err := tiff.Open(src)
	if err != nil {
		return nil, err
	}
	if opts.Page < 0 || opts.Page > len(t.Pages) {
		return nil, fmt.Errorf("got page %d, want one of %d", opts.Page, len(t.Pages))
	}
	page := t.Pages[max(opts.Page, 1)-1]
	size, turned, cost, err := page.Config()
	if err != nil {
		return nil, err
	}
	f := &file{width: size.X, height: size.Y, cost: cost, orientation: turned}
	if xmp := page.XMP(); xmp != nil {
		f.orientation = orientation(nil, xmp)
	}
	if t.LeftOut > 0 {
		f.notes = append(f.notes, copiesLeftOut)
	}
	if opts.Page == 0 && len(t.Pages) > 1 {
		f.notes = append(f.notes, "several pages: the first is taken")
	}
	f.decode = func() (*stored, error) {
		img, err := page.Decode()
		if err != nil {
			return nil, err
		}
		return fromSamples(img)
	}
	return f, nil
}

// Pages returns how many pages the TIFF file in r has, 1 for any other format
// and for files that cannot be read: what is wrong is said when they are.
func Pages(src io.ReaderAt) (n int) {
	var err error
	defer func() { n = max(n, 1) }()
	defer damaged(&err)
	var magic [4]byte
	if _, err := src.ReadAt(magic[:], 0); err != nil {
		return 1
	}
	switch string(magic[:]) {
	case "II*\x00", "MM\x00*", "II+\x00", "MM\x00+":
	default:
		return 1
	}
	t, err := tiff.Open(src)
	if err != nil {
		return 1
	}
	return len(t.Pages)
}
