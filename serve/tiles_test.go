package serve

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
)

// Images larger than a tile are served as a detector judges them, as files and as pixels.
func TestTiles(t *testing.T) {
	o := testOptions()
	o.Detector.View.Tiles = &runtime.Tiles{Scale: 1, Overlap: 8}
	_, web, _ := newServer(t, o, nil)
	img := testImage(3, 90, 70)
	det, err := runtime.OpenBytes(modelBytes(t, 1), &o.Detector)
	if err != nil {
		t.Fatal(err)
	}
	defer det.Close()
	want, err := det.Detect(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	status, body, _ := ask(t, http.MethodPost, web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, img)))
	var f judge.Finding
	if err := json.Unmarshal([]byte(body), &f); err != nil || status != http.StatusOK || f.Score != want[0].Score {
		t.Errorf("got %d, %s, %v, want score %v", status, body, err, want[0].Score)
	}
	status, body, _ = ask(t, http.MethodPost, web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, img)), "Accept", "image/png")
	if status != http.StatusOK || len(body) == 0 {
		t.Errorf("overlay: got %d", status)
	}
}
