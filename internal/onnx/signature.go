package onnx

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// A signed file is another one with a metadata entry behind it, KeySignature, which is
// read as if it had been among the others: protobuf joins lists. What is signed is all
// before it, byte by byte, so that nothing has to be brought into a form of its own
// first. The value is "ed25519:", the KeyID and, in base64, an Ed25519ph signature
// (RFC 8032, section 5.1) in the context KeySignature.

// KeyID returns a public key's name: the beginning of its SHA-256, 16 hexadecimal digits.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

const signatureKind = "ed25519:"

// signatureLength is that of the value of a signature.
var signatureLength = len(signatureKind) + 16 + 1 + base64.StdEncoding.EncodedLen(ed25519.SignatureSize)

// signatureEntry returns the end of a signed file.
func signatureEntry(value string) []byte {
	b, err := proto.Marshal(&onnxpb.ModelProto{MetadataProps: []*onnxpb.StringStringEntryProto{{Key: proto.String(KeySignature), Value: proto.String(value)}}})
	if err != nil {
		panic(err) // of two texts
	}
	return b
}

// unsigned returns a file without the signature at its end, and its value, "" where
// there is none.
func unsigned(b []byte) (body []byte, value string) {
	length := len(signatureEntry(strings.Repeat("x", signatureLength)))
	if len(b) < length {
		return b, ""
	}
	body, value = b[:len(b)-length], string(b[len(b)-signatureLength:])
	if !bytes.Equal(b[len(body):], signatureEntry(strings.ToValidUTF8(value, ""))) {
		return b, ""
	}
	return body, value
}

// Unsigned returns a file without the signature that [Sign] put into it, if it has one.
func Unsigned(b []byte) []byte {
	body, _ := unsigned(b)
	return body
}

// digest is what of a file's bytes is signed, and how.
func digest(body []byte) ([]byte, *ed25519.Options) {
	sum := sha512.Sum512(body)
	return sum[:], &ed25519.Options{Hash: crypto.SHA512, Context: KeySignature}
}

// Sign returns a file's bytes with a signature, in the place of one that there is.
func Sign(b []byte, key ed25519.PrivateKey) ([]byte, error) {
	body, _ := unsigned(b)
	f, err := Read(body)
	if err != nil {
		return nil, err
	}
	if name := f.Outside(); name != "" {
		return nil, fmt.Errorf("weight %q lies in another file, which would not be signed", name)
	}
	if _, stale := f.Metadata[KeySignature]; stale { // another program has written the file anew
		f.proto.MetadataProps = slices.DeleteFunc(f.proto.MetadataProps, func(e *onnxpb.StringStringEntryProto) bool { return e.GetKey() == KeySignature })
		if body, err = proto.Marshal(f.proto); err != nil {
			return nil, err
		}
	}
	sum, options := digest(body)
	signature, err := key.Sign(nil, sum, options)
	if err != nil {
		return nil, err
	}
	id := KeyID(key.Public().(ed25519.PublicKey))
	return slices.Concat(body, signatureEntry(signatureKind+id+":"+base64.StdEncoding.EncodeToString(signature))), nil
}

// CheckSignature returns an error unless the file, as [File.Bytes] returns it, is signed
// with one of some keys.
func (f *File) CheckSignature(keys []ed25519.PublicKey) error {
	b, err := f.Bytes()
	if err != nil {
		return err
	}
	body, value := unsigned(b)
	id, encoded, _ := strings.Cut(strings.TrimPrefix(value, signatureKind), ":")
	var want []string
	for _, key := range keys {
		want = append(want, KeyID(key))
	}
	switch _, has := f.Metadata[KeySignature]; {
	case value == "" && !has:
		return fmt.Errorf("not signed, want a signature of the key %s", strings.Join(want, " or "))
	case value == "":
		return errors.New("changed after it was signed")
	}
	at := slices.Index(want, id)
	if at < 0 {
		return fmt.Errorf("signed with the key %.16q, want %s", id, strings.Join(want, " or "))
	}
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		sum, options := digest(body)
		err = ed25519.VerifyWithOptions(keys[at], sum, signature, options)
	}
	if err != nil {
		return fmt.Errorf("changed after it was signed with the key %s", id)
	}
	return nil
}
