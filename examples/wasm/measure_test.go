//go:build unix && !js

package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/klauspost/cpuid/v2"

	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

var (
	update = flag.Bool("update-wasm", false, "measure how slow WebAssembly is and write it to docs/wasm.md")
	more   = flag.String("models", "", "`FILES` of models that are measured too, between spaces")
)

// TestMeasure has the page and this machine judge the same file in turn, and writes
// their processor time, which other work on the machine hardly changes, to docs/wasm.md.
func TestMeasure(t *testing.T) {
	if !*update {
		t.Skip("without -update-wasm nothing is measured")
	}
	const rounds = 5
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	if err := build(t.Context(), site, ""); err != nil {
		t.Fatal(err)
	}
	b := openSite(t, site)
	call(b, performance.Enable, performance.EnableParams{})
	b.until(`state.innerText === 'no model yet'`)
	var table strings.Builder
	fmt.Fprintf(&table, "%s, %s, %s, %s. %s\n", time.Now().Format(time.DateOnly), eval[string](b, `navigator.userAgent.match(/Chrome.[0-9]+/)[0].replace('/', ' ')`),
		cpuid.CPU.BrandName, runtime.Version(), sizes(t, filepath.Join(site, "anomaly.wasm")))
	fmt.Fprintf(&table, "To start it takes the browser %.1f s of processor time.\n\n", b.processorTime().Seconds())
	table.WriteString("| model | in the page, ms | natively, ms | ratio | the model alone: less the first row |\n|---|---|---|---|---|\n")
	var drawing [2]float64 // in the page, natively

	file := writePNG(t, filepath.Join(dir, "picture.png"), testImage(1, 640, 480))
	for _, m := range measured(t, dir) {
		onnx, err := os.ReadFile(m.path)
		if err != nil {
			t.Fatal(err)
		}
		det, err := open(onnx)
		if err != nil {
			t.Fatal(err)
		}
		b.give(m.path)
		b.until(fmt.Sprintf(`state.innerText.startsWith(%q)`, filepath.Base(m.path)+","))
		var page, native times
		for i := range 1 + rounds {
			before := processorTime(t)
			lookAt(t, det, file)
			here := processorTime(t) - before
			before = b.processorTime()
			b.give(file)
			const judged = `results.children.length === 1 && !document.querySelector('.waiting')`
			for !eval[bool](b, judged) {
				time.Sleep(300 * time.Millisecond) // questions take the page processor time too
			}
			if there := b.processorTime() - before; i > 0 { // the first makes the browser compile
				page, native = append(page, there), append(native, here)
			}
			eval[bool](b, `(results.replaceChildren(), true)`)
		}
		det.Close()
		t.Logf("%s: page %v, native %v", m.name, page, native)
		p, n, alone := float64(slices.Min(page)), float64(slices.Min(native)), ""
		if drawing == [2]float64{} {
			drawing = [2]float64{p, n}
		} else {
			alone = fmt.Sprintf("%.0f", (p-drawing[0])/(n-drawing[1]))
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %.0f | %s |\n", m.name, page.text(), native.text(), p/n, alone)
	}

	path := filepath.Join(testenv.Root(), "docs", "wasm.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- measured -->\n", "<!-- end -->\n"
	head, rest, found := strings.Cut(string(doc), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s: want %q and %q, between which the table goes", path, begin, end)
	}
	if err := os.WriteFile(path, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A model is one that is measured.
type model struct{ name, path string }

// measured returns untrained networks, which compute as long as trained ones, and those of -models.
func measured(t *testing.T, dir string) []model {
	t.Helper()
	var list []model
	for _, spec := range []models.Spec{{Model: "dcae", Filters: 1, Height: 16}, {Model: "dcae", Filters: 16}, {Model: "dcae"}, {Model: "dcae", Height: 256}, {Model: "unet", Filters: 16}} {
		spec = spec.WithDefaults()
		m := model{fmt.Sprintf("%s, %d filters, %d×%d", spec.Model, spec.Filters, spec.Width, spec.Height), ""}
		m.path = write(t, filepath.Join(dir, fmt.Sprintf("%s-%d-%d.onnx", spec.Model, spec.Filters, spec.Height)), modelBytes(t, spec, 1))
		list = append(list, m)
	}
	for _, path := range strings.Fields(*more) {
		list = append(list, model{filepath.Base(path), path})
	}
	return list
}

// lookAt does natively what the page does between a file and its tiles.
func lookAt(t *testing.T, det *anrt.Detector, path string) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := look(det, img); err != nil {
		t.Fatal(err)
	}
}

// sizes says how large a program is.
func sizes(t *testing.T, path string) string {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("The program has %.1f MB, %.1f where the server compresses.", float64(len(file))/1e6, float64(packed.Len())/1e6)
}

// processorTime is what this process has taken.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processorTime is what the page's process has taken, its worker included.
func (b browser) processorTime() time.Duration {
	b.Helper()
	for _, m := range call(b, performance.GetMetrics, cdp.Empty{}).Metrics {
		if m.Name == "ProcessTime" {
			return time.Duration(m.Value * float64(time.Second))
		}
	}
	b.Fatal("the browser does not say what processor time it took")
	return 0
}

type times []time.Duration

// text is the least and, in brackets, the median, in milliseconds.
func (l times) text() string {
	sorted := slices.Sorted(slices.Values(l))
	return fmt.Sprintf("%d (%d)", sorted[0].Milliseconds(), sorted[len(sorted)/2].Milliseconds())
}
