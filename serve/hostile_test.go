package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
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

// TestLongRequest has requests take longer than bodies may, those with one and those
// without; the connection goes on.
func TestLongRequest(t *testing.T) {
	o := testOptions()
	o.Concurrent, o.Interval, o.BodyTimeout = 1, time.Hour, 50*time.Millisecond
	long := 5 * o.BodyTimeout
	loads := 0
	o.Try = func(ctx context.Context, _ []byte) error {
		if loads++; loads > 1 {
			time.Sleep(long)
		}
		return ctx.Err()
	}
	s, web, dir := newServer(t, o, nil)
	put(t, modelBytes(t, 2), dir, "part.onnx")
	if code, body, _ := ask(t, "POST", web.URL+"/v2/repository/models/part/load", nil); code != 200 {
		t.Errorf("a load that takes long: got %d %s", code, body)
	}
	hold, err := s.admission.start(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(long, hold)
	if code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, testImage(0, 8, 8)))); code != 200 {
		t.Errorf("an image that waits long: got %d %s", code, body)
	}
}

// TestSlowHead sends a part of a request's head, nothing at all, or of TLS and gRPC too
// little: connections are closed, and take no place.
func TestSlowHead(t *testing.T) {
	server := newParty(t, "server", nil)
	for _, secret := range []bool{false, true} {
		o := testOptions()
		o.HeadTimeout = 50 * time.Millisecond
		if secret {
			o.Credentials = Credentials{Certificate: written(t, server.pem), Key: written(t, server.pkey)}
		}
		s, _, _ := newServer(t, o, nil)
		web, rpc := serving(t, s)
		for _, text := range []string{"", "GET /v2 HTT", "POST /v1/models/part/images HTTP/1.1\r\nHost: localhost\r\nX-", "\x16\x03\x01\x02\x00\x01"} {
			for _, address := range []string{web, rpc} {
				if got := talk(t, address, text); strings.Contains(got, " 200 ") {
					t.Errorf("%.20q: got %q", text, got)
				}
			}
		}
		if running, waiting := s.admission.counts(); running+waiting != 0 {
			t.Errorf("%d run and %d wait, want none", running, waiting)
		}
	}
}

// TestTraversal asks for files beside the repository by every name that a request has.
func TestTraversal(t *testing.T) {
	o, _ := withFeedback(t, nil)
	s, web, dir := newServer(t, o, nil)
	call := dial(t, s)
	const secret = "0123456789abcdef"
	beside := filepath.Join(filepath.Dir(dir), "beside")
	put(t, []byte(secret), beside, "secret.onnx")
	put(t, modelBytes(t, 1), beside, "1", modelFile)
	before := entries(t, beside)
	for _, name := range []string{
		"../beside", "..%2fbeside", "..%5cbeside", "%2e%2e%2fbeside", "..%252fbeside", "part/../../beside", "part%00", "%00", beside,
		strings.ReplaceAll(beside, "/", "%2f"), ".", "..", "%2e%2e", "beside%2fsecret", "..%2fbeside%2fsecret.onnx", "C:%5c", "%ff",
	} {
		for _, request := range []string{
			"GET /v1/models/%s", "GET /v2/models/%s", "GET /v2/models/%s/ready", "GET /v2/models/part/versions/%s", "POST /v1/models/%s/images", "POST /v2/models/%s/infer",
			"POST /v2/repository/models/%s/load", "POST /v2/repository/models/%s/unload", "POST /v1/models/%s/rollback", "GET /v1/models/part/recent/%s",
			"DELETE /v1/models/part/feedback/%s", "POST /v1/models/part/images?version=%s", "POST /v1/models/part/feedback?mark=%s", "GET /%s",
		} {
			method, path, _ := strings.Cut(fmt.Sprintf(request, name), " ")
			q, err := http.NewRequestWithContext(t.Context(), method, web.URL, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			q.URL.Opaque = path // as it is, and nothing cleaned
			a, err := http.DefaultTransport.RoundTrip(q)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			body, err := io.ReadAll(a.Body)
			a.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if a.StatusCode < 300 || a.StatusCode >= 500 || strings.Contains(string(body), secret) {
				t.Errorf("%s %s: got %d %.200s", method, path, a.StatusCode, body)
			}
		}
		for _, version := range []string{name, "../../beside/1"} {
			body := fmt.Sprintf(`{"version":%q}`, version)
			for _, action := range []string{"use", "shadow"} {
				if code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/"+action, strings.NewReader(body)); code < 400 || code >= 500 {
					t.Errorf("%s of version %q: got %d %s", action, version, code, body)
				}
			}
		}
		if call(t.Context(), "RepositoryModelLoad", &oippb.RepositoryModelLoadRequest{ModelName: name}, &oippb.RepositoryModelLoadResponse{}) == nil {
			t.Errorf("gRPC: %q is loaded", name)
		}
	}
	if got := entries(t, beside); !slices.Equal(got, before) {
		t.Errorf("beside the repository lie %q, want %q", got, before)
	}
	if got := len(s.repository.list()); got != 1 {
		t.Errorf("%d models are known, want 1", got)
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
}

// TestRequestID sends IDs that may not go into logs and headers: they are replaced, or
// the request refused, and nothing that they say is said by the server.
func TestRequestID(t *testing.T) {
	log := &logBuffer{}
	o := testOptions()
	o.Logger = log.logger()
	s, _, _ := newServer(t, o, nil)
	web, _ := serving(t, s)
	for _, id := range []string{
		"a b;c", "a\tb", "é", `","audit":true,"x":"`, "a\rSet-Cookie: evil=1", "a\r\n Set-Cookie: evil=1", "a\x00b", "a\x7f", "%0d%0aSet-Cookie: evil=1", "", strings.Repeat("a", 129),
	} {
		got := talk(t, web, "POST /v1/models/part/images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: "+id+"\r\nContent-Length: 1\r\n\r\nx")
		head, _, _ := strings.Cut(got, "\r\n\r\n")
		if strings.Contains(head, "evil") || !strings.HasPrefix(got, "HTTP/1.1 4") {
			t.Errorf("%q: got %q", id, got)
		}
		_, given, ok := strings.Cut(head, "X-Request-Id: ")
		given, _, _ = strings.Cut(given, "\r\n")
		if ok && (given == id || !requestID.MatchString(given)) {
			t.Errorf("%q: got ID %q, want a new one", id, given)
		}
	}
	if text := log.String(); strings.Contains(text, "evil") || strings.Contains(text, `"audit":true,"x"`) {
		t.Errorf("the log says what an ID said: %s", text)
	}
	if got := talk(t, web, "GET /v2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: line-3:07\r\n\r\n"); !strings.Contains(got, "X-Request-Id: line-3:07\r\n") {
		t.Errorf("an ID that may: got %q", got)
	}
}

// TestHostileCrowd has clients of all kinds side by side: those who ask well get their
// own answer, and when all have gone nothing is left of them.
func TestHostileCrowd(t *testing.T) {
	o := testOptions()
	o.HeadTimeout, o.BodyTimeout, o.MaxPixels, o.MaxBody = 100*time.Millisecond, 200*time.Millisecond, 1<<14, 1<<16
	s, _, _ := newServer(t, o, nil)
	web, _ := serving(t, s)
	url := "http://" + web + "/v1/models/part/images"
	client := &http.Client{Transport: &http.Transport{}}
	post := func(body []byte) (int, string, error) {
		a, err := client.Post(url, "image/png", bytes.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		return a.StatusCode, string(text), err
	}
	const good = 8
	var files [good][]byte
	var scores [good]float32
	for i := range files {
		img := testImage(i, side, side)
		files[i], scores[i] = pngBytes(t, img), want(t, modelBytes(t, 1), img).Score
	}
	head := "POST /v1/models/part/images HTTP/1.1\r\nHost: localhost\r\n"
	large := pngBytes(t, testImage(0, 200, 200))
	bad := []func(){
		func() { talk(t, web, head) }, // slow
		func() { talk(t, web, head+"Content-Length: 1000\r\n\r\nx") },
		func() { talk(t, web, strings.Repeat("\x00", 100)+"\r\n\r\n") },
		func() { post(large) },
		func() { post(make([]byte, 1<<17)) },
		func() { post(files[0][:len(files[0])/2]) },
		func() { // gone before it is answered
			if c, err := net.Dial("tcp", web); err == nil {
				fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(files[0]), files[0])
				c.Close()
			}
		},
	}
	goroutines := goruntime.NumGoroutine()
	var asked, crowd sync.WaitGroup
	over := make(chan struct{})
	for _, do := range bad {
		crowd.Go(func() {
			for {
				do()
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	for i := range good {
		asked.Go(func() {
			for range 20 {
				code, body, err := post(files[i])
				var f struct{ Score float32 }
				if err == nil && code == 200 {
					err = json.Unmarshal([]byte(body), &f)
				}
				if err != nil || code != 200 || f.Score != scores[i] {
					t.Errorf("image %d: got %d %s %v, want score %v", i, code, body, err, scores[i])
				}
			}
		})
	}
	asked.Wait()
	close(over)
	crowd.Wait()
	client.CloseIdleConnections()
	eventually(t, "the end of all requests", func() bool {
		s.admission.mu.Lock()
		defer s.admission.mu.Unlock()
		return s.admission.inside == 0 && s.admission.running == 0
	})
	eventually(t, "the end of their goroutines", func() bool { return goruntime.NumGoroutine() <= goroutines })
	if !s.originals.TryAcquire(heldImages * int64(o.MaxPixels)) {
		t.Error("pixels are held after all have gone")
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

// TestManyPixels sends images that each are within the limit: they are drawn only as far as
// they are together, and nothing is held when they have been answered.
func TestManyPixels(t *testing.T) {
	o := testOptions()
	o.MaxPixels = 1 << 14
	s, web, _ := newServer(t, o, func(dir string) {
		for seed, version := range []string{"1", "2"} {
			put(t, modelBytes(t, uint64(seed)), dir, "part", version, modelFile)
		}
	})
	files := map[string][]byte{}
	var names []string
	for i := range 5 { // of three quarters of it
		names = append(names, fmt.Sprint(i))
		files[names[i]] = pngBytes(t, testImage(i, 128, 96))
	}
	send := func(query string, names ...string) (int, string) {
		t.Helper()
		body, kind := multipartForm(t, files, names...)
		code, text, _ := ask(t, "POST", web.URL+"/v1/models/part/images"+query, body, "Content-Type", kind)
		return code, text
	}
	if code, body := send("", names...); code != 200 {
		t.Errorf("not drawn: got %d %s, want 200", code, body)
	}
	if code, body := send("?draw=overlay", names[0]); code != 200 {
		t.Errorf("one: got %d %s, want 200", code, body)
	}
	if code, body := send("?draw=overlay", names[:2]...); code != http.StatusRequestEntityTooLarge || !strings.Contains(body, "together 24576 pixels, want at most 16384") {
		t.Errorf("two: got %d %s, want 413 and why", code, body)
	}
	if code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/shadow", strings.NewReader(`{"version":"1"}`)); code != 200 {
		t.Fatalf("shadow: got %d %s", code, body)
	}
	if code, body := send("", names...); code != 200 {
		t.Errorf("beside a shadow: got %d %s, want 200", code, body)
	}
	if !s.originals.TryAcquire(heldImages * int64(o.MaxPixels)) {
		t.Error("pixels are held after all have been answered")
	}
}

// TestSlowReader asks for a large answer and does not read it: its turn is over.
func TestSlowReader(t *testing.T) {
	o := testOptions()
	o.Concurrent = 1
	s, _, _ := newServer(t, o, nil)
	web, _ := serving(t, s)
	noise := image.NewRGBA(image.Rect(0, 0, 1500, 1500)) // larger than what sockets hold
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(random.Uint32()) | 255*uint8(i%4/3)
	}
	file, err := encodePNG(noise)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", web)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /v1/models/part/images HTTP/1.1\r\nHost: localhost\r\nAccept: image/png\r\nContent-Length: %d\r\n\r\n%s", len(file), file)
	eventually(t, "the end of its turn", func() bool {
		s.admission.mu.Lock()
		defer s.admission.mu.Unlock()
		return s.admission.mean > 0
	})
	if code, body, _ := ask(t, "POST", "http://"+web+"/v1/models/part/images", bytes.NewReader(pngBytes(t, testImage(0, 8, 8)))); code != 200 {
		t.Errorf("another client: got %d %s", code, body)
	}
	if running, waiting := s.admission.counts(); running != 0 || waiting != 1 {
		t.Errorf("%d run and %d wait, want that the answer is still being written", running, waiting)
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
