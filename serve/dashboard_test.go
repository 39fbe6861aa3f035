package serve

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// TestDashboard holds that the metrics which examples/grafana, docs/serving.md and
// docs/drift.md name are those that there are.
func TestDashboard(t *testing.T) {
	o := testOptions()
	o.Drift.Window = 20
	_, web, _ := newServer(t, o, func(dir string) { put(t, driftModel(t), dir, "part.onnx") })
	for range o.Drift.Window {
		ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, testImage(0, 32, 32))))
	}
	_, given, _ := ask(t, "GET", web.URL+"/metrics", nil)
	dashboard, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "grafana", "serve.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Error("the dashboard is no JSON")
	}
	var documents []byte
	for _, name := range []string{"serving.md", "drift.md"} {
		document, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, document...)
	}
	names := regexp.MustCompile(`\b(?:anomaly|process)_[a-z_]+[a-z]\b`)
	n := 0
	for _, name := range names.FindAllString(string(dashboard)+string(documents), -1) {
		if name == outputMap {
			continue
		}
		n++
		if !strings.Contains(given, "\n"+name) {
			t.Errorf("there is no metric %s", name)
		}
	}
	if n < 15 {
		t.Errorf("got %d names, want those of the dashboard", n)
	}
	for _, label := range []string{`model="part"`, `quantity="brightness"`, `drifted="`, `stage="queue"`, `code="200"`, `verdict="`, `provider="go"`} {
		if !strings.Contains(given, label) {
			t.Errorf("no metric has a label %s", label)
		}
	}
}
