package runtime

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

// Opening a model reads and parses its file once: it allocates the file's bytes,
// the parsed weights and those of the graph, and would more to parse it again.
func TestOpenParsesOnce(t *testing.T) {
	const side = 1 << 10
	const weights = side * side * 4 // bytes
	g := graph.New("heavy")
	x := g.Input("x", graph.Float32, 1, side)
	g.Output("y", graph.MatMul(x, g.Param("w", side, side)))
	b := marshal(t, g, map[string]*graph.Tensor{"w": graph.Zeros(graph.Float32, side, side)})
	path := filepath.Join(t.TempDir(), "heavy.onnx")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	o := &SessionOptions{Provider: Go, Threads: 1}
	for _, c := range []struct {
		name string
		open func() (*Session, error)
		want float64 // allocated, times the weights
	}{
		{"bytes", func() (*Session, error) { return OpenSession(b, o) }, 2},
		{"file", func() (*Session, error) { return OpenSessionFile(path, o) }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			s, err := c.open()
			goruntime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			got := float64(after.TotalAlloc-before.TotalAlloc) / weights
			if got > c.want+0.5 {
				t.Errorf("got %.2f times the weights allocated, want %v", got, c.want)
			}
		})
	}
}
