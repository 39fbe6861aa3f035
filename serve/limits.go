package serve

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits bound how often each client comes.
type limits struct {
	perSecond float64 // 0: no limit

	mu      sync.Mutex
	clients map[string]*rate.Limiter
}

// maxClients is how many clients are told apart; when there are more, those that
// have been quiet are forgotten.
const maxClients = 1 << 14

func newLimits(perSecond float64) *limits {
	return &limits{perSecond: perSecond, clients: map[string]*rate.Limiter{}}
}

// allow returns a [busy] error for a client that comes too often.
func (l *limits) allow(client string) error {
	if l.perSecond == 0 {
		return nil
	}
	burst := int(math.Ceil(l.perSecond))
	l.mu.Lock()
	limiter := l.clients[client]
	if limiter == nil {
		if len(l.clients) >= maxClients {
			for name, other := range l.clients {
				if other.Tokens() >= float64(burst) {
					delete(l.clients, name)
				}
			}
			if len(l.clients) >= maxClients {
				clear(l.clients)
			}
		}
		limiter = rate.NewLimiter(rate.Limit(l.perSecond), burst)
		l.clients[client] = limiter
	}
	l.mu.Unlock()
	if limiter.Allow() {
		return nil
	}
	after := time.Duration(math.Ceil(1/l.perSecond)) * time.Second
	return &busy{fmt.Sprintf("more than %v requests a second", l.perSecond), after}
}
