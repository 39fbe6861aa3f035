package serve

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anomaly-go/anomaly/internal/text"
)

// Credentials are the files that encrypt connections and say who may ask; "" is
// none. A server looks at them twice every Options.Interval and takes over what two
// looks have seen alike: not more than an Interval after a file was written or renamed,
// or a link to it or to its folder was. What cannot be used is logged, and what was
// there before stays.
type Credentials struct {
	// Tokens has a line for each client: a name for the log, its scopes, joined by
	// commas, and the token, of 16 bytes or more, or "sha256:" and its SHA-256 in
	// hexadecimal. Empty lines and those that begin with # do not count.
	//
	//	line-3   infer        sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
	//	deployer infer,admin  dTq0mYpNn4xS2vWb
	Tokens string
	// Certificate and Key are the server's, as PEM: TLS 1.2 and later for both
	// protocols. The certificate is followed by those that it leans on.
	Certificate, Key string
	// Authorities, as PEM, are those whose certificates clients must bring, which
	// without Tokens gives every scope. One that is taken away is refused by the next
	// request of a client, on a connection that it has, too.
	Authorities string
}

func (c *Credentials) validate() error {
	switch {
	case (c.Certificate == "") != (c.Key == ""):
		return fmt.Errorf("%w: a certificate and its key go together", ErrInput)
	case c.Authorities != "" && c.Certificate == "":
		return fmt.Errorf("%w: authorities of clients need a certificate of the server", ErrInput)
	}
	return nil
}

// TLS reads the certificates once; nil where there are none.
func (c *Credentials) TLS() (*tls.Config, error) {
	s, err := openCredentials(&Credentials{Certificate: c.Certificate, Key: c.Key, Authorities: c.Authorities}, slog.New(slog.DiscardHandler))
	if err != nil || s.transport.Load() == nil {
		return nil, err
	}
	return s.transport.Load().config, nil
}

// secrets are credentials as they are in use.
type secrets struct {
	tokens    atomic.Pointer[tokens]    // nil where clients need none
	transport atomic.Pointer[transport] // nil where nothing is encrypted
	watched   []*secret
	log       *slog.Logger
}

// openCredentials reads what there is; whatever cannot be used is an error.
func openCredentials(files *Credentials, log *slog.Logger) (*secrets, error) {
	if err := files.validate(); err != nil {
		return nil, err
	}
	s := &secrets{log: log}
	if files.Tokens != "" {
		s.watched = append(s.watched, &secret{what: "tokens", files: []string{files.Tokens}, take: s.takeTokens})
	}
	if files.Certificate != "" {
		f := &secret{what: "certificates", files: []string{files.Certificate, files.Key}, take: s.takeTransport}
		if files.Authorities != "" {
			f.files = append(f.files, files.Authorities)
		}
		s.watched = append(s.watched, f)
	}
	for _, f := range s.watched {
		contents, state, err := f.read()
		if err == nil {
			_, err = f.take(contents)
		}
		if err != nil {
			return nil, fmt.Errorf("serve: %s: %w", f.what, err)
		}
		f.used, f.seen = state, state
	}
	return s, nil
}

// looks of an interval: two see a change alike before it is over.
const looks = 2

// watch looks until ctx ends.
func (s *secrets) watch(ctx context.Context, interval time.Duration) {
	if len(s.watched) == 0 {
		return
	}
	tick := time.NewTicker(max(interval/looks, 1))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look()
		case <-ctx.Done():
			return
		}
	}
}

// look takes over what this and the last look have seen alike.
func (s *secrets) look() {
	for _, f := range s.watched {
		contents, state, err := f.read()
		settled := state == f.seen
		f.seen = state
		switch {
		case state == f.used:
			f.refused = digest{}
			continue
		case !settled, state == f.refused:
			continue
		}
		var change []any
		if err == nil {
			change, err = f.take(contents)
		}
		if err != nil {
			f.refused = state
			s.log.Warn(f.what+" cannot be used: those before stay", "error", err.Error())
			continue
		}
		f.used, f.refused = state, digest{}
		s.log.Info(f.what+" replaced", append([]any{"audit", true, "by", "files"}, change...)...)
	}
}

type digest [sha256.Size]byte

// A secret is files that are taken over together or not at all.
type secret struct {
	what  string // for the log
	files []string
	take  func(contents []string) (change []any, err error) // change is for the log

	used    digest // state of the files that is in use
	seen    digest // by the last look
	refused digest // that cannot be used, and has been said
}

// read reads the files; their state is that of an error, too.
func (f *secret) read() (contents []string, state digest, err error) {
	h := sha256.New()
	for _, path := range f.files {
		content, err := text.Read(path)
		if err != nil {
			return nil, sha256.Sum256([]byte(err.Error())), err
		}
		fmt.Fprintf(h, "%d\n%s", len(content), content)
		contents = append(contents, content)
	}
	return contents, digest(h.Sum(nil)), nil
}

// takeTokens has clients bring other tokens from now on.
func (s *secrets) takeTokens(contents []string) (change []any, err error) {
	t, err := parseTokens(contents[0])
	if err != nil {
		return nil, err
	}
	before := s.tokens.Swap(t)
	return []any{"added", t.without(before), "removed", before.without(t)}, nil
}

// A transport is how connections are encrypted, and whose certificates clients bring.
type transport struct {
	config      *tls.Config
	authorities map[string]bool // by their DER; nil where none is asked for
}

// takeTransport has connections use other certificates from now on.
func (s *secrets) takeTransport(contents []string) (change []any, err error) {
	t := &transport{config: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}}
	if _, err := parseCertificates(contents[0]); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(contents[0]), []byte(contents[1]))
	if err != nil {
		return nil, fmt.Errorf("%w: certificate and key: %w", ErrInput, err)
	}
	t.config.Certificates = []tls.Certificate{pair}
	if len(contents) > 2 {
		authorities, err := parseCertificates(contents[2])
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		t.config.ClientAuth, t.config.ClientCAs, t.authorities = tls.RequireAndVerifyClientCert, x509.NewCertPool(), map[string]bool{}
		for _, a := range authorities {
			t.config.ClientCAs.AddCert(a)
			t.authorities[string(a.Raw)] = true
		}
	}
	if before := s.transport.Swap(t); before != nil {
		change = append(change, "before", fingerprint(before))
	}
	return append(change, "hash", fingerprint(t), "expires", pair.Leaf.NotAfter, "authorities", len(t.authorities)), nil
}

// fingerprint is the SHA-256 of a server's certificate.
func fingerprint(t *transport) string {
	sum := sha256.Sum256(t.config.Certificates[0].Certificate[0])
	return hex.EncodeToString(sum[:])
}

// parseCertificates reads all certificates of a PEM file, which must be complete.
func parseCertificates(content string) (all []*x509.Certificate, err error) {
	rest := []byte(content)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrInput, len(all)+1, err)
		}
		all = append(all, c)
	}
	switch {
	case strings.Contains(string(rest), "-----BEGIN"):
		return nil, fmt.Errorf("%w: PEM: the file ends within a block", ErrInput)
	case all == nil:
		return nil, fmt.Errorf("%w: got no certificate as PEM", ErrInput)
	}
	return all, nil
}

// tlsConfig is for listeners: each connection uses what is there when it comes. Nil
// where nothing is encrypted.
func (s *secrets) tlsConfig() *tls.Config {
	if s.transport.Load() == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.transport.Load().config, nil },
	}
}

// trusts reports whether a client's certificate, which was verified when its
// connection came, would still be.
func (s *secrets) trusts(connection *tls.ConnectionState) bool {
	t := s.transport.Load()
	return t == nil || t.authorities == nil || slices.ContainsFunc(connection.VerifiedChains, func(chain []*x509.Certificate) bool {
		return t.authorities[string(chain[len(chain)-1].Raw)]
	})
}
