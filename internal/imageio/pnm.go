package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// A pnmFile is the header of a PBM, PGM, PPM, PAM or PFM file, and what follows.
type pnmFile struct {
	kind          byte // of the magic number P1 to P7, Pf, PF
	width, height int
	channels      int
	top           int     // maxval
	scale         float64 // of PFM: negative is little-endian
	pixels        []byte
}

func openPNM(src *source, _ *Options) (*file, error) {
	data, err := src.bytes()
	if err != nil {
		return nil, err
	}
	p := &pnmFile{kind: data[1]}
	if p.kind == '7' {
		err = p.readPAM(data[2:])
	} else {
		err = p.readHeader(data[2:])
	}
	if err != nil {
		return nil, err
	}
	cost := 1
	if p.top > 255 {
		cost = 2
	}
	if p.kind == 'f' || p.kind == 'F' {
		cost = 4
	}
	return &file{
		width: p.width, height: p.height, cost: cost*p.channels + 4,
		decode: func() (*stored, error) {
			img, err := p.decode()
			if err != nil {
				return nil, err
			}
			return fromSamples(img)
		},
	}, nil
}

// readHeader reads the numbers behind P1 to P6, Pf and PF.
func (p *pnmFile) readHeader(data []byte) error {
	p.channels = map[byte]int{'3': 3, '6': 3, 'F': 3}[p.kind]
	p.channels = max(p.channels, 1)
	width, data, err := token(data)
	if err != nil {
		return err
	}
	height, data, err := token(data)
	if err != nil {
		return err
	}
	if p.width, p.height, err = pnmSize(width, height); err != nil {
		return err
	}
	p.top = 1
	if p.kind != '1' && p.kind != '4' {
		var top string
		if top, data, err = token(data); err != nil {
			return err
		}
		if p.kind == 'f' || p.kind == 'F' {
			p.scale, err = strconv.ParseFloat(top, 64)
			if err != nil || p.scale == 0 || math.IsInf(p.scale, 0) || math.IsNaN(p.scale) {
				return fmt.Errorf("got scale %q, want a number other than 0", top)
			}
		} else if p.top, err = strconv.Atoi(top); err != nil || p.top < 1 || p.top > 65535 {
			return fmt.Errorf("got largest value %q, want 1 to 65535", top)
		}
	}
	p.pixels = data
	return nil
}

func pnmSize(width, height string) (w, h int, err error) {
	w, errW := strconv.Atoi(width)
	h, errH := strconv.Atoi(height)
	if errW != nil || errH != nil || w < 1 || h < 1 || w > math.MaxInt32 || h > math.MaxInt32 {
		return 0, 0, fmt.Errorf("got size %.20q x %.20q", width, height)
	}
	return w, h, nil
}

// token returns the next word, and what follows the one space behind it.
// Comments go from # to the end of the line.
func token(data []byte) (word string, rest []byte, err error) {
	var b []byte
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '#':
			end := bytes.IndexAny(data[i:], "\r\n")
			if end < 0 {
				return "", nil, io.ErrUnexpectedEOF
			}
			i += end
			if len(b) > 0 { // it ended the word too
				return string(b), data[i+1:], nil
			}
		case isSpace(c):
			if len(b) > 0 {
				return string(b), data[i+1:], nil
			}
		default:
			if b = append(b, c); len(b) > 20 {
				return "", nil, fmt.Errorf("got %q, want a number", b)
			}
		}
	}
	return "", nil, io.ErrUnexpectedEOF
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// readPAM reads the lines behind P7.
func (p *pnmFile) readPAM(data []byte) error {
	fields := map[string]string{}
	for {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return io.ErrUnexpectedEOF
		}
		data = rest
		words := strings.Fields(string(line))
		if len(words) == 1 && words[0] == "ENDHDR" {
			break
		}
		if len(words) >= 2 && !strings.HasPrefix(words[0], "#") {
			fields[words[0]] = words[1]
		}
	}
	var err error
	if p.width, p.height, err = pnmSize(fields["WIDTH"], fields["HEIGHT"]); err != nil {
		return err
	}
	p.channels, err = strconv.Atoi(fields["DEPTH"])
	if err != nil || p.channels < 1 || p.channels > 4 {
		return fmt.Errorf("got depth %q, want 1 to 4", fields["DEPTH"])
	}
	p.top, err = strconv.Atoi(fields["MAXVAL"])
	if err != nil || p.top < 1 || p.top > 65535 {
		return fmt.Errorf("got largest value %q, want 1 to 65535", fields["MAXVAL"])
	}
	p.pixels = data
	return nil
}

func (p *pnmFile) decode() (*samples, error) {
	n := p.width * p.height * p.channels
	img := &samples{Width: p.width, Height: p.height, Channels: p.channels}
	switch p.kind {
	case '1':
		return img, p.plainBits(img, n)
	case '4':
		return img, p.bits(img, n)
	case 'f', 'F':
		return img, p.floats(img, n)
	}
	size := 1
	if p.top > 255 {
		size = 2
	}
	plain := p.kind == '2' || p.kind == '3'
	if want := n * size; !plain && len(p.pixels) < want || plain && len(p.pixels) < n {
		return nil, io.ErrUnexpectedEOF
	}
	if p.top > 255 {
		img.Deep, img.Levels = make([]uint16, n), p.top+1
		if p.top == 65535 {
			img.Levels = 0
		}
	} else {
		img.Pix = make([]uint8, n)
	}
	rest := p.pixels
	for i := range n {
		v := 0
		switch {
		case plain:
			word, after, err := token(rest)
			if errors.Is(err, io.ErrUnexpectedEOF) { // the last may end with the file
				word, after, err = token(append(rest[:len(rest):len(rest)], '\n'))
			}
			if err != nil {
				return nil, err
			}
			if v, err = strconv.Atoi(word); err != nil || v < 0 {
				return nil, fmt.Errorf("got %.20q, want a number", word)
			}
			rest = after
		case size == 2:
			v = int(binary.BigEndian.Uint16(p.pixels[2*i:]))
		default:
			v = int(p.pixels[i])
		}
		if v > p.top {
			return nil, fmt.Errorf("got value %d, want at most %d", v, p.top)
		}
		if size == 2 {
			img.Deep[i] = uint16(v)
		} else {
			img.Pix[i] = uint8((v*255 + p.top/2) / p.top)
		}
	}
	return img, nil
}

// plainBits reads digits with or without space between them; 1 is black.
func (p *pnmFile) plainBits(img *samples, n int) error {
	img.Pix = make([]uint8, 0, min(n, len(p.pixels)))
	comment := false
	for _, c := range p.pixels {
		if len(img.Pix) == n {
			break
		}
		switch {
		case comment:
			comment = c != '\n' && c != '\r'
		case c == '#':
			comment = true
		case c == '0':
			img.Pix = append(img.Pix, 255)
		case c == '1':
			img.Pix = append(img.Pix, 0)
		case !isSpace(c):
			return fmt.Errorf("got %q, want 0 or 1", c)
		}
	}
	if len(img.Pix) < n {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// bits reads rows of whole bytes, the highest bit first; 1 is black.
func (p *pnmFile) bits(img *samples, n int) error {
	row := (p.width + 7) / 8
	if len(p.pixels) < row*p.height {
		return io.ErrUnexpectedEOF
	}
	img.Pix = make([]uint8, n)
	for y := range p.height {
		for x := range p.width {
			if p.pixels[y*row+x/8]>>(7-x%8)&1 == 0 {
				img.Pix[y*p.width+x] = 255
			}
		}
	}
	return nil
}

// floats reads rows from the lowest up.
func (p *pnmFile) floats(img *samples, n int) error {
	if len(p.pixels) < 4*n {
		return io.ErrUnexpectedEOF
	}
	var order binary.ByteOrder = binary.BigEndian
	if p.scale < 0 {
		order = binary.LittleEndian
	}
	img.Float = make([]float32, n)
	row := p.width * p.channels
	for y := range p.height {
		for x := range row {
			img.Float[(p.height-1-y)*row+x] = math.Float32frombits(order.Uint32(p.pixels[4*(y*row+x):]))
		}
	}
	return nil
}
