package serve

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
)

// An identity is who sends a request.
type identity struct {
	name  string // of the token or certificate; "" for one who needs neither
	scope Scope
	from  string // address, for the rate
}

// String is for the log and audit.
func (i identity) String() string {
	if i.name == "" {
		return i.from
	}
	return i.name
}

// client is what the rate counts by.
func (i identity) client() string {
	if i.name != "" {
		return "name " + i.name
	}
	return i.from
}

// identify tells who sends a request from its Authorization header, its connection, nil
// where that is not encrypted, and its address, and whether it may do what needs a scope.
func (s *Server) identify(authorization string, connection *tls.ConnectionState, address string, scope Scope) (identity, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	who := identity{from: host, scope: ScopeInfer}
	if s.options.OpenAdmin {
		who.scope = ScopeAdmin
	}
	if connection != nil && len(connection.VerifiedChains) > 0 {
		if !s.secrets.trusts(connection) {
			return who, fmt.Errorf("%w: the authority of the client's certificate is not trusted any more", ErrIdentity)
		}
		who.name, who.scope = connection.VerifiedChains[0][0].Subject.CommonName, ScopeAdmin
	}
	tokens := s.secrets.tokens.Load()
	if tokens != nil {
		b, err := tokens.bearer(authorization)
		if err != nil {
			return who, err
		}
		who.name, who.scope = b.name, b.scope
	}
	if !who.scope.includes(scope) {
		if tokens == nil {
			return who, fmt.Errorf("%w: this server changes models for nobody, nor takes feedback: it has neither tokens nor client certificates, and is not reached from its own machine alone", ErrScope)
		}
		return who, fmt.Errorf("%w: the token does not have %s", ErrScope, scope)
	}
	return who, nil
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// newRequestID returns the ID that came with a request, or a new one where that is
// none that may go into logs and headers.
func newRequestID(given string) string {
	if requestID.MatchString(given) {
		return given
	}
	return rand.Text()
}

// A request is what is known of a request besides what it asks for.
type request struct {
	id  string
	who identity
}

type requestKey struct{}

// requestOf returns the request that a context is of.
func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	if r == nil {
		r = &request{}
	}
	return r
}
