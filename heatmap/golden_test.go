package heatmap

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

var regenerate = flag.Bool("regenerate", false, "run testdata/*.py again")

// readGolden decodes testdata/<data> into v, after the script has made it anew
// where that is asked for.
func readGolden(t *testing.T, script, data string, v any) {
	t.Helper()
	data = "testdata/" + data
	if *regenerate {
		out, err := exec.Command(testenv.Python(t), "testdata/"+script).Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(data, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

// lcg returns n integers in [0,255] that the golden scripts make as well.
func lcg(n int, seed uint32) []float64 {
	values := make([]float64, n)
	for i := range values {
		seed = 1664525*seed + 1013904223
		values[i] = float64(seed >> 24)
	}
	return values
}
