//go:build unix

package imageio

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// BenchmarkFiles reads the test images of bottle in ways that take turns: as
// package image/png does, alone and resized to 128×128, and as Decode and DecodeResized do. It reports the
// processor time of all cores, garbage collection included, for an image.
func BenchmarkFiles(b *testing.B) {
	paths, err := filepath.Glob(filepath.Join(testenv.Shared(b, "data", "mvtec", "bottle"), "test", "*", "*.png"))
	if err != nil || len(paths) == 0 {
		b.Fatal("no files: ", err)
	}
	var files [][]byte
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, data)
	}
	to := []Target{{make([]uint8, 128*128*3), 128, 128, 3}}
	ways := []struct {
		name string
		read func(data []byte) error
		took time.Duration
	}{
		{name: "image/png", read: func(data []byte) error { _, _, err := slowly(data, nil); return err }},
		{name: "image/png+resize", read: func(data []byte) error {
			img, _, err := slowly(data, nil)
			if err != nil {
				return err
			}
			return Resize(to[0].Pixels, img, 128, 128, 3)
		}},
		{name: "Decode", read: func(data []byte) error { _, _, err := Decode(bytes.NewReader(data), nil); return err }},
		{name: "DecodeResized", read: func(data []byte) error {
			_, err := DecodeResized(bytes.NewReader(data), nil, func(image.Point) ([]Target, error) { return to, nil })
			return err
		}},
	}
	n := 0
	for b.Loop() {
		for i := range ways {
			way := &ways[i]
			began := processor(b)
			if err := way.read(files[n%len(files)]); err != nil {
				b.Fatal(err)
			}
			way.took += processor(b) - began
		}
		n++
	}
	for _, way := range ways {
		b.ReportMetric(way.took.Seconds()*1e3/float64(n), way.name+"-ms")
	}
}

// processor returns what the process has used of all cores.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
