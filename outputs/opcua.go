package outputs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
)

// An opcuaSink writes what was found into nodes of an OPC UA server, which is what
// PLCs are: all nodes of a message in one request.
type opcuaSink struct {
	endpoint string
	options  []opcua.Option
	policy   string // "None" is no security
	mode     ua.MessageSecurityMode
	auth     ua.UserTokenType
	nodes    []opcuaNode
	client   *opcua.Client // nil: there is no connection
}

// An opcuaNode is one that is written, with what.
type opcuaNode struct {
	opcuaValue
	id *ua.NodeID
}

// An opcuaValue is what can be written, of a finding or of a drift, which is written to
// nodes of its own.
type opcuaValue struct {
	name  string
	drift bool
	value func(m *message) any // nil: not this time
}

// opcuaValues are they, in the order in which they are written: "id" last, so that who
// waits for it to change finds the others in place.
var opcuaValues = []opcuaValue{
	{"score", false, func(m *message) any { return m.Score }},
	{"anomalous", false, func(m *message) any { return !m.Good }},
	{"verdict", false, func(m *message) any { return m.Verdict }},
	{"time", false, func(m *message) any { return m.Time }},
	{"message", false, func(m *message) any { return string(m.JSON) }},
	{"id", false, func(m *message) any { return m.ID }},
	{"drift-score", true, drifted(drift.Score)},
	{"drift-brightness", true, drifted(drift.Brightness)},
	{"drift-sharpness", true, drifted(drift.Sharpness)},
	{"drift", true, func(m *message) any { return string(m.JSON) }},
}

// drifted is whether a quantity has drifted, where a message is about it.
func drifted(quantity string) func(m *message) any {
	return func(m *message) any {
		if m.Drift.Quantity != quantity {
			return nil
		}
		return m.Drift.Drifted
	}
}

func newOPCUA(t *target) (sink, error) {
	u, err := t.url("opc.tcp")
	if err != nil {
		return nil, err
	}
	s := &opcuaSink{auth: ua.UserTokenTypeAnonymous}
	user := u.User.Username()
	u.User = nil
	if u.Port() == "" {
		u.Host += ":4840"
	}
	s.endpoint = u.String()
	for _, v := range opcuaValues {
		text := t.option(v.name, "")
		if text == "" {
			continue
		}
		id, err := ua.ParseNodeID(text)
		if err != nil {
			return nil, fmt.Errorf("%s: got %q, want a node such as ns=2;s=Line1.Score", v.name, text)
		}
		s.nodes = append(s.nodes, opcuaNode{v, id})
	}
	if len(s.nodes) == 0 {
		return nil, errors.New("want a node for one of score, anomalous, verdict, time, message, id, drift-score, drift-brightness, drift-sharpness and drift, such as ?score=ns=2;s=Line1.Score")
	}
	has := func(drift bool) bool {
		return slices.ContainsFunc(s.nodes, func(n opcuaNode) bool { return n.drift == drift })
	}
	t.wants = wants{t.wants.good && has(false), t.wants.rejects && has(false), t.wants.drift && has(true)}
	s.policy = t.option("security", "None")
	certificate, key := t.option("cert-file", ""), t.option("key-file", "")
	switch {
	case s.policy == "None" && certificate+key != "":
		return nil, errors.New("cert-file and key-file need security, such as security=Basic256Sha256")
	case s.policy == "None":
		s.mode = ua.MessageSecurityModeNone
	case certificate == "" || key == "":
		return nil, fmt.Errorf("security=%s needs cert-file and key-file", s.policy)
	default:
		s.mode = ua.MessageSecurityModeSignAndEncrypt
		s.options = append(s.options, opcua.CertificateFile(certificate), opcua.PrivateKeyFile(key))
	}
	password, err := t.secret("password")
	if err != nil {
		return nil, err
	}
	switch {
	case user == "" && password != "":
		return nil, errors.New("a password needs a user before the host, opcua://USER@HOST")
	case user != "":
		s.auth = ua.UserTokenTypeUserName
		s.options = append(s.options, opcua.AuthUsername(user, password))
	}
	s.options = append(s.options, opcua.AutoReconnect(false), opcua.DialTimeout(10*time.Second), opcua.RequestTimeout(10*time.Second), opcua.ApplicationName("anomaly"))
	// The options' files are read here, lest that fail while images pass.
	if _, err := opcua.NewClient(s.endpoint, s.options...); err != nil {
		return nil, err
	}
	return s, nil
}

// connect asks the server for its endpoints and connects to that which has the
// security that was asked for: a weaker one is never taken.
func (s *opcuaSink) connect(ctx context.Context) error {
	endpoints, err := opcua.GetEndpoints(ctx, s.endpoint, opcua.DialTimeout(10*time.Second))
	if err != nil {
		return err
	}
	endpoint, err := opcua.SelectEndpoint(endpoints, s.policy, s.mode)
	if err != nil {
		return fmt.Errorf("no endpoint with security %s: %w", s.policy, err)
	}
	client, err := opcua.NewClient(s.endpoint, append(append([]opcua.Option{}, s.options...), opcua.SecurityFromEndpoint(endpoint, s.auth))...)
	if err != nil {
		return err
	}
	if err := client.Connect(ctx); err != nil {
		return err
	}
	s.client = client
	return nil
}

func (s *opcuaSink) deliver(ctx context.Context, m *message) (err error) {
	if s.client == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil && !errors.Is(err, errRefused) {
			s.close()
		}
	}()
	q := &ua.WriteRequest{}
	var nodes []opcuaNode // that it writes
	for _, n := range s.nodes {
		if n.drift != (m.Drift != nil) {
			continue
		}
		value := n.value(m)
		if value == nil {
			continue
		}
		nodes = append(nodes, n)
		v, err := ua.NewVariant(value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errRefused, n.name, err)
		}
		q.NodesToWrite = append(q.NodesToWrite, &ua.WriteValue{
			NodeID: n.id, AttributeID: ua.AttributeIDValue,
			Value: &ua.DataValue{EncodingMask: ua.DataValueValue, Value: v},
		})
	}
	if len(nodes) == 0 { // of another quantity
		return nil
	}
	answer, err := s.client.Write(ctx, q)
	if err != nil {
		return err
	}
	var failed []string
	for i, status := range answer.Results {
		if status != ua.StatusOK && i < len(nodes) {
			failed = append(failed, fmt.Sprintf("%s (%s): %s", nodes[i].name, nodes[i].id, status.Error()))
		}
	}
	if len(failed) > 0 { // a node that is missing or of another type: somebody will mend that
		return errors.New(strings.Join(failed, "; "))
	}
	if len(answer.Results) != len(nodes) {
		return fmt.Errorf("got %d results for %d nodes", len(answer.Results), len(nodes))
	}
	return nil
}

func (s *opcuaSink) close() {
	if s.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.client.Close(ctx)
		s.client = nil
	}
}
