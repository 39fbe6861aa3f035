package serve

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Scope is something that a token allows.
type Scope string

// Scopes, each of which includes those before it.
const (
	ScopeInfer    Scope = "infer"    // to send images, and see models and metrics
	ScopeFeedback Scope = "feedback" // to say which verdicts were wrong
	ScopeAdmin    Scope = "admin"    // to change models
)

var scopes = []Scope{ScopeInfer, ScopeFeedback, ScopeAdmin}

// includes reports whether a scope allows what needs another; "" allows nothing.
func (s Scope) includes(other Scope) bool {
	return slices.Index(scopes, s) >= slices.Index(scopes, other)
}

// tokens are what clients show as "Authorization: Bearer …". Only their hashes are
// kept.
type tokens struct {
	bearers map[[sha256.Size]byte]bearer // by hash: looking one up takes no time that tells of its bytes
}

// A bearer is a client that has a token.
type bearer struct {
	name  string // for logs
	scope Scope  // the highest
}

var bearerName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// parseTokens reads tokens, as Credentials has them. Errors do not contain them.
func parseTokens(content string) (*tokens, error) {
	t := &tokens{bearers: map[[sha256.Size]byte]bearer{}}
	lines := bufio.NewScanner(strings.NewReader(content))
	for number := 1; lines.Scan(); number++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		wrong := func(format string, args ...any) (*tokens, error) {
			return nil, fmt.Errorf("%w: tokens: line %d: %s", ErrInput, number, fmt.Sprintf(format, args...))
		}
		if len(fields) != 3 {
			return wrong("got %d fields, want a name, scopes and a token", len(fields))
		}
		who := bearer{name: fields[0]}
		if !bearerName.MatchString(who.name) {
			return wrong("name: want letters, digits, '.', '_' and '-'")
		}
		for scope := range strings.SplitSeq(fields[1], ",") {
			switch s := Scope(scope); {
			case !slices.Contains(scopes, s):
				return wrong("scopes: want %s, %s, %s, or several joined by commas", ScopeInfer, ScopeFeedback, ScopeAdmin)
			case s.includes(who.scope):
				who.scope = s
			}
		}
		hash := sha256.Sum256([]byte(fields[2]))
		if digits, ok := strings.CutPrefix(fields[2], "sha256:"); ok {
			sum, err := hex.DecodeString(digits)
			if err != nil || len(sum) != sha256.Size {
				return wrong("want %d hexadecimal digits behind sha256:", 2*sha256.Size)
			}
			hash = [sha256.Size]byte(sum)
		} else if len(fields[2]) < 16 {
			return wrong("got a token of %d bytes, want 16 or more", len(fields[2]))
		}
		if _, twice := t.bearers[hash]; twice {
			return wrong("the token of %s is an earlier line's too", who.name)
		}
		t.bearers[hash] = who
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: tokens: %w", ErrInput, err)
	}
	if len(t.bearers) == 0 {
		return nil, fmt.Errorf("%w: tokens: got none, want a line for each", ErrInput)
	}
	return t, nil
}

// bearer returns who shows an Authorization header.
func (t *tokens) bearer(header string) (bearer, error) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return bearer{}, fmt.Errorf("%w: want Authorization: Bearer and a token", ErrIdentity)
	}
	who, ok := t.bearers[sha256.Sum256([]byte(strings.TrimSpace(token)))]
	if !ok {
		return bearer{}, fmt.Errorf("%w: the token is not known", ErrIdentity)
	}
	return who, nil
}

// without returns the names of those who have a token, or scopes, that they do not have in
// another state of the file, which may be nil.
func (t *tokens) without(other *tokens) []string {
	names := []string{}
	if t != nil {
		for hash, who := range t.bearers {
			if other == nil || other.bearers[hash] != who {
				names = append(names, who.name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
