package main

import (
	"fmt"
	"net/http"
	"sync"
)

// A stream shows JPEG files to any number of browsers, as multipart/x-mixed-replace:
// each gets the newest one when it is ready for it.
type stream struct {
	mu   sync.Mutex
	file []byte
	next chan struct{} // closed when there is another file
}

func newStream() *stream { return &stream{next: make(chan struct{})} }

func (s *stream) show(file []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = file
	close(s.next)
	s.next = make(chan struct{})
}

func (s *stream) newest() (file []byte, next <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file, s.next
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
	w.Header().Set("Cache-Control", "no-store")
	for {
		file, next := s.newest()
		if file != nil {
			fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(file))
			w.Write(file)
			if _, err := fmt.Fprint(w, "\r\n"); err != nil {
				return
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		}
		select {
		case <-next:
		case <-r.Context().Done():
			return
		}
	}
}
