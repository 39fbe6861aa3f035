package imageio

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// refused are the formats that people have images in and that are not read: each
// is refused by its name.
var refused = []struct{ name, magic string }{
	{"AVIF", "????ftypavi"},
	{"HEIC", "????ftyphei"},
	{"HEIC", "????ftyphev"},
	{"HEIC", "????ftypmif1"},
	{"HEIC", "????ftypmsf1"},
	{"CR3 (camera raw)", "????ftypcrx "},
	{"a video", "????ftyp"},
	{"JPEG XL", "\xff\x0a"},
	{"JPEG XL", "\x00\x00\x00\x0cJXL "},
	{"JPEG 2000", "\x00\x00\x00\x0cjP  "},
	{"JPEG 2000", "\xff\x4f\xff\x51"},
	{"JPEG XR", "II\xbc"},
	{"CR2 (camera raw)", "II*\x00????CR"},
	{"RW2 (camera raw)", "IIU\x00"},
	{"ORF (camera raw)", "IIRO"},
	{"ORF (camera raw)", "IIRS"},
	{"ORF (camera raw)", "MMOR"},
	{"RAF (camera raw)", "FUJIFILM"},
	{"CRW (camera raw)", "II????HEAPCCDR"},
	{"MRW (camera raw)", "\x00MRM"},
	{"X3F (camera raw)", "FOVb"},
	{"PSD", "8BPS"},
	{"XCF", "gimp xcf"},
	{"ICNS", "icns"},
	{"PDF", "%PDF"},
	{"PostScript", "%!PS"},
	{"PostScript", "\xc5\xd0\xd3\xc6"},
	{"OpenEXR", "v/1\x01"},
	{"Radiance HDR", "#?R"},
	{"QOI", "qoif"},
	{"DDS", "DDS "},
	{"BLP", "BLP1"},
	{"BLP", "BLP2"},
	{"FTEX", "FTEX"},
	{"KTX", "\xabKTX"},
	{"SGI", "\x01\xda"},
	{"Sun raster", "\x59\xa6\x6a\x95"},
	{"PCX", "\x0a?\x01"},
	{"DCX", "\xb1\x68\xde\x3a"},
	{"FITS", "SIMPLE  ="},
	{"XPM", "/* XPM */"},
	{"XBM", "#define "},
	{"MSP", "DanM"},
	{"MSP", "LinS"},
	{"IM", "Image type: "},
	{"Pixar", "\x80\xe8\x00\x00"},
	{"XV thumbnail", "P7 332"},
	{"WMF", "\xd7\xcd\xc6\x9a"},
	{"EMF", "\x01\x00\x00\x00????????????????????????????????????\x20EMF"},
	{"MNG", "\x8aMNG"},
	{"JNG", "\x8bJNG"},
	{"BPG", "BPG\xfb"},
	{"FLIF", "FLIF"},
	{"DjVu", "AT&TFORM"},
	{"FLI", "????\x11\xaf"},
	{"FLI", "????\x12\xaf"},
	{"MPEG", "\x00\x00\x01\xb3"},
	{"HDF5", "\x89HDF"},
	{"GRIB", "GRIB"},
	{"BUFR", "BUFR"},
	{"a zip archive", "PK\x03\x04"},
	{"gzip", "\x1f\x8b"},
	{"an .npy array under another name", "\x93NUMPY"},
	{"an OS/2 bitmap array", "BA????????????BM"},
}

// refusedName returns the name of the format that a file begins as, "" where it
// is not among the refused.
func refusedName(head []byte) string {
	for _, f := range refused {
		if matches(head, f.magic) {
			return f.name
		}
	}
	if len(head) >= 132 && string(head[128:132]) == "DICM" {
		return "DICOM"
	}
	text := strings.ToLower(strings.TrimLeft(string(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))), " \t\r\n"))
	switch {
	case len(head) > 5 && head[0]|head[1]|head[3] == 0 && head[4]|head[5] != 0 && (head[2] == 1 || head[2] == 2):
		return "ICO" // or CUR: 0, 1 or 2, how many images
	case strings.HasPrefix(text, "<svg"), strings.HasPrefix(text, "<?xml") && strings.Contains(text, "<svg"):
		return "SVG"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "an HTML page"
	}
	return ""
}

// noImage says what a file that begins as no image begins as, "" where that is not known.
func noImage(head []byte) string {
	const fields = "\x12\x1a\x22\x28\x32\x3a\x42\x72" // of ONNX's ModelProto, behind the first, its version
	text := head
	for range utf8.UTFMax - 1 { // the last rune may be cut off
		if len(text) > 0 && !utf8.Valid(text) {
			text = text[:len(text)-1]
		}
	}
	switch {
	case len(head) > 2 && head[0] == 8 && head[1] > 0 && head[1] < 32 && strings.IndexByte(fields, head[2]) >= 0:
		return "an ONNX model"
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return "a pointer of Git LFS in an image's place (git lfs pull fetches it)"
	case utf8.Valid(text) && !bytes.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }):
		return "text"
	}
	return ""
}

// isTGA tests the header, which has no magic number, or the footer of version 2.
func isTGA(head []byte, src *source) bool {
	const footer = "TRUEVISION-XFILE.\x00"
	tail := make([]byte, len(footer))
	if n, _ := src.ReadAt(tail, src.size-int64(len(footer))); n == len(footer) && string(tail) == footer {
		return true
	}
	if len(head) < 18 {
		return false
	}
	kind, bits := head[2], head[16]
	colours := head[1] == 1 && (kind == 1 || kind == 9) || head[1] == 0 && (kind == 2 || kind == 3 || kind == 10 || kind == 11)
	size := head[12] | head[13] | head[14] | head[15]
	return colours && size != 0 && (bits == 8 || bits == 16 || bits == 24 || bits == 32) && head[17]&0xc0 == 0
}
