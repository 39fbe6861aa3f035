package fleet

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
	"github.com/nats-io/nats.go"
)

// FuzzJob reads messages of the queue, headers and all. A job that is read travels on
// unchanged, and what is told of it fits a header.
func FuzzJob(f *testing.F) {
	for _, d := range []*dataset.Decoding{nil, {Background: dataset.White, Levels: 12}} {
		m := newJob(runtime.Hash([]byte("a")), "a.png", []byte("file"), d).message("jobs")
		m.Header.Set(objectHeader, "../x")
		var head strings.Builder
		head.WriteString("NATS/1.0\r\n")
		for name, values := range m.Header {
			head.WriteString(name + ": " + values[0] + "\r\n")
		}
		f.Add([]byte(head.String()+"\r\n"), m.Data)
	}
	f.Fuzz(func(t *testing.T, head, data []byte) {
		h, err := nats.DecodeHeadersMsg(head)
		if err != nil {
			return
		}
		j, err := readJob(h, data)
		if err != nil {
			if !errors.Is(err, ErrInput) {
				t.Errorf("got %v, want ErrInput", err)
			}
			return
		}
		if strings.ContainsAny(oneLine(j.name), "\r\n") {
			t.Errorf("got name %q of several lines", oneLine(j.name))
		}
		m := j.message("jobs")
		back, err := readJob(m.Header, m.Data)
		if err != nil {
			t.Fatalf("a job that was read cannot be read again: %v", err)
		}
		if back.id() != j.id() || *back.decoding(0) != *j.decoding(0) || back.object != j.object {
			t.Errorf("got %+v back, want %+v", back, j)
		}
	})
}

// FuzzAnswer reads what workers and submitters read of others: announcements of models
// and findings.
func FuzzAnswer(f *testing.F) {
	a, err := json.Marshal(Announcement{Hash: runtime.Hash([]byte("a")), Name: "a.onnx"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a)
	f.Add([]byte(`{"path":"a.png","score":1e39,"map":null,"regions":[{"x":1}],"error":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Announcement
		if err := readAnnouncement(b, &a); err == nil && !isHash(a.Hash) {
			t.Errorf("got hash %q", a.Hash)
		}
		var f judge.Finding
		if json.Unmarshal(b, &f) == nil {
			if _, err := json.Marshal(f); err != nil {
				t.Errorf("a finding that was read cannot be written: %v", err)
			}
		}
	})
}
