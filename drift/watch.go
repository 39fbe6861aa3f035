package drift

import (
	"log/slog"
	"sync"
)

// An Event is a drift that begins, or one that has ended.
type Event struct {
	Report           // of the window that shows it: Drifted says which
	ModelName string // "" where it is not known
	ModelHash string // in hexadecimal
}

// A Watch says where the drift of a model begins and ends, whatever version of it is in
// use: another one ends a drift when a window is as in its own training. It is safe for
// concurrent use.
type Watch struct {
	tell func(*Event)

	mu       sync.Mutex
	drifting map[string]bool // quantities whose last window had drifted
}

// NewWatch returns one that calls tell, where that is not nil, with what begins and ends,
// one event at a time.
func NewWatch(tell func(*Event)) *Watch {
	return &Watch{tell: tell, drifting: map[string]bool{}}
}

// Note takes note of a window. Where a drift begins or ends with it, log gets a line with
// args, and it is told.
func (w *Watch) Note(e *Event, log *slog.Logger, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.drifting[e.Quantity]
	if e.Drifted == before {
		return
	}
	w.drifting[e.Quantity] = e.Drifted
	args = append(args, "quantity", e.Quantity, "what", e.String())
	if e.Drifted {
		log.Warn("drift", args...)
	} else {
		log.Info("drift has ended", args...)
	}
	if w.tell != nil {
		w.tell(e)
	}
}
