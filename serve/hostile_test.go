package serve

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/oippb"
	"google.golang.org/protobuf/proto"
)

// talk writes to a server and returns what it answers until it closes.
func talk(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, text)
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		return "closed: " + err.Error()
	}
	return string(b)
}

// TestSlowBody promises a body and sends a part of it.
func TestSlowBody(t *testing.T) {
	o := testOptions()
	o.BodyTimeout = 50 * time.Millisecond
	s, _, _ := newServer(t, o, nil)
	web, _ := serving(t, s)
	for _, head := range []string{
		"Content-Length: 1000\r\n\r\nabc",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\nabc",
	} {
		got := talk(t, web, "POST /v1/models/part/images HTTP/1.1\r\nHost: localhost\r\n"+head)
		if !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("%.30q: got %q, want 408", head, got)
		}
	}
	if running, waiting := s.admission.counts(); running+waiting != 0 {
		t.Errorf("%d run and %d wait after slow clients, want none", running, waiting)
	}
}

// TestMalformedHTTP sends what is no request, or tries to smuggle one.
func TestMalformedHTTP(t *testing.T) {
	s, _, _ := newServer(t, testOptions(), nil)
	web, _ := serving(t, s)
	for name, text := range map[string]string{
		"no HTTP":           "hello\r\n\r\n",
		"two lengths":       "POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"length and chunks": "POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n{}",
		"large header":      "GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		"no host":           "GET /v2 HTTP/1.1\r\n\r\n",
	} {
		got := talk(t, web, text)
		if !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "closed") {
			t.Errorf("%s: got %.200q, want that it is refused", name, got)
		}
	}
	// An ID that may not go into logs or headers is replaced.
	code, _, header := ask(t, "GET", "http://"+web+"/v2", nil, "X-Request-Id", "a b;c")
	if id := header.Get("X-Request-Id"); code != 200 || id == "a b;c" || !requestID.MatchString(id) {
		t.Errorf("got %d and ID %q, want a new one", code, id)
	}
}

// TestBombs sends small files that say they are large.
func TestBombs(t *testing.T) {
	s, web, _ := newServer(t, testOptions(), nil)
	side := func(n uint32) []byte { // a PNG of n×n pixels without any
		var b bytes.Buffer
		b.WriteString("\x89PNG\r\n\x1a\n")
		head := append([]byte("IHDR"), binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, n), n)...)
		head = append(head, 8, 2, 0, 0, 0)
		binary.Write(&b, binary.BigEndian, uint32(len(head)-4))
		b.Write(head)
		binary.Write(&b, binary.BigEndian, crc32.ChecksumIEEE(head))
		return b.Bytes()
	}
	for _, tt := range []struct {
		name string
		file []byte
	}{
		{"PNG beyond the limit", side(100_000)},
		{"PNG beyond any side", side(1 << 31)},
		{"PNG within the limit, without pixels", side(8000)},
		{"GIF of 65535×65535", []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00")},
		{"BMP of 2³¹×2³¹", append([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\xff\xff\xff\x7f\xff\xff\xff\x7f\x01\x00\x18\x00"), make([]byte, 24)...)},
	} {
		code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(tt.file))
		if code != http.StatusBadRequest && code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %d %s, want 400 or 413", tt.name, code, body)
		}
	}
	if running, waiting := s.admission.counts(); running+waiting != 0 {
		t.Errorf("%d run and %d wait after all", running, waiting)
	}
}

// TestLeavers go away before they are answered: their work is dropped and their
// places are free again.
func TestLeavers(t *testing.T) {
	o := testOptions()
	o.Concurrent = 1
	s, _, _ := newServer(t, o, nil)
	web, _ := serving(t, s)
	hold, err := s.admission.start(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	file := pngBytes(t, testImage(0, 8, 8))
	for range 5 {
		c, err := net.Dial("tcp", web)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /v1/models/part/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(file), file)
		eventually(t, "a waiter", func() bool {
			s.admission.mu.Lock()
			defer s.admission.mu.Unlock()
			return len(s.admission.waiting) == 1
		})
		c.Close()
		eventually(t, "its end", func() bool { s.admission.mu.Lock(); defer s.admission.mu.Unlock(); return s.admission.inside == 0 })
	}
	hold()
	if code, body, _ := ask(t, "POST", "http://"+web+"/v1/models/part/images", bytes.NewReader(file)); code != 200 {
		t.Errorf("after them: got %d %s", code, body)
	}
}

// TestGRPCGarbage speaks no gRPC to the gRPC port.
func TestGRPCGarbage(t *testing.T) {
	s, _, _ := newServer(t, testOptions(), nil)
	_, rpc := serving(t, s)
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 1000)} {
		talk(t, rpc, text)
	}
	call := dial(t, s)
	if err := call(t.Context(), "ServerLive", &oippb.ServerLiveRequest{}, &oippb.ServerLiveResponse{}); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

// FuzzInference reads bodies of requests to infer.
func FuzzInference(f *testing.F) {
	f.Add([]byte(`{"inputs":[{"name":"input","datatype":"UINT8","shape":[1,2],"data":[[1,255]]}],"outputs":[{"name":"pred_score"}]}`), -1)
	f.Add([]byte(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}`+"\x01\x00\x00\x00x"), 96)
	f.Add([]byte(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["aGVsbG8="]}]}`), -1)
	f.Fuzz(func(t *testing.T, body []byte, length int) {
		q, binaries, err := decodeInference(body, length)
		if err != nil {
			return
		}
		binaries(outputScore)
		checkInput(t, &q.input, len(body))
	})
}

// FuzzMessage reads messages of gRPC.
func FuzzMessage(f *testing.F) {
	seed, err := proto.Marshal(&oippb.ModelInferRequest{
		ModelName: "part", Inputs: []*oippb.ModelInferRequest_InferInputTensor{{Name: inputFiles, Datatype: typeBytes, Shape: []int64{1}}},
		RawInputContents: [][]byte{{1, 0, 0, 0, 7}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m oippb.ModelInferRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		if q, err := inferenceOf(&m); err == nil {
			checkInput(t, &q.input, len(b))
		}
	})
}

// checkInput looks at a tensor that was read from so many bytes.
func checkInput(t *testing.T, in *tensor, from int) {
	t.Helper()
	held := len(in.bytes)
	for _, e := range in.elements {
		held += len(e)
	}
	if held > from {
		t.Errorf("%d bytes came of %d", held, from)
	}
	if n, err := in.size(len(in.bytes)+len(in.elements), 64); err == nil && (n < 1 || n > 64) {
		t.Errorf("got %d images", n)
	}
}

// FuzzForm reads forms of images.
func FuzzForm(f *testing.F) {
	b, kind := multipartForm(f, map[string][]byte{"a.png": []byte("x")}, "a.png")
	f.Add(b.Bytes(), kind)
	f.Add([]byte("x"), "image/png")
	s := &Server{options: (&Options{MaxBody: 1 << 16, MaxImages: 4}).withDefaults()}
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		pics, _, err := s.readImages(nil, r)
		if err == nil && (len(pics) == 0 || len(pics) > 4) {
			t.Errorf("got %d images, want 1 to 4", len(pics))
		}
		for _, p := range pics {
			if strings.ContainsAny(p.name, `/\`) {
				t.Errorf("got name %q of a path", p.name)
			}
		}
	})
}

// FuzzTokens reads files of tokens.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("a infer,admin 0123456789abcdef\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tokens, err := parseTokens(string(b)); err == nil && len(tokens.bearers) == 0 {
			t.Error("got no tokens and no error")
		}
	})
}

// FuzzRequest answers requests as a client may write them, to every route there is:
// names of models, versions, images and tensors, what is in queries and headers.
// None is the server's own fault, and none reaches a file outside its folders.
func FuzzRequest(f *testing.F) {
	file := pngBytes(f, testImage(0, 8, 8))
	post := func(path, headers string, body []byte) []byte {
		return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", path, headers, len(body), body)
	}
	f.Add(post("/v1/models/part/images?draw=heatmap&heat=0:1", "X-Request-Id: a\r\n", file))
	f.Add(post("/v1/models/part/images", "Accept: image/png\r\n", file))
	f.Add(post("/v1/models/..%2f..%2fpart/images", "", file))
	f.Add(post("/v1/models/part/feedback?mark=miss", "", file))
	f.Add(post("/v1/models/part/feedback?mark=false-alarm&recent=1", "", nil))
	f.Add([]byte("DELETE /v1/models/part/feedback/..%2f..%2f00 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add([]byte("GET /v1/models/part/recent/1 HTTP/1.1\r\nHost: localhost\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"))
	f.Add(post("/v1/models/part/use", "", []byte(`{"version":"../1"}`)))
	f.Add(post("/v1/models/part/shadow", "", []byte(`{"version":"1","images":1,"seconds":1e300,"changed":-1}`)))
	f.Add(post("/v2/repository/models/part/load", "", []byte(`{"parameters":{}}`)))
	f.Add(post("/v2/repository/models/part/unload", "", nil))
	f.Add(post("/v2/repository/index", "", []byte(`{"ready":true}`)))
	f.Add(post("/v2/models/part/versions/1/infer", "Inference-Header-Content-Length: 97\r\n",
		append([]byte(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":  5}}]}`), "\x01\x00\x00\x00x"...)))
	f.Add([]byte("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n"))

	log := &logBuffer{}
	o, _ := withFeedback(f, nil)
	o.Interval, o.MaxPixels, o.Logger = time.Hour, 1<<12, log.logger()
	s, _, dir := newServer(f, o, func(dir string) {
		for _, version := range []string{"1", "2"} {
			put(f, modelBytes(f, 1), dir, "part", version, modelFile)
		}
	})
	around := entries(f, filepath.Dir(dir))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		log.Reset()
		s.Handler().ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("got 500: %s", log.String())
		}
		if id := w.Header().Get("X-Request-Id"); id != "" && !requestID.MatchString(id) {
			t.Errorf("got request ID %q", id)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("got what is no JSON: %.200q", w.Body)
		}
		for line := range strings.Lines(log.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("got a line in the log that is no JSON: %.200q", line)
			}
		}
		if got := entries(t, filepath.Dir(dir)); !slices.Equal(got, around) {
			t.Fatalf("beside the models lie %q, want %q", got, around)
		}
		if s.repository.list()[0].state().unloaded { // the next is to find it
			if err := s.load(t.Context(), "part"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// entries returns the names in a folder.
func entries(t testing.TB, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}
