package outputs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/internal/text"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/uuid"
)

// An mqttSink publishes messages to a topic, those of drift to one below it, at quality 1,
// or 2: the broker acknowledges each before the next is sent.
type mqttSink struct {
	options *mqtt.ClientOptions
	topic   string
	quality byte
	retain  bool
	client  mqtt.Client // nil: there is no connection
}

func newMQTT(t *target) (sink, error) {
	u, err := t.url(t.kind)
	if err != nil {
		return nil, err
	}
	s := &mqttSink{topic: strings.TrimPrefix(u.Path, "/")}
	if s.topic == "" || strings.ContainsAny(s.topic, "+#\x00") {
		return nil, fmt.Errorf("got topic %q, want one behind the host, without + and #", s.topic)
	}
	switch quality := t.option("qos", "1"); quality {
	case "1", "2":
		s.quality = quality[0] - '0'
	default: // 0 would lose messages
		return nil, fmt.Errorf("qos: got %q, want 1 or 2", quality)
	}
	switch retain := t.option("retain", "false"); retain {
	case "true", "false":
		s.retain = retain == "true"
	default:
		return nil, fmt.Errorf("retain: got %q, want true or false", retain)
	}
	scheme, port := "tcp", "1883"
	if t.kind == "mqtts" {
		scheme, port = "ssl", "8883"
	}
	if u.Port() == "" {
		u.Host += ":" + port
	}
	password, err := t.secret("password")
	if err != nil {
		return nil, err
	}
	// What is to be sent again is the spool's affair, not paho's: neither connects
	// again by itself, and the session is a fresh one.
	s.options = mqtt.NewClientOptions().AddBroker(scheme + "://" + u.Host).SetClientID(t.option("client", "anomaly-"+uuid.NewString()[:8])).
		SetUsername(u.User.Username()).SetPassword(password).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(10 * time.Second).SetWriteTimeout(10 * time.Second)
	if path := t.option("ca-file", ""); path != "" {
		pem, err := text.Read(path)
		if err != nil {
			return nil, fmt.Errorf("ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(pem)) {
			return nil, fmt.Errorf("ca-file: %s: got no certificate as PEM", path)
		}
		s.options.SetTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	}
	return s, nil
}

func (s *mqttSink) deliver(ctx context.Context, m *message) error {
	if s.client == nil || !s.client.IsConnectionOpen() {
		s.close()
		s.client = mqtt.NewClient(s.options)
		if err := finished(ctx, s.client.Connect()); err != nil {
			s.close()
			return err
		}
	}
	topic := s.topic
	if m.Drift != nil { // by itself, lest it take the place of a finding that is retained
		topic += "/" + kindDrift
	}
	if err := finished(ctx, s.client.Publish(topic, s.quality, s.retain, m.JSON)); err != nil {
		s.close()
		return err
	}
	return nil
}

// finished waits for a token.
func finished(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return errors.Join(ctx.Err(), errors.New("the broker does not answer"))
	}
}

func (s *mqttSink) close() {
	if s.client != nil {
		s.client.Disconnect(100)
		s.client = nil
	}
}
