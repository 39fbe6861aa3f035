package fleet

import (
	"io"
	"net/http"
	"sync"
)

// A Health is how a worker is, for probes: an HTTP handler that answers /livez with
// 200 as long as the process does, and /readyz with 200 as long as the worker takes
// images, else with 503 and why not. The zero value is of a worker that has not
// begun. Safe for concurrent use.
type Health struct {
	mu    sync.Mutex
	begun bool
	why   string
}

func (h *Health) set(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun, h.why = true, why
}

// Ready reports whether the worker takes images, and why it does not.
func (h *Health) Ready() (ready bool, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.begun {
		return false, "not begun"
	}
	return h.why == "", h.why
}

// ServeHTTP implements [http.Handler].
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/livez":
		io.WriteString(w, "ok\n")
	case "/readyz":
		if ready, why := h.Ready(); !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, why+"\n")
			return
		}
		io.WriteString(w, "ok\n")
	default:
		http.NotFound(w, r)
	}
}
