package runtime

import (
	"crypto/ed25519"
	"fmt"

	"github.com/anomaly-go/anomaly/internal/onnx"
)

// Sign returns a model, given as [ReadFile] returns it, with a signature in its
// metadata (anomaly.signature) for Options.Signers. Other programs read it as before;
// its [Hash] is another. A signature that it has is replaced.
func Sign(model []byte, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: key: got %d bytes, want %d", ErrInput, len(key), ed25519.PrivateKeySize)
	}
	signed, err := onnx.Sign(model, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return signed, nil
}

// CheckSignature returns an error that wraps ErrSignature unless a model, given as
// [ReadFile] returns it, is signed with one of some keys.
func CheckSignature(model []byte, keys ...ed25519.PublicKey) error {
	f, err := readModel(model)
	if err != nil {
		return err
	}
	if err := f.CheckSignature(keys); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// KeyID returns the name by which a public key is called: the beginning of its
// SHA-256, in hexadecimal.
func KeyID(key ed25519.PublicKey) string { return onnx.KeyID(key) }
