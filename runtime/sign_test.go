package runtime

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSigners: in whatever way a model is to come into use, it has to be signed.
func TestSigners(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	write := func(name string, b []byte) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sign := func(b []byte) []byte {
		t.Helper()
		signed, err := Sign(b, key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	first, second := plainModel(t, plain{.1, 8, 8}, .5), plainModel(t, plain{.2, 8, 8}, .5)
	weight := binary.LittleEndian.AppendUint32(nil, math.Float32bits(.2))
	tampered := bytes.Replace(sign(second), weight, binary.LittleEndian.AppendUint32(nil, math.Float32bits(.3)), 1)
	o := &Options{SessionOptions: SessionOptions{Provider: Go}, Signers: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}}
	refused := func(what string, err error, want string) {
		t.Helper()
		if !errors.Is(err, ErrSignature) || !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want ErrSignature, %s", what, err, want)
		}
	}
	_, err := Open(write("unsigned.onnx", first), o)
	refused("Open", err, "unsigned.onnx: runtime: model: signature: not signed")
	_, err = OpenBytes(first, o)
	refused("OpenBytes", err, "not signed")
	refused("CheckSignature", CheckSignature(tampered, o.Signers...), "changed after it was signed")
	if err := CheckSignature(sign(first), o.Signers...); err != nil {
		t.Error(err)
	}
	d, err := Open(write("first.onnx", sign(first)), o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	hash := d.Info().Hash
	refused("Swap", d.Swap(t.Context(), write("second.onnx", second)), "not signed")
	refused("Swap, tampered", d.Swap(t.Context(), write("second.onnx", tampered)), "changed after it was signed")
	_, err = NewShadow(d, write("second.onnx", second), nil)
	refused("NewShadow", err, "not signed")
	if got := d.Info().Hash; got != hash {
		t.Errorf("got model %s in use, want the first", got)
	}
	if err := d.Swap(t.Context(), write("second.onnx", sign(second))); err != nil {
		t.Error(err)
	}
	if _, err := OpenBytes(sign(first), &Options{Signers: []ed25519.PublicKey{{1}}}); !errors.Is(err, ErrInput) {
		t.Errorf("a short key: got %v, want ErrInput", err)
	}
	if _, err := Sign(first, key[:3]); !errors.Is(err, ErrInput) {
		t.Errorf("a short private key: got %v, want ErrInput", err)
	}
}
