package engine

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
)

func TestLibraryPlaces(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("names of Linux")
	}
	dir := t.TempDir()
	touch := func(elem ...string) string {
		path := filepath.Join(append([]string{dir}, elem...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv(libraryVariable, "")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv("LD_LIBRARY_PATH", filepath.Join(dir, "lib"))
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "venv"))
	list := func(named string, provider *Provider) string {
		var s []string
		for _, p := range libraryPlaces(named, provider) {
			if rel, err := filepath.Rel(dir, p.Path); err == nil && !strings.HasPrefix(rel, "..") {
				s = append(s, strings.TrimSpace(p.Source+" "+rel+" "+p.Problem))
			}
		}
		return strings.Join(s, "\n")
	}
	want := func(named string, provider *Provider, want string) {
		t.Helper()
		if got := list(named, provider); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	want("", Find("cpu"), `cache cache/anomaly/onnxruntime-*/libonnxruntime.so.* no such file
system lib/libonnxruntime.so.* no such file
python venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.* no such file
python venv/Lib/site-packages/onnxruntime/capi/libonnxruntime.so.* no such file`)

	touch("cache", "anomaly", "onnxruntime-1.31.1", "libonnxruntime.so.1.31.1")
	touch("cache", "anomaly", "onnxruntime-1.30.0", "libonnxruntime.so.1.30.0")
	touch("lib", "libonnxruntime.so.1")
	touch("lib", "libonnxruntime.so.1.30.0")
	touch("lib", "libonnxruntime.so.1.31.0")
	touch("lib", "libonnxruntime.so")
	touch("venv", "lib", "python3.11", "site-packages", "onnxruntime", "capi", "libonnxruntime.so.1.31.1")
	want("", Find("cpu"), `cache cache/anomaly/onnxruntime-1.31.1/libonnxruntime.so.1.31.1
cache cache/anomaly/onnxruntime-1.30.0/libonnxruntime.so.1.30.0
system lib/libonnxruntime.so.1.31.0
system lib/libonnxruntime.so.1.30.0
system lib/libonnxruntime.so.1
python venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1
python venv/Lib/site-packages/onnxruntime/capi/libonnxruntime.so.* no such file`)

	// Each build serves cpu, the plain one first; a provider needs one that has it.
	touch("cache", "anomaly", "onnxruntime-gpu-1.31.1", "libonnxruntime.so.1.31.1")
	touch("cache", "anomaly", "onnxruntime-gpu-1.31.1", "libonnxruntime_providers_cuda.so")
	touch("venv", "lib", "python3.11", "site-packages", "onnxruntime", "capi", "libonnxruntime_providers_openvino.so")
	usable := func(provider *Provider) string {
		var s []string
		for line := range strings.Lines(list("", provider)) {
			if f := strings.Fields(line); len(f) == 2 {
				s = append(s, f[1])
			}
		}
		return strings.Join(s, " ")
	}
	const plain = "cache/anomaly/onnxruntime-1.31.1/libonnxruntime.so.1.31.1 cache/anomaly/onnxruntime-1.30.0/libonnxruntime.so.1.30.0"
	const gpu, venv = "cache/anomaly/onnxruntime-gpu-1.31.1/libonnxruntime.so.1.31.1", "venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1"
	for provider, want := range map[*Provider]string{
		Find("cpu"):  plain + " " + gpu + " lib/libonnxruntime.so.1.31.0 lib/libonnxruntime.so.1.30.0 lib/libonnxruntime.so.1 " + venv,
		Find("cuda"): gpu, Find("openvino"): venv, Find("tensorrt"): "",
	} {
		if got := usable(provider); got != want {
			t.Errorf("%s: got %s, want %s", provider.Name, got, want)
		}
	}
	if got := list("", Find("tensorrt")); !strings.Contains(got, gpu+" has no tensorrt: there is no libonnxruntime_providers_tensorrt.so beside it") {
		t.Errorf("got %s", got)
	}

	t.Setenv(libraryVariable, touch("mine.so")) // the only place, as is one in the options
	want("", Find("cpu"), "ANOMALY_ORT_LIB mine.so")
	want(filepath.Join(dir, "absent.so"), Find("cpu"), "options absent.so no such file")
	want(dir+"/lib", Find("cpu"), "options lib is a folder, want the shared library in it")
}

func TestMissing(t *testing.T) {
	tests := []struct{ names, want string }{
		{"libcublasLt.so.13 libcublas.so.13 libcudart.so.13 libcurand.so.10 libcufft.so.12 libnvrtc.so.13 libcudnn.so.9",
			"python3 -m pip install nvidia-cublas~=13.0 nvidia-cuda-runtime~=13.0 nvidia-curand~=10.0 nvidia-cufft~=12.0 nvidia-cuda-nvrtc~=13.0 nvidia-cudnn-cu13~=9.0"},
		{"libcurand.so.10 libcudart.so.12 libcudnn.so.9", "python3 -m pip install nvidia-curand-cu12~=10.0 nvidia-cuda-runtime-cu12~=12.0 nvidia-cudnn-cu12~=9.0"},
		{"libnvinfer.so.10 libnvonnxparser.so.10", "python3 -m pip install tensorrt-cu13-libs~=10.0"},
		{"libcuda.so.1", "install NVIDIA's driver (in a container: start it with the GPU)"},
		{"libcudart.so.13 libcuda.so.1", "python3 -m pip install nvidia-cuda-runtime~=13.0; install NVIDIA's driver (in a container: start it with the GPU)"},
		{"libz.so.1", "install the system's package with libz.so.1"},
	}
	for _, tt := range tests {
		list := missing(strings.Fields(tt.names))
		if got := howToGet(list); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.names, got, tt.want)
		}
		for i, name := range strings.Fields(tt.names) {
			if list[i].Library != name {
				t.Errorf("got %+v, want %s", list[i], name)
			}
		}
	}
}
