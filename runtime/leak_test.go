package runtime

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
)

// What was not closed is told, with the line that opened it; what was closed is not.
func TestLeakIsReported(t *testing.T) {
	model := detectorModel(t, models.Spec{Height: 16, Filters: 2}, nil)
	for _, what := range []string{"Detector", "Session"} {
		said := make(chan string, 8)
		o := &Options{SessionOptions: SessionOptions{Provider: Go, Logf: func(format string, args ...any) {
			if s := fmt.Sprintf(format, args...); strings.Contains(s, "closed") {
				said <- s
			}
		}}}
		open := func() interface{ Close() error } {
			if what == "Detector" {
				d, err := OpenBytes(model, o)
				if err != nil {
					t.Fatal(err)
				}
				detect(t, d, pictures(1)...)
				return d
			}
			s, err := OpenSession(model, &o.SessionOptions)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		for range 4 {
			if err := open().Close(); err != nil {
				t.Fatal(err)
			}
		}
		open()
		got := ""
		for range 100 { // a cycle marks, the next may sweep, a goroutine tells
			goruntime.GC()
			goruntime.Gosched()
			select {
			case got = <-said:
			default:
				continue
			}
			break
		}
		if !strings.HasPrefix(got, "a "+what+" was not closed") || !strings.Contains(got, "leak_test.go:") {
			t.Errorf("%s: got %q", what, got)
		}
		for range 3 {
			goruntime.GC()
		}
		if len(said) > 0 {
			t.Errorf("%s: got another report: %q", what, <-said)
		}
	}
}
