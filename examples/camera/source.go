package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
)

// capture hands on the frames of a source until it ends or ctx does: an address of
// an MJPEG stream, which is opened again when it breaks off; "-" for one on standard
// input; or a folder or files, at so many frames a second.
func capture(ctx context.Context, source string, rate float64, logf func(string, ...any), frame func(image.Image)) error {
	switch {
	case source == "-":
		return readMJPEG(ctx, os.Stdin, frame)
	case !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://"):
		return readFiles(ctx, source, rate, logf, frame)
	}
	for {
		err := readHTTP(ctx, source, frame)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		logf("%s: %v; again in a second", source, err)
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func readHTTP(ctx context.Context, url string, frame func(image.Image)) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("got status %s", response.Status)
	}
	return readMJPEG(ctx, response.Body, frame)
}

// readFiles hands on images by name.
func readFiles(ctx context.Context, path string, rate float64, logf func(string, ...any), frame func(image.Image)) error {
	samples, err := dataset.Find(path)
	if err != nil {
		return err
	}
	for _, s := range samples {
		if err := pause(ctx, time.Duration(float64(time.Second)/rate)); err != nil {
			return err
		}
		img, err := s.Image()
		if err != nil {
			logf("%v", err)
			continue
		}
		frame(img)
	}
	return io.EOF
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxFrame bounds a JPEG file, lest a stream that is none fill the memory.
const maxFrame = 64 << 20

var errTooLong = fmt.Errorf("got a frame of more than %d bytes", maxFrame)

// readMJPEG hands on the JPEG files in a stream, one after the other, whatever lies
// between them: nothing, or the headers of multipart/x-mixed-replace. A file is
// whole at its own end, so no frame waits for the next one.
func readMJPEG(ctx context.Context, stream io.Reader, frame func(image.Image)) error {
	r := bufio.NewReaderSize(stream, 1<<16)
	for ctx.Err() == nil {
		file, err := nextJPEG(r)
		if err != nil {
			return err
		}
		if img, err := jpeg.Decode(bytes.NewReader(file)); err == nil { // a torn frame is none
			frame(img)
		}
	}
	return ctx.Err()
}

// nextJPEG reads up to the end of the next JPEG file (ITU-T T.81, annex B).
func nextJPEG(r *bufio.Reader) ([]byte, error) {
	const soi, sos, eoi = 0xd8, 0xda, 0xd9
	for last := byte(0); ; {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if last == 0xff && b == soi {
			break
		}
		last = b
	}
	file := []byte{0xff, soi}
	take := func(n int) error {
		at := len(file)
		if at+n > maxFrame {
			return errTooLong
		}
		file = append(file, make([]byte, n)...)
		_, err := io.ReadFull(r, file[at:])
		return err
	}
	for missing := 2; ; { // of a marker, between segments
		if err := take(missing); err != nil {
			return nil, err
		}
		missing = 2
		marker := file[len(file)-1]
		for file[len(file)-2] == 0xff && marker == 0xff { // filled up
			if err := take(1); err != nil {
				return nil, err
			}
			marker = file[len(file)-1]
		}
		switch {
		case file[len(file)-2] != 0xff || marker == eoi: // torn, or whole
			return file, nil
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd7:
			continue // no segment
		}
		if err := take(2); err != nil {
			return nil, err
		}
		// A thumbnail, a whole JPEG file, may lie in a segment: it is passed over.
		if err := take(max(int(binary.BigEndian.Uint16(file[len(file)-2:]))-2, 0)); err != nil {
			return nil, err
		}
		if marker != sos {
			continue
		}
		for { // the coded image, up to a marker that is not part of it
			b, err := r.ReadByte()
			if err != nil {
				return nil, err
			}
			if file = append(file, b); len(file) > maxFrame {
				return nil, errTooLong
			}
			if b != 0xff {
				continue
			}
			next, err := r.Peek(1)
			if err != nil {
				return nil, err
			}
			if b := next[0]; b != 0 && b != 0xff && (b < 0xd0 || b > 0xd7) {
				missing = 1
				break
			}
		}
	}
}
