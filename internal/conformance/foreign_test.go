package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/runtime"
)

// foreignTests are models of other tools. A manifest beside them lists them, with
// the files of their golden outputs and how far these may be off.
func foreignTests(t *testing.T, _ *manifest) []test {
	dir := testenv.Shared(t, "interop")
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var listed struct {
		Models []struct {
			Name    string
			Goldens []struct {
				File      string
				Tolerance float64                          `json:"tolerance_suggested"`
				Outputs   map[string]struct{ Name string } // by key in the file
			}
		}
	}
	if err := json.Unmarshal(b, &listed); err != nil {
		t.Fatal(err)
	}
	var tests []test
	for _, m := range listed.Models {
		for _, g := range m.Goldens {
			arrays, err := readArrays(filepath.Join(dir, m.Name, g.File))
			if err != nil {
				t.Fatal(err)
			}
			c := &modelTest{
				title: "foreign/" + m.Name, images: arrays["input"],
				golden: map[string]*graph.Tensor{}, tol: tolerance{abs: g.Tolerance},
				labels: []label{{"pred_label", "pred_score", .5}, {"pred_mask", "anomaly_map", .5}}, // anomalib's
			}
			if len(m.Goldens) > 1 {
				c.title += "/" + g.File
			}
			for key, o := range g.Outputs {
				c.golden[o.Name] = arrays[key]
			}
			path := filepath.Join(dir, m.Name, "model.onnx")
			c.open = func(o *runtime.SessionOptions) (*runtime.Session, error) { return runtime.OpenSessionFile(path, o) }
			tests = append(tests, c)
		}
	}
	return tests
}
