package jpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrScans is wrapped by the errors of files with more scans than an image of
// their size has any use for.
var ErrScans = errors.New("too many scans")

// Of a progressive file each scan costs a pass over all pixels. Encoders write
// up to 14; an image may have minScans whatever its size, and more as long as
// they pass over no more than maxPasses pixels, some two seconds.
const (
	minScans  = 32
	maxPasses = 1 << 30
)

// An UnsupportedError names what a sound file holds that is not read.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) + " is not read" }

// Markers, ITU-T T.81, table B.1.
const (
	markerSOF0  = 0xc0 // to 15, but for three
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerRST0  = 0xd0 // to 7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
	markerTEM   = 0x01
)

// A Header is what a file says of its image.
type Header struct {
	Width, Height int
	Components    int // 1 grey, 3 YCbCr or RGB, 4 CMYK or YCCK

	sampling    [4][2]int // of the components, horizontal and vertical
	progressive bool
	restarts    bool
	adobe, jfif bool
	transform   byte // Adobe's: 0 none, 1 YCbCr, 2 YCCK
	ids         [4]byte
}

// Cost returns how many bytes of memory Decode takes for a pixel, at most.
func (h *Header) Cost() int {
	across, down, samples := 1, 1, 0
	for _, s := range h.sampling[:h.Components] {
		across, down, samples = max(across, s[0]), max(down, s[1]), samples+s[0]*s[1]
	}
	if h.Components == 1 {
		across, down, samples = 1, 1, 1
	}
	each := 1
	if h.progressive {
		each += 4 // of a coefficient
	}
	cost := (each*samples + across*down - 1) / (across * down)
	if h.Components > 1 {
		cost += 4
	}
	return cost
}

// ReadHeader reads the segments up to the first scan and refuses by name what
// Decode does not read.
func ReadHeader(data []byte) (*Header, error) {
	h := &Header{}
	seen := false
	err := segments(data, func(marker byte, start, end int) (bool, error) {
		body := data[start:end]
		switch {
		case marker == markerAPP14 && len(body) >= 12 && string(body[:5]) == "Adobe":
			h.adobe, h.transform = true, body[11]
		case marker == markerAPP0 && len(body) >= 5 && string(body[:5]) == "JFIF\x00":
			h.jfif = true
		case marker == markerDRI && len(body) >= 2:
			h.restarts = body[0]|body[1] != 0
		case isSOF(marker) && !seen:
			seen = true
			return true, h.frame(marker, body)
		}
		return marker != markerSOS, nil
	})
	switch {
	case err != nil:
		return nil, err
	case !seen:
		return nil, errors.New("no frame header")
	}
	return h, h.check()
}

func isSOF(marker byte) bool {
	return marker >= markerSOF0 && marker <= markerSOF0+15 &&
		marker != markerDHT && marker != markerJPG && marker != markerDAC
}

// segments calls do with the marker of every segment up to the end of the image
// and where its body begins and ends, until do says that it has seen enough.
func segments(data []byte, do func(marker byte, start, end int) (more bool, err error)) error {
	at := 2 // SOI
	for {
		// Bytes that belong to no segment are passed over, as libjpeg does: those of
		// a scan are such bytes.
		next := bytes.IndexByte(data[min(at, len(data)):], 0xff)
		if next < 0 || at+next+1 >= len(data) {
			return io.ErrUnexpectedEOF
		}
		at += next + 1
		marker := data[at]
		switch {
		case marker == 0xff: // a fill byte
			continue
		case marker == 0, marker == markerTEM, marker == markerSOI, marker >= markerRST0 && marker < markerRST0+8:
			at++
			continue
		case marker == markerEOI:
			return nil
		}
		at++
		if at+2 > len(data) {
			return io.ErrUnexpectedEOF
		}
		end := at + int(binary.BigEndian.Uint16(data[at:]))
		if end < at+2 {
			return fmt.Errorf("segment of %d bytes, want at least 2", end-at)
		}
		if end > len(data) {
			return io.ErrUnexpectedEOF
		}
		if more, err := do(marker, at+2, end); err != nil || !more {
			return err
		}
		at = end
	}
}

func (h *Header) frame(marker byte, body []byte) error {
	switch marker - markerSOF0 {
	case 0, 1:
	case 2:
		h.progressive = true
	case 3:
		return UnsupportedError("lossless JPEG")
	case 9, 10, 11:
		return UnsupportedError("arithmetic coding")
	default:
		return UnsupportedError("hierarchical JPEG")
	}
	if len(body) < 6 {
		return io.ErrUnexpectedEOF
	}
	h.Height, h.Width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	h.Components = int(body[5])
	switch {
	case body[0] != 8:
		return UnsupportedError(fmt.Sprintf("JPEG of %d bits", body[0]))
	case h.Components != 1 && h.Components != 3 && h.Components != 4:
		return UnsupportedError(fmt.Sprintf("JPEG of %d components", h.Components))
	case len(body) < 6+3*h.Components:
		return io.ErrUnexpectedEOF
	}
	for i := range h.Components {
		b := body[6+3*i:]
		h.ids[i], h.sampling[i] = b[0], [2]int{int(b[1] >> 4), int(b[1] & 15)}
	}
	return nil
}

// check refuses the samplings that package image/jpeg does not read, or reads
// without the planes that fancy upsampling needs.
func (h *Header) check() error {
	if h.Components == 1 {
		return nil
	}
	all := h.sampling[:h.Components]
	even := all[1] == all[0] && all[2] == all[0] && all[h.Components-1] == all[0]
	switch {
	case h.Components == 4 && (!even || all[0] != [2]int{1, 1}),
		h.Components == 3 && h.isRGB() && !even,
		all[1] != all[2]:
		return UnsupportedError(fmt.Sprintf("JPEG of %d components with samplings %v", h.Components, all))
	}
	return nil
}

func (h *Header) isRGB() bool {
	return !h.jfif && (h.adobe && h.transform == 0 || string(h.ids[:3]) == "RGB")
}

// checkScans counts the scans of a file, and refuses progressive ones that end
// before coefficients are whole: libjpeg smooths those. Where a file is damaged
// the decoder says so.
func (h *Header) checkScans(data []byte) (err error) {
	scans, limit := 0, max(minScans, maxPasses/(h.Width*h.Height))
	var missing [4][64]int // bits of the components' coefficients
	for c := range missing {
		for i := range missing[c] {
			missing[c][i] = -1
		}
	}
	segments(data, func(marker byte, start, end int) (bool, error) {
		if marker == markerSOS {
			scans++
			h.scan(data[start:end], &missing)
		}
		return scans <= limit, nil
	})
	if scans > limit {
		return fmt.Errorf("more than %d scans of %dx%d pixels: %w", limit, h.Width, h.Height, ErrScans)
	}
	if !h.progressive {
		return nil
	}
	for _, bits := range missing[:h.Components] {
		if bits[0] >= 0 && slices.ContainsFunc(bits[1:smoothed], func(n int) bool { return n != 0 }) {
			return UnsupportedError("progressive JPEG without its last scans")
		}
	}
	return nil
}

// smoothed are the first coefficients, whose lack libjpeg smooths away
// (jdcoefct.c, smoothing_ok).
const smoothed = 10

// scan notes which bits of which coefficients a scan leaves out.
func (h *Header) scan(body []byte, missing *[4][64]int) {
	n := 0
	if len(body) > 0 {
		n = int(body[0])
	}
	if len(body) < 4+2*n || n > 4 {
		return
	}
	from, to, low := int(body[1+2*n]), int(body[2+2*n]), int(body[3+2*n]&15)
	for i := range n {
		c := bytes.IndexByte(h.ids[:h.Components], body[1+2*i])
		for k := from; c >= 0 && k <= min(to, 63); k++ {
			missing[c][k] = low
		}
	}
}
