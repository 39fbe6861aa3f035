package commands

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// A service is an `anomaly serve`, or worker, that goes on.
type service struct {
	out, log testenv.Buffer
	url      string
	stop     context.CancelFunc
	code     chan int
}

func startService(t *testing.T, args ...string) *service {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &service{stop: stop, code: make(chan int, 1)}
	args = append([]string{"anomaly", "serve", "--provider", "go", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--drain-delay", "1ms"}, args...)
	go func() { s.code <- Run(ctx, "dev", args, &s.out, &s.log) }()
	t.Cleanup(stop)
	where := regexp.MustCompile(`on (https?://\S+)`)
	s.await(t, "serve to begin", func() bool {
		if found := where.FindStringSubmatch(s.log.String()); found != nil {
			s.url = found[1]
		}
		return s.url != ""
	})
	return s
}

// await waits until ok, as long as it goes on.
func (s *service) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) || len(s.code) > 0 {
			t.Fatalf("waited for %s in vain: %s%s", what, &s.out, &s.log)
		}
	}
}

// end ends it as SIGTERM does.
func (s *service) end(t *testing.T) {
	t.Helper()
	s.stop()
	if code := <-s.code; code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, s.log.String())
	}
}

func TestServe(t *testing.T) {
	model := tinyModel(t)
	file := filepath.Join(t.TempDir(), "bad.png")
	bad, _ := badImage(0)
	if err := writePNG(file, bad); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := startService(t, model)
	a, err := http.Post(s.url+"/v1/models/detector/images", "image/png", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	got, _ := io.ReadAll(a.Body)
	stdout, _ := mustRun(t, 0, "run", "--provider", "go", "--json", model, file)
	var served, ran map[string]any
	if err := json.Unmarshal(got, &served); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if err := json.Unmarshal([]byte(stdout), &ran); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"score", "threshold", "anomalous"} {
		if served[key] != ran[key] {
			t.Errorf("%s: serve says %v, run %v", key, served[key], ran[key])
		}
	}
	a, err = http.Post(s.url+"/v2/repository/models/detector/load", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != 200 {
		t.Errorf("load from this machine: got %d, want 200", a.StatusCode)
	}
	s.end(t)
	for _, text := range []string{"this machine alone reaches it", "and gRPC on 127.0.0.1:"} {
		if !strings.Contains(s.log.String(), text) {
			t.Errorf("standard error lacks %q: %s", text, s.log.String())
		}
	}
	for line := range strings.Lines(s.out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("standard output has a line that is no JSON: %s", line)
		}
	}
	if !strings.Contains(s.out.String(), `"audit":true`) || !strings.Contains(s.out.String(), `"status":200`) {
		t.Errorf("standard output lacks lines of models and requests: %s", s.out.String())
	}
}

// TestServeTLS asks with and without the certificate that --client-ca wants.
func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "plant"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, private := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, private: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startService(t, "--tls-cert", cert, "--tls-key", private, "--client-ca", cert, tinyModel(t))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	for _, known := range []bool{false, true} {
		config := &tls.Config{RootCAs: roots}
		if known {
			config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		a, err := client.Post(s.url+"/v2/repository/models/detector/load", "", nil)
		if err == nil {
			a.Body.Close()
		}
		if known != (err == nil && a.StatusCode == 200) {
			t.Errorf("with a certificate %v: got %v, %v", known, a, err)
		}
		client.CloseIdleConnections()
	}
	s.end(t)
	if !strings.Contains(s.out.String(), `"client":"plant"`) {
		t.Errorf("the log lacks the certificate's name: %s", s.out.String())
	}
}

func TestServeUsage(t *testing.T) {
	model := tinyModel(t)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "serve takes"},
		{[]string{"a", "b"}, exitUsage, "serve takes"},
		{[]string{"--priority", "a", model}, exitUsage, "NAME=N"},
		{[]string{"--rate", "-1", model}, exitUsage, "more than 0"},
		{[]string{"--queue", "-1", model}, exitUsage, "0 or more"},
		{[]string{"--concurrent", "0", model}, exitUsage, "1 or more"},
		{[]string{"--max-body", "0", model}, exitUsage, "1 to 1024"},
		{[]string{"--timeout", "0s", model}, exitUsage, "more than 0"},
		{[]string{"--tls-cert", "x", model}, exitUsage, "go together"},
		{[]string{"--listen", "127.0.0.1:0", "--grpc-listen", "none", "--tokens", "none", model}, exitFailure, "tokens: open none"},
		{[]string{"--listen", "127.0.0.1:0", "--grpc-listen", "none", "--tls-cert", "x", "--tls-key", "y", model}, exitFailure, "certificates: open x"},
		{[]string{"--listen", "nowhere", model}, exitFailure, "--listen"},
		{[]string{"--gate", "none", model}, exitFailure, "--gate"},
		{[]string{"--listen", "127.0.0.1:0", "--grpc-listen", "none", "none.onnx"}, exitFailure, "no such file"},
	} {
		_, stderr := mustRun(t, tt.code, append([]string{"serve"}, tt.args...)...)
		if !strings.Contains(stderr, tt.want) {
			t.Errorf("serve %q: got %s, want %q", tt.args, stderr, tt.want)
		}
	}
}

func TestExportTriton(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		mustRun(t, 0, "export", "--triton", dir, tinyModel(t))
	}
	b, err := os.ReadFile(filepath.Join(dir, "detector", "config.pbtxt"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `name: "detector"
backend: "onnxruntime"
max_batch_size: 16
dynamic_batching { }
input { name: "input" data_type: TYPE_UINT8 dims: [ 16, 16, 1 ] }
output { name: "anomaly_map" data_type: TYPE_FP32 dims: [ 1, 16, 16 ] }
output { name: "pred_score" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }
output { name: "pred_label" data_type: TYPE_BOOL dims: [ 1 ] reshape { shape: [ ] } }
output { name: "pred_mask" data_type: TYPE_BOOL dims: [ 1, 16, 16 ] }
output { name: "reconstruction" data_type: TYPE_FP32 dims: [ 1, 16, 16 ] }
`
	if string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
	for _, version := range []string{"1", "2"} {
		mustRun(t, 0, "inspect", filepath.Join(dir, "detector", version, "model.onnx"))
	}
	mustRun(t, exitUsage, "export", "--triton", dir, "--out", "x", tinyModel(t))

	python := os.Getenv("ANOMALY_CLIENTS_PYTHON")
	if python == "" {
		t.Log("config.pbtxt is not parsed with Triton's proto: make testclients does")
		return
	}
	out, err := exec.CommandContext(t.Context(), python, "-c", `
import sys
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
c = text_format.Parse(open(sys.argv[1]).read(), model_config_pb2.ModelConfig())
assert len(c.output) == 5 and c.input[0].data_type == model_config_pb2.TYPE_UINT8 and c.output[1].HasField("reshape"), c`,
		filepath.Join(dir, "detector", "config.pbtxt")).CombinedOutput()
	if err != nil {
		t.Errorf("Triton's proto: %v\n%s", err, out)
	}
}
