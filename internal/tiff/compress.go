package tiff

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/image/ccitt"
	"golang.org/x/image/tiff/lzw"
)

// Values of the tag Compression.
const (
	compressionNone       = 1
	compressionCCITT      = 2
	compressionFax3       = 3
	compressionFax4       = 4
	compressionLZW        = 5
	compressionJPEG       = 7
	compressionDeflate    = 8
	compressionPackBits   = 32773
	compressionOldDeflate = 32946
)

var compressionNames = map[uint64]string{
	compressionCCITT: "CCITT RLE", 6: "old-style JPEG", 9: "JBIG", 10: "JBIG", 32766: "NeXT RLE", 32771: "CCITT RLE",
	32809: "ThunderScan", 34661: "JBIG", 34676: "SGI log", 34677: "SGI log", 34712: "JPEG 2000", 33003: "JPEG 2000",
	33005: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG of DNG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP",
	50002: "JPEG XL", 52546: "JPEG XL",
}

// checkCompression refuses by name what decompress does not read.
func (f *form) checkCompression() error {
	switch f.compression {
	case compressionNone, compressionLZW, compressionDeflate, compressionOldDeflate, compressionPackBits:
	case compressionFax3, compressionFax4:
		if f.bits != 1 || f.samples != 1 {
			return FormatError(fmt.Sprintf("fax of %d samples of %d bits", f.samples, f.bits))
		}
	case compressionJPEG:
		if f.bits != 8 || f.kind != formatUint || f.planar && f.samples > 1 && f.photometric == photometricYCbCr {
			return UnsupportedError(fmt.Sprintf("JPEG of %d bits", f.bits))
		}
	default:
		if name, ok := compressionNames[f.compression]; ok {
			return UnsupportedError(name + " in TIFF")
		}
		return UnsupportedError(fmt.Sprintf("compression %d of TIFF", f.compression))
	}
	switch {
	case f.predictor == 1:
	case f.predictor == 2 && (f.bits == 8 || f.bits == 16 || f.bits == 32):
	case f.predictor == 3 && f.kind == formatFloat:
	default:
		return UnsupportedError(fmt.Sprintf("predictor %d of %d bits", f.predictor, f.bits))
	}
	return nil
}

// decompress returns the want bytes of a chunk of the given height, JPEG apart.
func (f *form) decompress(data []byte, want, height int, twoDimensional bool) ([]byte, error) {
	if f.reversed {
		for i, b := range data {
			data[i] = bits.Reverse8(b)
		}
	}
	var r io.Reader = bytes.NewReader(data)
	switch f.compression {
	case compressionNone:
		if len(data) < want {
			return nil, io.ErrUnexpectedEOF
		}
		return data[:want], nil
	case compressionLZW:
		r = lzw.NewReader(r, lzw.MSB, 8)
	case compressionDeflate, compressionOldDeflate:
		z, err := zlib.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	case compressionPackBits:
		return unpackBits(data, want)
	case compressionFax3:
		if twoDimensional {
			return nil, UnsupportedError("two-dimensional group 3 fax")
		}
		r = ccitt.NewReader(r, ccitt.MSB, ccitt.Group3, f.chunkWidth, height, &ccitt.Options{Invert: true})
	case compressionFax4:
		r = ccitt.NewReader(r, ccitt.MSB, ccitt.Group4, f.chunkWidth, height, &ccitt.Options{Invert: true})
	}
	out := make([]byte, want)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, short(err)
	}
	return out, nil
}

// unpackBits is TIFF 6.0, section 9.
func unpackBits(data []byte, want int) ([]byte, error) {
	out := make([]byte, 0, want)
	for len(out) < want {
		if len(data) < 2 {
			return nil, io.ErrUnexpectedEOF
		}
		n := int(int8(data[0]))
		switch {
		case n >= 0:
			if len(data) < n+2 {
				return nil, io.ErrUnexpectedEOF
			}
			out = append(out, data[1:n+2]...)
			data = data[n+2:]
		case n == -128:
			data = data[1:]
		default:
			out = append(out, bytes.Repeat(data[1:2], 1-n)...)
			data = data[2:]
		}
	}
	return out[:want], nil
}

// unpredict undoes the predictor on rows of the given length and number of
// samples per pixel. Integers stay in the file's order of bytes, floats are
// turned to big-endian: bigEndian says which.
func (f *form) unpredict(data []byte, row, samples int, d *directory) (bigEndian bool) {
	bigEndian = d.order.Uint16([]byte{0, 1}) == 1
	switch f.predictor {
	case 2:
		for ; len(data) >= row; data = data[row:] {
			line := data[:row]
			switch f.bits {
			case 8:
				for i := samples; i < len(line); i++ {
					line[i] += line[i-samples]
				}
			case 16:
				for i := 2 * samples; i+2 <= len(line); i += 2 {
					d.order.PutUint16(line[i:], d.order.Uint16(line[i:])+d.order.Uint16(line[i-2*samples:]))
				}
			case 32:
				for i := 4 * samples; i+4 <= len(line); i += 4 {
					d.order.PutUint32(line[i:], d.order.Uint32(line[i:])+d.order.Uint32(line[i-4*samples:]))
				}
			}
		}
	case 3: // Adobe's technical note 3: bytes of the same significance together
		size := f.bits / 8
		for ; len(data) >= row; data = data[row:] {
			line := data[:row]
			for i := samples; i < len(line); i++ {
				line[i] += line[i-samples]
			}
			planes := bytes.Clone(line)
			n := len(line) / size
			for i := range n {
				for b := range size {
					line[i*size+b] = planes[b*n+i]
				}
			}
		}
		return true
	}
	return bigEndian
}
