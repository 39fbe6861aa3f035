package imageio

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/anomaly-go/anomaly/internal/jpeg"
)

func openJPEG(src *source, _ *Options) (*file, error) {
	data, err := src.bytes()
	if err != nil {
		return nil, err
	}
	h, err := jpeg.ReadHeader(data)
	if err != nil {
		return nil, err
	}
	exif, xmp := jpegMeta(data)
	return &file{
		width: h.Width, height: h.Height, cost: h.Cost(),
		orientation: orientation(exif, xmp),
		decode: func() (*stored, error) {
			img, err := jpeg.Decode(data)
			return &stored{img: img}, err
		},
	}, nil
}

// jpegMeta returns the TIFF structure in the first Exif APP1 segment, and the XMP
// packet of another.
func jpegMeta(data []byte) (exif, xmp []byte) {
	const app1, sos = 0xe1, 0xda
	data = data[2:] // SOI
	for len(data) >= 4 && data[0] == 0xff && data[1] != sos {
		if data[1] == 0xff { // fill byte
			data = data[1:]
			continue
		}
		end := 2 + int(binary.BigEndian.Uint16(data[2:]))
		if end < 4 || end > len(data) {
			break
		}
		if data[1] == app1 {
			if body, ok := bytes.CutPrefix(data[4:end], []byte("Exif\x00\x00")); ok && exif == nil {
				exif = body
			}
			if body, ok := bytes.CutPrefix(data[4:end], []byte("http://ns.adobe.com/xap/1.0/\x00")); ok {
				xmp = slices.Concat(xmp, body)
			}
		}
		data = data[end:]
	}
	return exif, xmp
}
