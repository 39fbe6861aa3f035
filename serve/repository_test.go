package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
)

// inUse returns the version of a model that is in use, and the beginning of its hash.
func inUse(t testing.TB, s *Server, name string) (version, hash string) {
	t.Helper()
	m, err := s.repository.model(name)
	if err != nil {
		return "", ""
	}
	l := m.state().current
	if l == nil {
		return "", ""
	}
	return l.name, l.info.Hash
}

func TestRepositoryWatch(t *testing.T) {
	s, _, dir := newServer(t, testOptions(), nil)
	one, two := runtime.Hash(modelBytes(t, 1)), runtime.Hash(modelBytes(t, 2))
	is := func(name, version, hash string) func() bool {
		return func() bool {
			v, h := inUse(t, s, name)
			return v == version && h == hash
		}
	}
	if !is("part", "1", one)() {
		t.Fatal("part is not loaded at once")
	}
	put(t, modelBytes(t, 2), dir, "part.onnx")
	eventually(t, "another file in the place", is("part", "1", two))
	put(t, modelBytes(t, 1), dir, "cap", "2", modelFile)
	eventually(t, "a new model", is("cap", "2", one))
	put(t, modelBytes(t, 2), dir, "cap", "10", modelFile)
	eventually(t, "a newer version, numbers as numbers", is("cap", "10", two))
	put(t, modelBytes(t, 2)[:1000], dir, "cap", "11", modelFile)
	eventually(t, "the reason of a version that cannot be used", func() bool {
		for _, e := range s.index(false) {
			if e.Name == "cap" && e.Version == "11" {
				return e.State == "UNAVAILABLE" && strings.Contains(e.Reason, "runtime: model")
			}
		}
		return false
	})
	if !is("cap", "10", two)() || !s.ready() {
		t.Error("a version that cannot be used took another's place")
	}
	os.RemoveAll(filepath.Join(dir, "cap"))
	eventually(t, "the end of a model whose files go", func() bool { _, err := s.repository.model("cap"); return err != nil })
}

func TestRepositoryNames(t *testing.T) {
	log := &logBuffer{}
	o := testOptions()
	o.Logger = log.logger()
	s, _, _ := newServer(t, o, func(dir string) {
		put(t, modelBytes(t, 1), dir, "a b.onnx")
		put(t, modelBytes(t, 1), dir, ".hidden.onnx")
		put(t, modelBytes(t, 1), dir, "both.onnx")
		put(t, modelBytes(t, 1), dir, "both", "3", modelFile)
		put(t, modelBytes(t, 1), dir, "part", "007", modelFile)
		put(t, modelBytes(t, 1), dir, "part", "7", "other.onnx")
		put(t, []byte("x"), dir, "readme.txt")
	})
	if models := s.repository.list(); len(models) != 1 || models[0].name != "both" {
		t.Errorf("got %d models, want one, both", len(models))
	}
	for _, text := range []string{`\"a b\" is no name`, "both is both a file and a folder"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the log lacks %s: %s", text, log)
		}
	}
}

func TestNewErrors(t *testing.T) {
	dir := t.TempDir()
	put(t, []byte("no model"), dir, "part.onnx")
	if _, err := New(t.Context(), filepath.Join(dir, "part.onnx"), testOptions()); !errors.Is(err, runtime.ErrModel) {
		t.Errorf("a single file that is no model: got %v, want runtime.ErrModel", err)
	}
	if _, err := New(t.Context(), filepath.Join(dir, "none"), testOptions()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such folder: got %v", err)
	}
	o := testOptions()
	o.Rate = -1
	if _, err := New(t.Context(), dir, o); !errors.Is(err, ErrInput) {
		t.Errorf("negative rate: got %v, want ErrInput", err)
	}
}

// TestVersions walks through what an administrator does.
func TestVersions(t *testing.T) {
	log := &logBuffer{}
	o := testOptions()
	o.Logger = log.logger()
	prepare := func(dir string) {
		for v, seed := range []uint64{1, 2, 3} {
			put(t, modelBytes(t, seed), dir, "part", fmt.Sprint(v+1), modelFile)
		}
	}
	s, web, dir := newServer(t, o, prepare)
	do := func(method, path, body string, code int) modelStatus {
		t.Helper()
		got, answer, _ := ask(t, method, web.URL+"/v1/models/part"+path, strings.NewReader(body))
		if got != code {
			t.Fatalf("%s %s: got %d %s, want %d", method, path, got, answer, code)
		}
		if code != 200 {
			return modelStatus{}
		}
		return unmarshal[modelStatus](t, answer)
	}
	check := func(got modelStatus, version string) {
		t.Helper()
		if got.Version != version || !got.Ready {
			t.Fatalf("got version %q in use, want %s", got.Version, version)
		}
	}
	check(do("GET", "", "", 200), "3")
	check(do("POST", "/use", `{"version":"1"}`, 200), "1")
	do("POST", "/use", `{"version":"9"}`, 404)
	do("POST", "/use", `{"version":"../1"}`, 404)
	check(do("POST", "/rollback", "", 200), "3")
	check(do("POST", "/rollback", "", 200), "1")

	again, err := New(t.Context(), dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if v, _ := inUse(t, again, "part"); v != "1" {
		t.Errorf("after a restart version %s is in use, want the chosen 1", v)
	}

	do("POST", "/shadow/promote", "", 409)
	do("POST", "/shadow", `{"version":"1"}`, 409)
	if got := do("POST", "/shadow", `{"version":"3","images":3,"changed":1}`, 200); got.Shadow == nil || got.Shadow.Version != "3" {
		t.Fatalf("got %+v, want a shadow of version 3", got.Shadow)
	}
	do("POST", "/shadow/promote", "", 409)
	file := pngBytes(t, testImage(1, 40, 40))
	eventually(t, "the shadow's decision", func() bool {
		ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(file))
		return do("GET", "", "", 200).Shadow.Promote
	})
	promoted := do("POST", "/shadow/promote", "", 200)
	check(promoted, "3")
	if promoted.Shadow != nil {
		t.Errorf("got a shadow after it was promoted: %+v", promoted.Shadow)
	}
	check(do("POST", "/use", `{"version":""}`, 200), "3")

	code, body, _ := ask(t, "POST", web.URL+"/v2/repository/models/part/unload", nil)
	if code != 200 {
		t.Fatalf("unload: got %d %s", code, body)
	}
	if code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(file)); code != 404 || !strings.Contains(body, "unloaded by request") {
		t.Errorf("images of an unloaded model: got %d %s", code, body)
	}
	for range 3 { // looks do not bring it back
		if err := s.repository.look(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if v, _ := inUse(t, s, "part"); v != "" {
		t.Errorf("a look loaded version %s of a model that was unloaded by request", v)
	}
	if code, body, _ := ask(t, "POST", web.URL+"/v2/repository/models/part/load", nil); code != 200 {
		t.Errorf("load: got %d %s", code, body)
	}
	check(do("GET", "", "", 200), "3")
	for _, line := range []string{`"model loaded"`, `"model chosen"`, `"model shadowed"`, `"model unloaded"`, `"by":"127.0.0.1"`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the audit lacks %s", line)
		}
	}
}

func TestGateRefuses(t *testing.T) {
	o := testOptions()
	refused := errors.New("refused by the gate")
	o.Gate = func(_ context.Context, name string, current, candidate *runtime.Detector) error {
		if name != "part" || current.Info().Hash == candidate.Info().Hash {
			t.Errorf("gate of %s with %.8s and %.8s", name, current.Info().Hash, candidate.Info().Hash)
		}
		return refused
	}
	s, web, dir := newServer(t, o, nil)
	put(t, modelBytes(t, 2), dir, "part.onnx")
	eventually(t, "the refusal", func() bool {
		_, body, _ := ask(t, "GET", web.URL+"/v1/models/part", nil)
		return len(unmarshal[modelStatus](t, body).Versions) == 1 && s.repository.list()[0].state().failed["1"].err != nil
	})
	if _, hash := inUse(t, s, "part"); hash != runtime.Hash(modelBytes(t, 1)) {
		t.Error("a model that the gate refuses is in use")
	}
}

// TestSwapsUnderLoad changes the model as fast as it can while requests come: each
// is answered, by one of the two models and with that model's score.
func TestSwapsUnderLoad(t *testing.T) {
	s, web, dir := newServer(t, testOptions(), nil)
	img := testImage(2, 32, 32)
	scores := map[string]float32{}
	for _, seed := range []uint64{1, 2} {
		scores[runtime.Hash(modelBytes(t, seed))[:runtime.HashDigits]] = want(t, modelBytes(t, seed), img).Score
	}
	file := pngBytes(t, img)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for ctx.Err() == nil {
				code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(file))
				if f := unmarshal[judge.Finding](t, body); code != 200 || f.Score != scores[f.Model] || f.Score == 0 {
					t.Errorf("got %d %s, want one of %v", code, body, scores)
				}
			}
		})
	}
	for i := range 20 {
		seed := uint64(2 - i%2)
		put(t, modelBytes(t, seed), dir, "part.onnx")
		m, err := s.repository.refresh("part")
		if err == nil {
			err = m.loadNow(t.Context(), "test")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, hash := inUse(t, s, "part"); hash != runtime.Hash(modelBytes(t, seed)) {
			t.Fatalf("swap %d: another model is in use", i)
		}
	}
	stop()
	clients.Wait()
}
