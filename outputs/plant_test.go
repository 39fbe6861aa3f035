package outputs

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	mqttserver "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// broker starts one, which lets a user in by a password, and hands on what is
// published to a topic.
func (l later) broker(t *testing.T, topic string, got func(body string)) *mqttserver.Server {
	t.Helper()
	b := mqttserver.New(&mqttserver.Options{InlineClient: true})
	if err := b.AddHook(new(auth.Hook), &auth.Options{Ledger: &auth.Ledger{
		Auth: auth.AuthRules{{Username: "line3", Password: "hunter2", Allow: true}},
	}}); err != nil {
		t.Fatal(err)
	}
	if err := b.AddListener(listeners.NewNet("test", l.listen(t))); err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe(topic, 1, func(_ *mqttserver.Client, _ packets.Subscription, p packets.Packet) { got(string(p.Payload)) }); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMQTT: before there is a broker, after it has gone, and once it is back.
func TestMQTT(t *testing.T) {
	t.Setenv("MQTT_PASSWORD", "hunter2")
	l := laterServer(t)
	o, log := testOptions(t)
	outs := open(t, o, "mqtt://line3@"+l.address+"/plant/line3/verdicts?password-env=MQTT_PASSWORD")
	send := func(paths []string) {
		for _, path := range paths {
			outs.Send(testEvent(path, false))
		}
	}
	var mu sync.Mutex
	var bodies []string
	got := func(body string) {
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, body)
	}
	all := numbered(30)
	send(all[:10])
	until(t, "it fails", func() bool { return outs.Stats()[0].Away })
	b := l.broker(t, "plant/line3/verdicts", got)
	send(all[10:20])
	until(t, "20 are delivered", func() bool { return outs.Stats()[0].Delivered == 20 })
	b.Close()
	send(all[20:])
	until(t, "it fails again", func() bool { return outs.Stats()[0].Away })
	b = l.broker(t, "plant/line3/verdicts", got)
	defer b.Close()
	closed(t, outs)
	mu.Lock()
	defer mu.Unlock()
	// The last before the broker went may have come twice.
	if paths := slices.Compact(pathsOf(t, bodies)); !slices.Equal(paths, all) {
		t.Errorf("got %v, want %v", paths, all)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log has the password: %s", log)
	}
}

func TestMQTTWrongPassword(t *testing.T) {
	t.Setenv("MQTT_PASSWORD", "wrong")
	l := laterServer(t)
	b := l.broker(t, "x", func(string) { t.Error("got a message") })
	defer b.Close()
	o, _ := testOptions(t)
	outs := open(t, o, "mqtt://line3@"+l.address+"/x?password-env=MQTT_PASSWORD")
	outs.Send(testEvent("a.png", false))
	until(t, "it fails", func() bool { return outs.Stats()[0].Away })
	if left := outs.Close(t.Context()); left != 1 {
		t.Errorf("got %d left, want 1", left)
	}
}

// plc starts a server with a node for each thing that is written.
func (l later) plc(t *testing.T) (*server.Server, *server.MapNamespace) {
	t.Helper()
	host, port, err := net.SplitHostPort(l.address)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(port)
	s := server.New(server.EnableSecurity("None", ua.MessageSecurityModeNone), server.EnableAuthMode(ua.UserTokenTypeAnonymous), server.EndPoint(host, number))
	ns := server.NewMapNamespace(s, "line")
	ns.Data = map[string]any{"Score": float32(-1), "Bad": false, "Verdict": "", "Message": "", "Id": "", "Dark": false, "Soft": false, "Drift": ""}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s, ns
}

// TestOPCUA: before there is a server and once it is there.
func TestOPCUA(t *testing.T) {
	l := laterServer(t)
	o, _ := testOptions(t)
	outs := open(t, o, "opcua://"+l.address+"?score=ns=1;s=Score&anomalous=ns=1;s=Bad&verdict=ns=1;s=Verdict&message=ns=1;s=Message&id=ns=1;s=Id")
	outs.Send(testEvent("a.png", true))
	until(t, "it fails", func() bool { return outs.Stats()[0].Away })
	s, ns := l.plc(t)
	defer s.Close()
	until(t, "the first is delivered", func() bool { return outs.Stats()[0].Delivered == 1 })
	first := ns.GetValue("Id")
	if got := ns.GetValue("Bad"); got != true {
		t.Errorf("anomalous: got %v, want true", got)
	}
	outs.Send(testEvent("b.png", false))
	closed(t, outs)
	if got := ns.GetValue("Score"); got != float32(.41) {
		t.Errorf("score: got %v, want 0.41", got)
	}
	if got := ns.GetValue("Bad"); got != false {
		t.Errorf("anomalous: got %v, want false", got)
	}
	if got := ns.GetValue("Verdict"); got != "good" {
		t.Errorf("verdict: got %v, want good", got)
	}
	if got := pathsOf(t, []string{ns.GetValue("Message").(string)})[0]; got != "b.png" {
		t.Errorf("message: got that of %s, want of b.png", got)
	}
	if second := ns.GetValue("Id"); first == "" || second == first {
		t.Errorf("got ids %v and %v, want two", first, second)
	}
}

// TestOPCUANodes: a node that is not there is a failure that is tried again, and said.
func TestOPCUANodes(t *testing.T) {
	l := laterServer(t)
	s, _ := l.plc(t)
	server.NewNodeNameSpace(s, "empty") // number 2; the server panics at one it does not have
	defer s.Close()
	o, log := testOptions(t)
	outs := open(t, o, "opcua://"+l.address+"?score=ns=2;s=Nowhere")
	outs.Send(testEvent("a.png", true))
	until(t, "it fails", func() bool { return outs.Stats()[0].Away })
	if left := outs.Close(t.Context()); left != 1 || !strings.Contains(log.String(), "ns=2;s=Nowhere") {
		t.Errorf("got %d left, want 1 and the node's name in %s", left, log)
	}
}

func TestPlantRefuses(t *testing.T) {
	o, _ := testOptions(t)
	for url, want := range map[string]string{
		"mqtt://host":                                "topic",
		"mqtt://host/plant/+/x":                      "topic",
		"mqtt://host/x?qos=0":                        "qos",
		"mqtt://host/x?retain=1":                     "retain",
		"mqtts://host/x?ca-file=/nowhere":            "/nowhere",
		"opcua://host":                               "want a node",
		"opcua://host?score=ns=x;i=1":                "want a node such as",
		"opcua://host?score=ns=1;s=x&only=drift":     "only=drift leaves nothing",
		"opcua://host?score=ns=1;s=x&security=Basic": "cert-file",
		"opcua://host?score=ns=1;s=x&cert-file=x":    "security",
	} {
		if _, err := Open([]string{url}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}
