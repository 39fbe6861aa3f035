package outputs

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// A webhook posts messages to a URL, signed as the Standard Webhooks specification
// 1.0.0 has it (https://www.standardwebhooks.com), which has libraries for those who
// receive them.
type webhook struct {
	url    string
	signer *standardwebhooks.Webhook // nil signs nothing
	token  string                    // of the head Authorization; "" sends none
	client *http.Client
}

// leastKey is the shortest key of a signature, in bytes: the specification's.
const leastKey = 24

func newWebhook(t *target) (sink, error) {
	u, err := t.url(strings.TrimPrefix(t.kind, "webhook+"))
	if err != nil {
		return nil, err
	}
	w := &webhook{url: u.String(), client: &http.Client{
		// A redirect would take the message, and the token, somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	secret, err := t.secret("secret")
	if err != nil {
		return nil, err
	}
	if secret != "" {
		key := []byte(secret)
		if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
			if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
				return nil, errors.New("secret: want base64 behind whsec_")
			}
		}
		if len(key) < leastKey {
			return nil, fmt.Errorf("secret: got %d bytes, want %d or more", len(key), leastKey)
		}
		if w.signer, err = standardwebhooks.NewWebhookRaw(key); err != nil {
			return nil, err
		}
	}
	w.token, err = t.secret("token")
	return w, err
}

func (w *webhook) deliver(ctx context.Context, m *message) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.JSON))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "anomaly")
	if err := w.sign(q.Header, m, time.Now()); err != nil {
		return err
	}
	if w.token != "" {
		q.Header.Set("Authorization", "Bearer "+w.token)
	}
	answer, err := w.client.Do(q)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) { // whose text has the URL, which may have a secret
			err = e.Err
		}
		return err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<16)) // lets the connection be used again
	switch code := answer.StatusCode; code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: status %s", errRefused, answer.Status)
	default:
		if code/100 != 2 { // also 401 and 404: somebody will mend that
			return fmt.Errorf("status %s", answer.Status)
		}
	}
	return nil
}

// sign sets the heads of the specification. The time is that of the attempt, by which
// a receiver tells an old request that somebody sends again.
func (w *webhook) sign(h http.Header, m *message, now time.Time) error {
	h.Set(standardwebhooks.HeaderWebhookID, m.ID)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	if w.signer == nil {
		return nil
	}
	signature, err := w.signer.Sign(m.ID, now, m.JSON)
	if err != nil {
		return err
	}
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return nil
}

func (w *webhook) close() { w.client.CloseIdleConnections() }
