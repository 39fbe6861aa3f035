//go:build js

package main

import (
	"errors"
	"fmt"
	"image"
	"syscall/js"
	"time"

	"github.com/anomaly-go/anomaly/runtime"
)

// work answers the page's messages, of which there is one at a time: {model: Blob},
// {file: Blob} or {pixels, width, height}.
func work() {
	w := &worker{}
	on(global, "message", func(event js.Value) {
		go func() { // it may wait for promises
			answer, moved, err := w.answer(event.Get("data"))
			if err != nil {
				answer = map[string]any{"error": err.Error()}
			}
			global.Call("postMessage", answer, moved)
		}()
	})
	global.Call("postMessage", map[string]any{"ready": true})
}

// A worker is the detector in use, nil before the first model.
type worker struct{ detector *runtime.Detector }

// answer returns a message and the buffers in it that the page may have without a copy.
func (w *worker) answer(message js.Value) (answer map[string]any, moved []any, err error) {
	if blob := message.Get("model"); blob.Truthy() {
		answer, err = w.swap(blob)
		return answer, nil, err
	}
	if w.detector == nil {
		return nil, nil, errors.New("there is no model yet: drop one first")
	}
	began := time.Now()
	img, err := picture(message)
	if err != nil {
		return nil, nil, err
	}
	f, err := look(w.detector, img)
	if err != nil {
		return nil, nil, err
	}
	var tiles []any
	for i, tile := range f.tiles {
		pixels := global.Get("Uint8ClampedArray").New(len(tile.Pix))
		js.CopyBytesToJS(pixels, tile.Pix)
		moved = append(moved, pixels.Get("buffer"))
		tiles = append(tiles, map[string]any{"name": tileNames[i], "width": tile.Rect.Dx(), "height": tile.Rect.Dy(), "pixels": pixels})
	}
	return map[string]any{"verdict": f.verdict, "said": f.said, "tiles": tiles, "took": milliseconds(time.Since(began)) + ", the model " + milliseconds(f.took)}, moved, nil
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// swap takes another model, and keeps the one in use if that is none.
func (w *worker) swap(blob js.Value) (map[string]any, error) {
	b, err := read(blob)
	if err != nil {
		return nil, err
	}
	detector, err := open(b)
	if err != nil {
		return nil, err
	}
	if w.detector != nil {
		w.detector.Close()
	}
	w.detector = detector
	info := detector.Info()
	size := "any size"
	if info.Width > 0 {
		size = fmt.Sprintf("%d×%d", info.Width, info.Height)
	}
	return map[string]any{"size": size}, nil
}

// picture decodes a file, or takes the pixels of a frame.
func picture(message js.Value) (image.Image, error) {
	if blob := message.Get("file"); blob.Truthy() {
		b, err := read(blob)
		if err != nil {
			return nil, err
		}
		return decode(b)
	}
	width, height := message.Get("width").Int(), message.Get("height").Int()
	return &image.RGBA{Pix: bytesOf(message.Get("pixels")), Stride: 4 * width, Rect: image.Rect(0, 0, width, height)}, nil
}

func read(blob js.Value) ([]byte, error) {
	buffer, err := await(blob.Call("arrayBuffer"))
	if err != nil {
		return nil, err
	}
	return bytesOf(global.Get("Uint8Array").New(buffer)), nil
}
