package imageio

import (
	"bytes"
	"encoding/binary"
)

// orientation returns the EXIF orientation that the encoded image carries, 1 to
// 8; 1 (upright) where it carries none or one that cannot be read, as viewers do.
func orientation(format string, data []byte) int {
	switch format {
	case "JPEG":
		return tiffOrientation(jpegEXIF(data))
	case "PNG":
		return tiffOrientation(pngEXIF(data))
	case "WebP":
		return tiffOrientation(webpEXIF(data))
	case "TIFF":
		return tiffOrientation(data)
	}
	return 1
}

// jpegEXIF returns the TIFF structure in the first Exif APP1 segment.
func jpegEXIF(data []byte) []byte {
	const app1, sos = 0xe1, 0xda
	data = data[2:] // SOI
	for len(data) >= 4 && data[0] == 0xff && data[1] != sos {
		if data[1] == 0xff { // fill byte
			data = data[1:]
			continue
		}
		end := 2 + int(binary.BigEndian.Uint16(data[2:]))
		if end < 4 || end > len(data) {
			return nil
		}
		if data[1] == app1 {
			if exif, ok := bytes.CutPrefix(data[4:end], []byte("Exif\x00\x00")); ok {
				return exif
			}
		}
		data = data[end:]
	}
	return nil
}

// pngEXIF returns the eXIf chunk's content.
func pngEXIF(data []byte) []byte {
	data = data[8:] // signature
	for len(data) >= 12 {
		n := uint64(binary.BigEndian.Uint32(data))
		if n+12 > uint64(len(data)) {
			return nil
		}
		if string(data[4:8]) == "eXIf" {
			return data[8 : 8+n]
		}
		data = data[12+n:]
	}
	return nil
}

// webpEXIF returns the EXIF chunk's content; some writers begin it as in JPEG.
func webpEXIF(data []byte) []byte {
	data = data[12:] // RIFF, size, WEBP
	for len(data) >= 8 {
		n := uint64(binary.LittleEndian.Uint32(data[4:]))
		if n+8 > uint64(len(data)) {
			return nil
		}
		if string(data[:4]) == "EXIF" {
			return bytes.TrimPrefix(data[8:8+n], []byte("Exif\x00\x00"))
		}
		data = data[min(8+n+n%2, uint64(len(data))):] // chunks are padded to even sizes
	}
	return nil
}

// tiffOrientation returns tag 0x112 of the first directory of a TIFF structure.
func tiffOrientation(data []byte) int {
	const tag, short, entrySize = 0x112, 3, 12
	if len(data) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return 1
	}
	entries := data[at+2:]
	for range order.Uint16(data[at:]) {
		if len(entries) < entrySize {
			return 1
		}
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			return 1
		}
		entries = entries[entrySize:]
	}
	return 1
}
