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

// TestDashboard holds that the metrics which examples/grafana and docs/serving.md
// name are those that there are.
func TestDashboard(t *testing.T) {
	_, web, _ := newServer(t, testOptions(), nil)
	ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, testImage(0, 32, 32))))
	_, given, _ := ask(t, "GET", web.URL+"/metrics", nil)
	dashboard, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "grafana", "serve.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Error("the dashboard is no JSON")
	}
	document, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "serving.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\b(?:anomaly|process)_[a-z_]+[a-z]\b`)
	n := 0
	for _, name := range names.FindAllString(string(dashboard)+string(document), -1) {
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
	for _, label := range []string{`model="part"`, `stage="queue"`, `code="200"`, `verdict="`, `provider="go"`} {
		if !strings.Contains(given, label) {
			t.Errorf("no metric has a label %s", label)
		}
	}
}
