package imageio

import (
	"encoding/binary"
	"regexp"
)

// orientation returns the orientation that metadata tell, 1 to 8: that of EXIF,
// a TIFF structure, or without one there that of an XMP packet; 1 (upright) where
// there is none or one that cannot be read, as viewers do.
func orientation(exif, xmp []byte) int {
	o, ok := exifOrientation(exif)
	if !ok {
		if match := xmpOrientation.FindSubmatch(xmp); match != nil {
			o = int(match[1][0] - '0')
		}
	}
	if o < 1 || o > 8 {
		return 1
	}
	return o
}

var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

// exifOrientation returns tag 0x112 of the first directory of a TIFF structure.
func exifOrientation(data []byte) (o int, ok bool) {
	const tag, short, long, entrySize = 0x112, 3, 4, 12
	if len(data) < 8 {
		return 0, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return 0, false
	}
	entries := data[at+2:]
	for range order.Uint16(data[at:]) {
		if len(entries) < entrySize {
			return 0, false
		}
		if order.Uint16(entries) == tag {
			switch order.Uint16(entries[2:]) {
			case short:
				return int(order.Uint16(entries[8:])), true
			case long:
				return int(min(order.Uint32(entries[8:]), 9)), true
			}
			return 0, true
		}
		entries = entries[entrySize:]
	}
	return 0, false
}
