package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAdmissionOrder(t *testing.T) {
	a := newAdmission(1, 10)
	done, err := a.start(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var order []int
	var all sync.WaitGroup
	for i, priority := range []int{0, 5, 0, 5, -1} {
		all.Go(func() {
			done, err := a.start(t.Context(), priority)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			done()
		})
		eventually(t, "a waiter", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.waiting) == i+1 })
	}
	done()
	done() // counts once
	all.Wait()
	if want := []int{1, 3, 0, 2, 4}; !slices.Equal(order, want) {
		t.Errorf("got turns in the order %v, want %v", order, want)
	}
	if a.running != 0 || len(a.waiting) != 0 {
		t.Errorf("%d run and %d wait after all", a.running, len(a.waiting))
	}
}

func TestAdmissionGivesUp(t *testing.T) {
	a := newAdmission(1, 1)
	done, _ := a.start(t.Context(), 0)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := a.start(ctx, 0); failed <- err }()
	eventually(t, "a waiter", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.waiting) == 1 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that its context ended", err)
	}
	done()
	done, err := a.start(t.Context(), 0)
	if err != nil || a.running != 1 {
		t.Fatalf("the turn was lost: %v, %d run", err, a.running)
	}
	done()
}

func TestAdmissionPlaces(t *testing.T) {
	a := newAdmission(1, 1)
	leave, _ := a.enter()
	if _, err := a.enter(); err != nil {
		t.Fatal(err)
	}
	var b *busy
	if _, err := a.enter(); !errors.As(err, &b) || b.after < time.Second || b.after > time.Minute {
		t.Errorf("got %v, want busy and when to come again", err)
	}
	leave()
	leave() // counts once
	if _, err := a.enter(); err != nil {
		t.Errorf("a place that was left: %v", err)
	}
}

// TestOverload sends many times what a server bears: each request is computed or
// told when to come again.
func TestOverload(t *testing.T) {
	o := testOptions()
	o.Concurrent, o.Queue = 1, 2
	s, web, _ := newServer(t, o, nil)
	file := pngBytes(t, testImage(0, 32, 32))
	hold, err := s.admission.start(t.Context(), 0) // so that the others wait
	if err != nil {
		t.Fatal(err)
	}
	var good, refused atomic.Int32
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			code, body, header := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(file))
			switch {
			case code == 200:
				good.Add(1)
			case code == 429 && header.Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Errorf("got %d %s", code, body)
			}
		})
	}
	eventually(t, "refusals", func() bool { return refused.Load() == 7 })
	hold()
	all.Wait()
	if good.Load() != 3 {
		t.Errorf("%d were answered, want 3: one computes and two wait", good.Load())
	}
}

func TestTimeout(t *testing.T) {
	o := testOptions()
	o.Concurrent, o.Timeout = 1, 20*time.Millisecond
	s, web, _ := newServer(t, o, nil)
	hold, err := s.admission.start(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer hold()
	code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, testImage(0, 8, 8))))
	if code != http.StatusGatewayTimeout {
		t.Errorf("got %d %s, want 504", code, body)
	}
}

func TestRate(t *testing.T) {
	o := testOptions()
	o.Rate = .01
	_, web, _ := newServer(t, o, nil)
	if code, body, _ := ask(t, "GET", web.URL+"/v1/models", nil); code != 200 {
		t.Errorf("first: got %d %s", code, body)
	}
	if code, _, header := ask(t, "GET", web.URL+"/v1/models", nil); code != 429 || header.Get("Retry-After") != "100" {
		t.Errorf("second: got %d, Retry-After %s, want 429 and 100 seconds", code, header.Get("Retry-After"))
	}
	if code, _, _ := ask(t, "GET", web.URL+"/v2/health/live", nil); code != 200 {
		t.Errorf("health: got %d, want that it does not count", code)
	}
	l := newLimits(1)
	for i := range 2 * maxClients {
		l.allow(string(rune(i)) + "x")
	}
	if len(l.clients) > maxClients {
		t.Errorf("%d clients are remembered, want at most %d", len(l.clients), maxClients)
	}
}

func TestTokens(t *testing.T) {
	const secret = "0123456789abcdef"
	tests := []struct{ name, text, want string }{
		{"good", "# comment\n\nline-3 infer " + secret + "\nops infer,admin sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ""},
		{"none", "# none", "got none"},
		{"byte order mark", "\xef\xbb\xbfa infer " + secret + "\r\n", ""},
		{"UTF-16", "\xff\xfe" + strings.Join(strings.Split("a infer "+secret, ""), "\x00") + "\x00", ""},
		{"two fields", "a infer", "2 fields"},
		{"scope", "a read " + secret, "want infer, feedback, admin"},
		{"name", "a/b infer " + secret, "letters"},
		{"short", "a infer secret", "16 or more"},
		{"hash", "a infer sha256:12", "hexadecimal"},
		{"twice", "a infer " + secret + "\nb admin " + secret, "earlier line"},
		{"long line", strings.Repeat("x", 100_000), "token too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := openCredentials(&Credentials{Tokens: written(t, tt.text)}, slog.New(slog.DiscardHandler))
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrInput) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	log := &logBuffer{}
	o := testOptions()
	o.OpenAdmin, o.Credentials.Tokens, o.Logger = false, written(t, "line infer 0123456789abcdef\nops admin fedcba9876543210\n"), log.logger()
	_, web, _ := newServer(t, o, nil)
	for _, tt := range []struct {
		method, path, token string
		code                int
	}{
		{"GET", "/v2/health/ready", "", 200},
		{"GET", "/openapi.json", "", 200},
		{"GET", "/v1/models", "", 401},
		{"GET", "/metrics", "", 401},
		{"GET", "/v1/models", "Bearer 0123456789abcdef", 200},
		{"GET", "/v1/models", "bearer  0123456789abcdef", 200},
		{"GET", "/v1/models", "Basic 0123456789abcdef", 401},
		{"GET", "/v1/models", "Bearer 0123456789abcdee", 401},
		{"POST", "/v2/repository/models/part/unload", "Bearer 0123456789abcdef", 403},
		{"POST", "/v1/models/part/rollback", "Bearer 0123456789abcdef", 403},
		{"POST", "/v2/repository/models/part/unload", "Bearer fedcba9876543210", 200},
	} {
		code, body, header := ask(t, tt.method, web.URL+tt.path, nil, "Authorization", tt.token)
		if code != tt.code || code == 401 && header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s as %q: got %d %s, want %d", tt.method, tt.path, tt.token, code, body, tt.code)
		}
	}
	if text := log.String(); strings.Contains(text, "0123456789") || strings.Contains(text, "fedcba") {
		t.Error("the log tells a token")
	} else if !strings.Contains(text, `"by":"ops"`) || !strings.Contains(text, `"client":"line"`) {
		t.Errorf("the log does not tell who asked: %s", text)
	}
}

// TestClosedAdmin has a server that others reach, without tokens.
func TestClosedAdmin(t *testing.T) {
	o := testOptions()
	o.OpenAdmin = false
	_, web, _ := newServer(t, o, nil)
	if code, body, _ := ask(t, "POST", web.URL+"/v2/repository/models/part/unload", nil); code != 403 || !strings.Contains(body, "changes models for nobody") {
		t.Errorf("got %d %s, want 403", code, body)
	}
}

func TestOwnHost(t *testing.T) {
	_, web, _ := newServer(t, testOptions(), nil)
	q, _ := http.NewRequestWithContext(t.Context(), "GET", web.URL+"/v1/models", nil)
	q.Host = "evil.example:8080"
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != 403 {
		t.Errorf("another name that leads here: got %d, want 403", a.StatusCode)
	}
	for host, own := range map[string]bool{"localhost": true, "localhost:80": true, "127.0.0.1:8080": true, "[::1]:8080": true, "::1": true, "10.0.0.1": false, "localhost.evil.example": false} {
		if ownHost(host) != own {
			t.Errorf("ownHost(%q): got %v", host, !own)
		}
	}
}

// TestDrain ends a server under load: whatever has begun is answered, and clients
// that keep their connections lose nothing.
func TestDrain(t *testing.T) {
	o := testOptions()
	o.DrainDelay = 100 * time.Millisecond
	s, _, _ := newServer(t, o, nil)
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + web.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, web, rpc) }()
	file := pngBytes(t, testImage(0, 32, 32))
	var answered atomic.Int32
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			for {
				a, err := client.Post(url+"/v1/models/part/images", "image/png", bytes.NewReader(file))
				if err != nil { // by the system, for a connection that nobody had accepted
					if !s.draining.Load() || !strings.Contains(err.Error(), "connection re") {
						t.Errorf("a request was lost: %v", err)
					}
					return
				}
				a.Body.Close()
				if a.StatusCode != 200 {
					t.Errorf("got %d", a.StatusCode)
				}
				answered.Add(1)
			}
		})
	}
	eventually(t, "some answers", func() bool { return answered.Load() > 20 })
	stop()
	eventually(t, "not ready", func() bool { return !s.ready() })
	if err := <-served; err != nil {
		t.Errorf("drain: %v", err)
	}
	clients.Wait()
}
