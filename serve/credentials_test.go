package serve

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/oippb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// written returns the path of a file with a text.
func written(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A party has a certificate and its key.
type party struct {
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	pem, pkey string
}

// newParty returns one of a name, signed by another or, where that is nil, by itself.
func newParty(t testing.TB, name string, by *party) *party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: by == nil, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	p := &party{key: key}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	p.pkey = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return p
}

// config is a client's, which trusts a server whoever signed it: the tests look at
// what it shows.
func (p *party) config() *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	if p != nil {
		c.Certificates = []tls.Certificate{{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key}}
	}
	return c
}

// A mounted secret is a folder as Kubernetes mounts it: files are links into a
// folder behind a link, which is replaced.
type mounted struct{ dir string }

func (m mounted) file(name string) string { return filepath.Join(m.dir, name) }

// write has the files be others, all at once.
func (m mounted) write(t *testing.T, files map[string]string) {
	t.Helper()
	data, err := os.MkdirTemp(m.dir, "..")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), m.file(name)); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	link := m.file("..data_tmp")
	if err := os.Symlink(filepath.Base(data), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, m.file("..data")); err != nil {
		t.Fatal(err)
	}
}

// TestRotatedCertificate replaces the secret of a server: connections that come are
// shown the new certificate, those that are there go on.
func TestRotatedCertificate(t *testing.T) {
	first, second := newParty(t, "first", nil), newParty(t, "second", nil)
	secret := mounted{t.TempDir()}
	secret.write(t, map[string]string{"tls.crt": first.pem, "tls.key": first.pkey})
	log := &logBuffer{}
	o := testOptions()
	o.Logger = log.logger()
	o.Credentials = Credentials{Certificate: secret.file("tls.crt"), Key: secret.file("tls.key")}
	s, _, _ := newServer(t, o, nil)
	web, rpc := serving(t, s)
	shown := func(address string) string {
		t.Helper()
		c, err := tls.Dial("tcp", address, (*party)(nil).config())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.ConnectionState().NegotiatedProtocol; got != "h2" {
			t.Errorf("%s: got protocol %q, want h2", address, got)
		}
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: (*party)(nil).config(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	get := func() string {
		t.Helper()
		a, err := client.Get("https://" + web + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusOK {
			t.Errorf("got %d", a.StatusCode)
		}
		return a.TLS.PeerCertificates[0].Subject.CommonName
	}
	if web, rpc, kept := shown(web), shown(rpc), get(); web != "first" || rpc != "first" || kept != "first" {
		t.Fatalf("got certificates %s, %s and %s, want first", web, rpc, kept)
	}
	secret.write(t, map[string]string{"tls.crt": second.pem, "tls.key": second.pkey})
	eventually(t, "the new certificate", func() bool { return shown(web) == "second" })
	if got := shown(rpc); got != "second" {
		t.Errorf("gRPC: got certificate %s, want second", got)
	}
	if got := get(); got != "first" {
		t.Errorf("the connection that was there was cut: its certificate is %s", got)
	}
	eventually(t, "an audit line", func() bool {
		return strings.Contains(log.String(), `"msg":"certificates replaced","audit":true`)
	})
}

// TestRevokedAuthority takes away the authority of a client that is connected, and has
// a ticket to come back with.
func TestRevokedAuthority(t *testing.T) {
	server, old, young := newParty(t, "server", nil), newParty(t, "old", nil), newParty(t, "young", nil)
	o := testOptions()
	o.OpenAdmin, o.Interval = false, time.Hour // the test looks
	o.Credentials = Credentials{Certificate: written(t, server.pem), Key: written(t, server.pkey), Authorities: written(t, old.pem+"\n"+young.pem)}
	s, _, _ := newServer(t, o, nil)
	web, rpc := serving(t, s)
	connect := func(by *party) (ask func() (web, rpc bool), again func()) {
		config := newParty(t, "line", by).config()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
		conn, err := grpc.NewClient(rpc, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(); client.CloseIdleConnections() })
		return func() (bool, bool) {
			a, err := client.Get("https://" + web + "/v1/models")
			if err == nil {
				io.Copy(io.Discard, a.Body)
				a.Body.Close()
			}
			return err == nil && a.StatusCode == http.StatusOK, conn.Invoke(t.Context(), "/"+serviceName+"/ServerMetadata", &oippb.ServerMetadataRequest{}, &oippb.ServerMetadataResponse{}) == nil
		}, client.CloseIdleConnections
	}
	askOld, again := connect(old)
	askYoung, _ := connect(young)
	for name, ask := range map[string]func() (bool, bool){"old": askOld, "young": askYoung} {
		if web, rpc := ask(); !web || !rpc {
			t.Fatalf("%s: got an answer over HTTP: %v, gRPC: %v, want both", name, web, rpc)
		}
	}
	if err := os.WriteFile(o.Credentials.Authorities, []byte(young.pem), 0o600); err != nil {
		t.Fatal(err)
	}
	for range looks {
		s.secrets.look()
	}
	if web, rpc := askOld(); web || rpc {
		t.Errorf("of a revoked authority, on connections that are there: got an answer over HTTP: %v, gRPC: %v, want none", web, rpc)
	}
	again()
	if web, _ := askOld(); web {
		t.Error("of a revoked authority, with a ticket: got an answer, want none")
	}
	if web, rpc := askYoung(); !web || !rpc {
		t.Errorf("of the other: got an answer over HTTP: %v, gRPC: %v, want both", web, rpc)
	}
}

// TestRevokedToken has a server refuse a token that its file has no more, after as
// many looks as an interval has.
func TestRevokedToken(t *testing.T) {
	const line, other = "0123456789abcdef", "fedcba9876543210"
	log := &logBuffer{}
	o := testOptions()
	o.OpenAdmin, o.Interval, o.Logger = false, time.Hour, log.logger() // the test looks
	o.Credentials.Tokens = written(t, "line infer "+line+"\n")
	s, web, _ := newServer(t, o, nil)
	code := func(token string) int {
		t.Helper()
		code, _, _ := ask(t, "GET", web.URL+"/v1/models", nil, "Authorization", "Bearer "+token)
		return code
	}
	if a, b := code(line), code(other); a != 200 || b != 401 {
		t.Fatalf("got %d and %d, want 200 and 401", a, b)
	}
	if err := os.WriteFile(o.Credentials.Tokens, []byte("newcomer infer "+other), 0o600); err != nil {
		t.Fatal(err)
	}
	for range looks {
		s.secrets.look()
	}
	if a, b := code(line), code(other); a != 401 || b != 200 {
		t.Errorf("after an interval: got %d and %d, want 401 and 200", a, b)
	}
	text := log.String()
	if want := `"msg":"tokens replaced","audit":true,"by":"files","added":["newcomer"],"removed":["line"]`; !strings.Contains(text, want) {
		t.Errorf("got log %s, want %s", text, want)
	}
	if strings.Contains(text, line) || strings.Contains(text, other) {
		t.Error("the log tells a token")
	}
}

// TestWatchedSecrets has a server of its own pace see a change.
func TestWatchedSecrets(t *testing.T) {
	o := testOptions()
	o.OpenAdmin = false
	secret := mounted{t.TempDir()}
	secret.write(t, map[string]string{"tokens": "line infer 0123456789abcdef\n"})
	o.Credentials.Tokens = secret.file("tokens")
	_, web, _ := newServer(t, o, nil)
	secret.write(t, map[string]string{"tokens": "line infer fedcba9876543210\n"})
	eventually(t, "the new token", func() bool {
		code, _, _ := ask(t, "GET", web.URL+"/v1/models", nil, "Authorization", "Bearer fedcba9876543210")
		return code == 200
	})
}

// TestBadSecrets writes files that cannot be used, or are not all there yet: those
// before stay, and the log says why, once.
func TestBadSecrets(t *testing.T) {
	server, other := newParty(t, "server", nil), newParty(t, "other", nil)
	const token = "line infer 0123456789abcdef\n"
	for _, tt := range []struct {
		name, file, text, want string // want is in the log; "" for nothing
	}{
		{"half a line", "tokens", token[:9], "got 2 fields"},
		{"no token", "tokens", "", "got none"},
		{"no tokens file", "tokens", "-", "no such file"},
		{"the same again", "tokens", token, ""},
		{"another certificate", "cert", other.pem, "private key does not match"},
		{"half a certificate", "cert", server.pem[:len(server.pem)/2], "ends within a block"},
		{"half of what it leans on", "cert", server.pem + other.pem[:len(other.pem)/2], "ends within a block"},
		{"half a key", "key", server.pkey[:len(server.pkey)/2], "key"},
		{"half an authority", "authorities", server.pem + other.pem[:len(other.pem)/2], "ends within a block"},
		{"no authority", "authorities", "# none yet", "got no certificate"},
		{"no certificate", "authorities", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), "certificate 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			paths := map[string]string{"tokens": written(t, token), "cert": written(t, server.pem), "key": written(t, server.pkey), "authorities": written(t, server.pem)}
			log := &logBuffer{}
			s, err := openCredentials(&Credentials{Tokens: paths["tokens"], Certificate: paths["cert"], Key: paths["key"], Authorities: paths["authorities"]}, log.logger())
			if err != nil {
				t.Fatal(err)
			}
			tokens, transport := s.tokens.Load(), s.transport.Load()
			if tt.text == "-" {
				err = os.Remove(paths[tt.file])
			} else {
				err = os.WriteFile(paths[tt.file], []byte(tt.text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 3 * looks {
				s.look()
			}
			if s.tokens.Load() != tokens || s.transport.Load() != transport {
				t.Error("it is in use")
			}
			if text := log.String(); tt.want == "" && text != "" || tt.want != "" && (strings.Count(text, "those before stay") != 1 || !strings.Contains(text, tt.want)) {
				t.Errorf("got log %s, want %q once", text, tt.want)
			}
		})
	}
}

// TestMovingSecrets looks while files are written: a certificate before its key, and a
// file that grows.
func TestMovingSecrets(t *testing.T) {
	first, second := newParty(t, "first", nil), newParty(t, "second", nil)
	files := &Credentials{Tokens: written(t, "a infer 0123456789abcdef\n"), Certificate: written(t, first.pem), Key: written(t, first.pkey)}
	s, err := openCredentials(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.look()
	}
	shown := func() []byte { return s.transport.Load().config.Certificates[0].Certificate[0] }
	write(files.Certificate, second.pem)
	s.look()
	if !bytes.Equal(shown(), first.cert.Raw) {
		t.Error("a certificate without its key is in use")
	}
	write(files.Key, second.pkey)
	s.look()
	if !bytes.Equal(shown(), second.cert.Raw) {
		t.Error("the certificate is not in use when its key has come")
	}
	text := ""
	for _, name := range []string{"b", "c", "d"} {
		text += name + " infer " + name + "123456789abcdef\n"
		write(files.Tokens, text)
		if _, err := s.tokens.Load().bearer("Bearer 0123456789abcdef"); err != nil {
			t.Errorf("a file that grows is in use, up to %s", name)
		}
	}
	s.look()
	if got := len(s.tokens.Load().bearers); got != 3 {
		t.Errorf("got %d tokens when it grows no more, want 3", got)
	}
}

func TestCredentialsInput(t *testing.T) {
	for _, c := range []Credentials{{Certificate: "x"}, {Key: "x"}, {Authorities: "x"}} {
		if _, err := New(t.Context(), t.TempDir(), &Options{Credentials: c}); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: got %v, want ErrInput", c, err)
		}
	}
}
