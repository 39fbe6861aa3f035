package commands

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newKeys makes a key, and returns the paths of its halves.
func newKeys(t *testing.T) (private, public string) {
	t.Helper()
	private = filepath.Join(t.TempDir(), "plant.key")
	mustRun(t, 0, "sign", "--new-key", private)
	return private, private + ".pub"
}

// signed signs a model and returns its path.
func signed(t *testing.T, model, key string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "signed.onnx")
	mustRun(t, 0, "sign", "--key", key, "--out", out, model)
	return out
}

// tamper returns a model of which one bit is another: in what it says that it was
// trained on, so that it can be used as before.
func tamper(t *testing.T, model string) string {
	t.Helper()
	b, key := mustRead(t, model), "anomaly.data.hash"
	b[bytes.Index(b, []byte(key))+len(key)+5] ^= 1
	path := filepath.Join(t.TempDir(), "tampered.onnx")
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

func TestSign(t *testing.T) {
	private, public := newKeys(t)
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file that others cannot read", info.Mode(), err)
	}
	model := tinyModel(t)
	one := signed(t, model, private)
	_, stderr := mustRun(t, 0, "sign", "--check", public, one)
	if !strings.Contains(stderr, "is signed") {
		t.Errorf("got %s", stderr)
	}
	// It computes what it did, for who asks for a signature and who does not.
	dir := t.TempDir()
	must(t, writePNG(filepath.Join(dir, "a.png"), goodImage(1)))
	want, _ := mustRun(t, 0, "run", "--provider", "go", "--json", model, dir)
	for _, flags := range [][]string{nil, {"--require-signature", public}} {
		if got, _ := mustRun(t, 0, append([]string{"run", "--provider", "go", "--json", one, dir}, flags...)...); got != want {
			t.Errorf("%v: got %s, want %s", flags, got, want)
		}
	}
	if stdout, _ := mustRun(t, 0, "inspect", one); !strings.Contains(stdout, "not checked here") {
		t.Errorf("inspect says nothing of the signature: %s", stdout)
	}
	// In place: what was there is kept. Again: nothing changes.
	live := filepath.Join(dir, "live.onnx")
	place(t, live, model)
	mustRun(t, 0, "sign", "--key", private, live)
	mustRun(t, 0, "sign", "--key", private, live)
	if !bytes.Equal(mustRead(t, live), mustRead(t, one)) {
		t.Error("signed in place it is another file")
	}
	if stdout, _ := mustRun(t, 0, "versions", live); strings.Count(stdout, "earlier") != 1 {
		t.Errorf("got versions %s, want one earlier", stdout)
	}
	// calibrate leaves it unsigned.
	mustRun(t, 0, "calibrate", live, "--threshold", ".5")
	_, stderr = mustRun(t, exitFailure, "sign", "--check", public, live)
	if !strings.Contains(stderr, "signature: not signed, want a signature of the key ") {
		t.Errorf("after calibrate: got %s", stderr)
	}
	_, stderr = mustRun(t, exitFailure, "run", "--provider", "go", "--require-signature", public, tamper(t, one), dir)
	if !strings.Contains(stderr, "changed after it was signed") {
		t.Errorf("tampered with: got %s", stderr)
	}
	_, another := newKeys(t)
	_, stderr = mustRun(t, exitFailure, "sign", "--check", another, one)
	if !strings.Contains(stderr, "signed with the key") {
		t.Errorf("another key: got %s", stderr)
	}
	both := filepath.Join(dir, "both.pub")
	must(t, os.WriteFile(both, slices.Concat(mustRead(t, another), mustRead(t, public)), 0o644))
	mustRun(t, 0, "sign", "--check", both, one)
}

func TestSignRefuses(t *testing.T) {
	private, public := newKeys(t)
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, block := range map[string]*pem.Block{"rsa": {Type: pemPrivate, Bytes: pkcs8(t, key)}, "torn": {Type: pemPrivate, Bytes: []byte("torn")}, "encrypted": {Type: "ENCRYPTED " + pemPrivate}} {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "text"), []byte("no key"), 0o600))
	model := tinyModel(t)
	before := mustRead(t, model)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{model}, exitUsage, "wants one of --key, --check and --new-key, got 0"},
		{[]string{model, "--key", private, "--check", public}, exitUsage, "got 2"},
		{[]string{model, "--check", public, "--out", "x"}, exitUsage, "--out needs --key"},
		{[]string{"--key", private}, exitUsage, "one model"},
		{[]string{"--new-key", filepath.Join(dir, "new"), model}, exitUsage, "takes no model"},
		{[]string{"--new-key", private}, exitUsage, "is there: a key is not replaced"},
		{[]string{"--new-key", filepath.Join(dir, "absent", "new")}, exitFailure, "absent"},
		{[]string{"--key", public, model}, exitFailure, "got a public key, want the private one"},
		{[]string{"--key", filepath.Join(dir, "rsa"), model}, exitFailure, "got a key for RSA, want one for Ed25519"},
		{[]string{"--key", filepath.Join(dir, "torn"), model}, exitFailure, "--key: "},
		{[]string{"--key", filepath.Join(dir, "encrypted"), model}, exitFailure, "encrypted"},
		{[]string{"--key", filepath.Join(dir, "text"), model}, exitFailure, "got no private key as PEM"},
		{[]string{"--key", private, public}, exitFailure, "model"},
		{[]string{"--check", private, model}, exitFailure, "got a private key, which belongs where models are made"},
		{[]string{"--check", filepath.Join(dir, "text"), model}, exitFailure, "got no public key as PEM"},
		{[]string{"--check", public, model}, exitFailure, "not signed"},
	} {
		if _, stderr := mustRun(t, tt.code, append([]string{"sign"}, tt.args...)...); !strings.Contains(stderr, tt.want) {
			t.Errorf("sign %q: got %s, want %q", tt.args, stderr, tt.want)
		}
	}
	_, stderr := mustRun(t, exitFailure, "serve", "--require-signature", private, model)
	if !strings.Contains(stderr, "--require-signature: "+private+": got a private key") {
		t.Errorf("serve: got %s", stderr)
	}
	if !bytes.Equal(mustRead(t, model), before) {
		t.Error("the model has changed")
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return b
}

// TestSignOpenSSL: keys that openssl makes are taken.
func TestSignOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl: ", err)
	}
	private := filepath.Join(t.TempDir(), "key.pem")
	for _, args := range [][]string{{"genpkey", "-algorithm", "ed25519", "-out", private}, {"pkey", "-in", private, "-pubout", "-out", private + ".pub"}} {
		if out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	mustRun(t, 0, "sign", "--check", private+".pub", signed(t, tinyModel(t), private))
}

// TestWatchSigned: what is not signed does not come into use, and what was in use stays.
func TestWatchSigned(t *testing.T) {
	private, public := newKeys(t)
	dir := t.TempDir()
	live, images := filepath.Join(dir, "live.onnx"), filepath.Join(dir, "images")
	strict := withThreshold(t, "1e-9")
	place(t, live, signed(t, withThreshold(t, ".99"), private))
	must(t, writePNG(filepath.Join(images, "a.png"), goodImage(0)))
	w := startWatching(t, "--json", "--require-signature", public, live, images)
	w.awaitLines(1)
	place(t, live, strict)
	w.awaitLog("the model in use stays: " + live + ": runtime: model: signature: not signed")
	place(t, live, tamper(t, signed(t, strict, private)))
	w.awaitLog("the model in use stays: " + live + ": runtime: model: signature: changed after it was signed")
	must(t, writePNG(filepath.Join(images, "b.png"), goodImage(1)))
	w.awaitLines(2)
	place(t, live, signed(t, strict, private))
	w.awaitLog("now using " + live)
	must(t, writePNG(filepath.Join(images, "c.png"), goodImage(2)))
	w.awaitLines(3)
	if code := w.end(); code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, &w.log)
	}
	if got := strings.Count(w.out.String(), `"anomalous":true`); got != 1 {
		t.Errorf("got %d anomalous, want the last alone: %s", got, &w.out)
	}
}

// TestServeSigned is the same of a server.
func TestServeSigned(t *testing.T) {
	private, public := newKeys(t)
	dir := t.TempDir()
	live := filepath.Join(dir, "bottle.onnx")
	strict := withThreshold(t, "1e-9")
	place(t, live, signed(t, withThreshold(t, ".99"), private))
	s := startService(t, "--interval", "10ms", "--require-signature", public, dir)
	verdict := func() string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "a.png")
		must(t, writePNG(file, goodImage(1)))
		a, err := http.Post(s.url+"/v1/models/bottle/images", "image/png", bytes.NewReader(mustRead(t, file)))
		must(t, err)
		defer a.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(a.Body)
		return b.String()
	}
	place(t, live, strict)
	s.await(t, "a refusal", func() bool { return strings.Contains(s.out.String(), "signature: not signed") })
	place(t, live, tamper(t, signed(t, strict, private)))
	s.await(t, "another refusal", func() bool { return strings.Contains(s.out.String(), "signature: changed after it was signed") })
	if got := verdict(); !strings.Contains(got, `"anomalous":false`) {
		t.Errorf("got %s, want the model before", got)
	}
	place(t, live, signed(t, strict, private))
	s.await(t, "the signed one", func() bool { return strings.Contains(verdict(), `"anomalous":true`) })
	s.end(t)
}
