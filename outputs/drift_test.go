package outputs

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/drift"
)

// testDrift is a drift of a quantity that begins or ends.
func testDrift(quantity string, begins bool) *drift.Event {
	return &drift.Event{
		ModelName: "bottle", ModelHash: strings.Repeat("ab", 32),
		Report: drift.Report{Quantity: quantity, Distance: .5, Limit: .25, Drifted: begins, Median: .375, Usual: .5, Images: 200},
	}
}

// TestDriftJSON: what is delivered, key by key, signed as findings are, after the other
// side was away, in the order of what was sent.
func TestDriftJSON(t *testing.T) {
	l, r, only := laterServer(t), &receiver{}, &receiver{}
	second := httptest.NewServer(only)
	defer second.Close()
	secret, dir := filepath.Join(t.TempDir(), "secret"), t.TempDir()
	if err := os.WriteFile(secret, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	o, _ := testOptions(t)
	outs := open(t, o, "webhook+http://"+l.address+"?secret-file="+secret, "webhook+"+second.URL+"?only=drift", "rejects:"+dir)
	outs.Send(testEvent("a.png", true))
	outs.SendDrift(testDrift(drift.Brightness, true))
	outs.Send(testEvent("b.png", false))
	outs.SendDrift(testDrift(drift.Brightness, false))
	l.serve(t, r)
	closed(t, outs)
	if len(r.bodies) != 4 || strings.Contains(r.bodies[0]+r.bodies[2], "kind") {
		t.Fatalf("got %q, want a finding, a drift, a finding, a drift", r.bodies)
	}
	var m struct {
		ID   string
		Time time.Time
	}
	if err := json.Unmarshal([]byte(r.bodies[1]), &m); err != nil {
		t.Fatal(err)
	}
	checkSignature(t, r.heads[1], r.bodies[1], m.ID)
	want := fmt.Sprintf(`{"id":"%s","time":"%s","kind":"drift","model_name":"bottle","model_hash":"%s","quantity":"brightness","distance":0.5,"limit":0.25,"drifted":true,"median":0.375,"usual":0.5,"images":200,`+
		`"what":"brightness: darker than in training (median 0.375 of the last 200 images, usual 0.5; distance 0.50, limit 0.25)"}`, m.ID, m.Time.Format(time.RFC3339Nano), strings.Repeat("ab", 32))
	if r.bodies[1] != want {
		t.Errorf("got\n%s\nwant\n%s", r.bodies[1], want)
	}
	if !strings.Contains(r.bodies[3], `"drifted":false`) || !strings.Contains(r.bodies[3], "brightness: as in training") {
		t.Errorf("the end: got %s", r.bodies[3])
	}
	if len(only.bodies) != 2 || !strings.Contains(only.bodies[0], `"kind":"drift"`) || !strings.Contains(only.bodies[1], `"kind":"drift"`) {
		t.Errorf("only=drift: got %q, want the two of drift", only.bodies)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "*")); len(kept) != 1 {
		t.Errorf("the folder of rejects: got %v, want that of the reject alone", kept)
	}
}

// TestMQTTDrift: drift goes to a topic of its own.
func TestMQTTDrift(t *testing.T) {
	t.Setenv("MQTT_PASSWORD", "hunter2")
	l := laterServer(t)
	var mu sync.Mutex
	var kinds []bool
	b := l.broker(t, "plant/verdicts/drift", func(body string) {
		mu.Lock()
		defer mu.Unlock()
		kinds = append(kinds, regexp.MustCompile(`"kind":"drift".*"quantity":"sharpness"`).MatchString(body))
	})
	defer b.Close()
	o, _ := testOptions(t)
	outs := open(t, o, "mqtt://line3@"+l.address+"/plant/verdicts?password-env=MQTT_PASSWORD")
	outs.Send(testEvent("a.png", true))
	outs.SendDrift(testDrift(drift.Sharpness, true))
	closed(t, outs)
	mu.Lock()
	defer mu.Unlock()
	if len(kinds) != 1 || !kinds[0] {
		t.Errorf("got %v, want one message, of drift", kinds)
	}
}

// TestOPCUADrift: drift is written to its own nodes, and leaves those of findings.
func TestOPCUADrift(t *testing.T) {
	l := laterServer(t)
	s, ns := l.plc(t)
	defer s.Close()
	o, _ := testOptions(t)
	outs := open(t, o, "opcua://"+l.address+"?score=ns=1;s=Score&anomalous=ns=1;s=Bad&id=ns=1;s=Id&drift-brightness=ns=1;s=Dark&drift-sharpness=ns=1;s=Soft&drift=ns=1;s=Drift")
	outs.Send(testEvent("a.png", false))
	until(t, "it is delivered", func() bool { return outs.Stats()[0].Delivered == 1 })
	id := ns.GetValue("Id")
	outs.SendDrift(testDrift(drift.Brightness, true))
	until(t, "the drift is delivered", func() bool { return outs.Stats()[0].Delivered == 2 })
	for node, want := range map[string]any{"Score": float32(.41), "Bad": false, "Id": id, "Dark": true, "Soft": false} {
		if got := ns.GetValue(node); got != want {
			t.Errorf("%s: got %v, want %v", node, got, want)
		}
	}
	if got := ns.GetValue("Drift").(string); !strings.Contains(got, `"kind":"drift"`) {
		t.Errorf("drift: got %s", got)
	}
	outs.SendDrift(testDrift(drift.Score, true)) // of which there is no node but that of the message
	outs.SendDrift(testDrift(drift.Brightness, false))
	closed(t, outs)
	if got := ns.GetValue("Dark"); got != false {
		t.Errorf("once it has ended: got %v, want false", got)
	}
}
