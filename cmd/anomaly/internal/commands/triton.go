package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// tritonVersion makes the folder of a model's next version in a repository of
// Triton's, which is one of anomaly serve's too, and returns where its file goes:
// DIR/NAME/VERSION/model.onnx.
func tritonVersion(dir, model string) (string, error) {
	name := strings.TrimSuffix(filepath.Base(model), filepath.Ext(model))
	entries, err := os.ReadDir(filepath.Join(dir, name))
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	next := 1
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			next = max(next, n+1)
		}
	}
	folder := filepath.Join(dir, name, strconv.Itoa(next))
	return filepath.Join(folder, "model.onnx"), os.MkdirAll(folder, 0o755)
}

// tritonTypes are Triton's words for data types that models have, by NumPy's.
var tritonTypes = map[string]string{"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "float16": "TYPE_FP16", "bool": "TYPE_BOOL"}

// tritonBatch is the largest batch that Triton makes of requests that come together.
const tritonBatch = 16

// writeTriton writes config.pbtxt beside the versions of a model.
func writeTriton(model string) (string, error) {
	d, err := anrt.InspectFile(model)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(filepath.Dir(model))
	text, err := tritonConfig(filepath.Base(dir), d)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "config.pbtxt")
	return path, atomicfile.WriteBytes(path, []byte(text))
}

// tritonConfig is a model's configuration, in protobuf's text format (ModelConfig of
// Triton's model_config.proto). Where all tensors have an open first dimension that
// is the batch, which Triton leaves out of shapes.
func tritonConfig(name string, d *anrt.Description) (string, error) {
	batched := !slices.ContainsFunc(slices.Concat(d.Inputs, d.Outputs), func(t anrt.TensorInfo) bool {
		return len(t.Shape) == 0 || t.Shape[0] != -1
	})
	var b strings.Builder
	fmt.Fprintf(&b, "name: %q\nbackend: \"onnxruntime\"\n", name)
	if batched {
		fmt.Fprintf(&b, "max_batch_size: %d\ndynamic_batching { }\n", tritonBatch)
	} else {
		fmt.Fprintf(&b, "max_batch_size: 0\n")
	}
	for _, side := range []struct {
		field   string
		tensors []anrt.TensorInfo
	}{{"input", d.Inputs}, {"output", d.Outputs}} {
		for _, t := range side.tensors {
			kind, ok := tritonTypes[t.DType]
			if !ok {
				return "", fmt.Errorf("%s %s: got type %s, want one that Triton takes here: uint8, float32, float16 or bool", side.field, t.Name, t.DType)
			}
			shape, reshape := t.Shape, ""
			if batched {
				if shape = shape[1:]; len(shape) == 0 { // no dimensions is what Triton takes for a mistake
					shape, reshape = []int{1}, " reshape { shape: [ ] }"
				}
			}
			dims := strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]"), " ", ", ")
			fmt.Fprintf(&b, "%s { name: %q data_type: %s dims: [ %s ]%s }\n", side.field, t.Name, kind, dims, reshape)
		}
	}
	return b.String(), nil
}
