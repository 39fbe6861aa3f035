package ortlib

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCacheFolders(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{"onnxruntime-openvino-1.24.1", "onnxruntime-gpu-1.31.1", "onnxruntime-1.30.0", "onnxruntime-1.31.1", "tensorrt", partial + "1"} {
		if err := os.Mkdir(filepath.Join(cache, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, dir := range CacheFolders(cache) {
		got = append(got, filepath.Base(dir))
	}
	if want := []string{"onnxruntime-1.31.1", "onnxruntime-1.30.0", "onnxruntime-gpu-1.31.1", "onnxruntime-openvino-1.24.1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
