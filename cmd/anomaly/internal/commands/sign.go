package commands

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/text"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

// signatureFlag is of the commands that put models in use.
var signatureFlag = &cli.StringFlag{Name: "require-signature", Usage: "`FILE` of the public keys by one of which every model must be signed (anomaly sign), as PEM"}

// parseSigners reads the file of signatureFlag.
func parseSigners(c *cli.Context) ([]ed25519.PublicKey, error) {
	path := c.String("require-signature")
	if path == "" {
		return nil, nil
	}
	keys, err := readPublicKeys(path)
	if err != nil {
		return nil, fmt.Errorf("--require-signature: %w", err)
	}
	return keys, nil
}

func signCommand() *cli.Command {
	return &cli.Command{
		Name:      "sign",
		Usage:     "sign a model, so that it is known not to have been changed",
		ArgsUsage: "model.onnx",
		Description: `  anomaly sign --new-key plant.key             once: a key, and plant.key.pub
  anomaly sign --key plant.key model.onnx      where models are made
  anomaly serve --require-signature plant.key.pub models/
  anomaly sign --check plant.key.pub model.onnx

The signature is an entry of the file's metadata, anomaly.signature: other programs
read the model as before. It covers every byte of the file, weights that lie in other
files being moved into it. Whatever changes the model afterwards (calibrate, export)
leaves it unsigned: sign it again.

serve, run and worker with --require-signature refuse what is not signed, or was changed
since, and what was in use stays.

Keys are Ed25519, in PEM, as openssl genpkey -algorithm ed25519 and openssl pkey -pubout
write them. The file of a private key is not encrypted: who has it can sign. Several
public keys in one file are all accepted.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "key", Usage: "`FILE` of the private key to sign with"},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`FILE` for the signed model", DefaultText: "the model's own, whose content is kept as an earlier version"},
			&cli.StringFlag{Name: "check", Usage: "`FILE` of the public keys by one of which the model must be signed"},
			&cli.StringFlag{Name: "new-key", Usage: "`FILE` for a new private key; the public one gets .pub behind its name"},
		},
		Action: func(c *cli.Context) error {
			given := 0
			for _, name := range []string{"key", "check", "new-key"} {
				if c.IsSet(name) {
					given++
				}
			}
			switch {
			case given != 1:
				return usagef("sign wants one of --key, --check and --new-key, got %d of them", given)
			case c.IsSet("out") && !c.IsSet("key"):
				return usagef("--out needs --key")
			case c.IsSet("new-key") && c.NArg() > 0:
				return usagef("sign --new-key takes no model, got %q", c.Args().Slice())
			case c.IsSet("new-key"):
				return newConsole(c).newKey(c.String("new-key"))
			case c.NArg() != 1:
				return usagef("sign takes one model, got %q", c.Args().Slice())
			}
			model := c.Args().First()
			if err := checkModel("sign", model); err != nil {
				return err
			}
			if c.IsSet("check") {
				return newConsole(c).checkSignature(model, c.String("check"))
			}
			out := model
			if c.IsSet("out") {
				out = c.String("out")
			}
			return newConsole(c).sign(model, c.String("key"), out)
		},
	}
}

// sign is `anomaly sign --key`.
func (c *console) sign(model, keyPath, out string) error {
	key, err := readPrivateKey(keyPath)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	release, err := atomicfile.Lock(out)
	if err != nil {
		return err
	}
	defer release()
	b, err := anrt.ReadFile(model)
	if err != nil {
		return err
	}
	signed, err := anrt.Sign(b, key)
	if err != nil {
		return fmt.Errorf("%s: %w", printable(model), err)
	}
	if err := replaceable(out); err != nil {
		return err
	}
	if err := c.replace(signed, out); err != nil {
		return err
	}
	c.notef("%s is signed with the key %s", printable(out), anrt.KeyID(key.Public().(ed25519.PublicKey)))
	return nil
}

// checkSignature is `anomaly sign --check`.
func (c *console) checkSignature(model, keys string) error {
	signers, err := readPublicKeys(keys)
	if err != nil {
		return fmt.Errorf("--check: %w", err)
	}
	b, err := anrt.ReadFile(model)
	if err != nil {
		return err
	}
	if err := anrt.CheckSignature(b, signers...); err != nil {
		return fmt.Errorf("%s: %w", printable(model), err)
	}
	c.notef("%s is signed, and was not changed since", printable(model))
	return nil
}

// Kinds of blocks of PEM.
const (
	pemPrivate = "PRIVATE KEY" // PKCS #8
	pemPublic  = "PUBLIC KEY"  // PKIX
)

// newKey is `anomaly sign --new-key`. What is there is not replaced.
func (c *console) newKey(path string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path + ".pub"); err == nil {
		return usagef("--new-key: %s.pub is there: a key is not replaced, choose another name", printable(path))
	}
	if err := writeNew(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: secret})); err != nil {
		return err
	}
	if err := writeNew(path+".pub", 0o644, pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: open})); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	c.notef("%s is the key %s to sign with: keep it secret; %s.pub is for --require-signature", printable(path), anrt.KeyID(public), printable(path))
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, mode fs.FileMode, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return usagef("--new-key: %s is there: a key is not replaced, choose another name", printable(path))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// readPrivateKey reads an Ed25519 key.
func readPrivateKey(path string) (ed25519.PrivateKey, error) {
	blocks, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		switch b.Type {
		case pemPublic:
			return nil, fmt.Errorf("%s: got a public key, want the private one", printable(path))
		case "ENCRYPTED " + pemPrivate:
			return nil, fmt.Errorf("%s: got a key that is encrypted: openssl pkey -in %[1]s decrypts it", printable(path))
		case pemPrivate:
			key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", printable(path), err)
			}
			if key, ok := key.(ed25519.PrivateKey); ok {
				return key, nil
			}
			return nil, fmt.Errorf("%s: got a key for %s, want one for Ed25519", printable(path), algorithm(key))
		}
	}
	return nil, fmt.Errorf("%s: got no private key as PEM: anomaly sign --new-key makes one", printable(path))
}

// readPublicKeys reads Ed25519 keys: one or more.
func readPublicKeys(path string) (keys []ed25519.PublicKey, err error) {
	blocks, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		switch {
		case strings.HasSuffix(b.Type, pemPrivate):
			return nil, fmt.Errorf("%s: got a private key, which belongs where models are made: want the public one, %[1]s.pub", printable(path))
		case b.Type != pemPublic:
			continue
		}
		key, err := x509.ParsePKIXPublicKey(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", printable(path), err)
		}
		ours, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%s: got a key for %s, want one for Ed25519", printable(path), algorithm(key))
		}
		keys = append(keys, ours)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: got no public key as PEM", printable(path))
	}
	return keys, nil
}

// algorithm is that of a key of package crypto.
func algorithm(key any) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(fmt.Sprintf("%T", key), "*"), ".")
	return strings.ToUpper(name)
}

// readPEM returns the blocks of a file.
func readPEM(path string) (blocks []*pem.Block, err error) {
	s, err := text.Read(path)
	if err != nil {
		return nil, err
	}
	for rest := []byte(s); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return blocks, nil
		}
		blocks = append(blocks, b)
	}
}
