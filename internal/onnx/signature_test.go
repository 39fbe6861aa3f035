package onnx

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// testKey is a key that is the same each time.
func testKey(n byte) (ed25519.PublicKey, ed25519.PrivateKey) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	return key.Public().(ed25519.PublicKey), key
}

// signable is a small model.
func signable(t testing.TB) []byte {
	t.Helper()
	g := graph.New("signed")
	w := g.Param("w", 2)
	g.Output("y", graph.Mul(g.Input("x", graph.Float32, graph.Dynamic, 2), w))
	return marshal(t, &Model{Graph: g, Weights: map[string]*graph.Tensor{"w": graph.NewTensor([]float32{1, 2}, 2)}, Metadata: map[string]string{"anomaly.threshold": "1"}})
}

func checkSigned(b []byte, keys ...ed25519.PublicKey) error {
	f, err := Read(b)
	if err != nil {
		return err
	}
	return f.CheckSignature(keys)
}

func sign(t testing.TB, b []byte, key ed25519.PrivateKey) []byte {
	t.Helper()
	signed, err := Sign(b, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestSignature(t *testing.T) {
	public, private := testKey(1)
	other, otherPrivate := testKey(2)
	b := signable(t)
	signed := sign(t, b, private)
	if !bytes.HasPrefix(signed, b) {
		t.Error("what is signed is not the file as it was")
	}
	f, err := Read(signed)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Metadata) != 2 || f.Metadata["anomaly.threshold"] != "1" || !strings.HasPrefix(f.Metadata[KeySignature], "ed25519:"+KeyID(public)+":") {
		t.Errorf("got metadata %v", f.Metadata)
	}
	if got := Unsigned(signed); !bytes.Equal(got, b) || !bytes.Equal(Unsigned(b), b) {
		t.Error("without its signature it is another than what was signed")
	}
	for _, keys := range [][]ed25519.PublicKey{{public}, {other, public}} {
		if err := checkSigned(signed, keys...); err != nil {
			t.Errorf("got %v, want none", err)
		}
	}
	if again := sign(t, signed, private); !bytes.Equal(again, signed) {
		t.Error("signed again it is another file")
	}
	if err := checkSigned(sign(t, signed, otherPrivate), other); err != nil {
		t.Errorf("signed with another key in the first's place: %v", err)
	}
	stale := f.proto // another program adds metadata and writes the file anew
	stale.MetadataProps = append(stale.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String("a"), Value: proto.String("b")})
	rewritten, err := proto.Marshal(stale)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkSigned(sign(t, rewritten, private), public); err != nil {
		t.Errorf("signed again after a change: %v", err)
	}
	forged := bytes.Replace(sign(t, b, otherPrivate), []byte(KeyID(other)), []byte(KeyID(public)), 1)
	for _, tt := range []struct {
		what string
		b    []byte
		want string
	}{
		{"unsigned", b, "not signed, want a signature of the key " + KeyID(public)},
		{"another's", sign(t, b, otherPrivate), fmt.Sprintf("signed with the key %q, want %s", KeyID(other), KeyID(public))},
		{"another's, called by the wanted name", forged, "changed after it was signed with the key " + KeyID(public)},
		{"written anew", rewritten, "changed after it was signed"},
		{"with another entry behind it", append(bytes.Clone(signed), signatureEntry("ed25519:")...), "changed after it was signed"},
		{"with a signature that is none", append(bytes.Clone(b), signatureEntry(strings.Repeat("\xff", signatureLength))...), "changed after it was signed"},
	} {
		if err := checkSigned(tt.b, public); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.what, err, tt.want)
		}
	}
	if _, err := Sign([]byte("rubbish"), private); err == nil {
		t.Error("rubbish is signed")
	}
}

// TestSignatureTampered: no byte can be another, gone or new.
func TestSignatureTampered(t *testing.T) {
	public, private := testKey(1)
	signed := sign(t, signable(t), private)
	for i := range signed {
		for what, b := range map[string][]byte{
			"flipped":  append(append(bytes.Clone(signed[:i]), signed[i]^1), signed[i+1:]...),
			"gone":     append(bytes.Clone(signed[:i]), signed[i+1:]...),
			"inserted": append(append(bytes.Clone(signed[:i]), 0), signed[i:]...),
			"the end":  signed[:i],
		} {
			if checkSigned(b, public) == nil {
				t.Fatalf("byte %d of %d: %s: it counts as signed", i, len(signed), what)
			}
		}
	}
}
