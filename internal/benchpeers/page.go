package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
)

// A page is what is written of a run.
type page struct {
	settings
	files      int
	madeUp     bool // the files
	versions   string
	conditions string
	measured   []measured
	growth     []growth
}

// A result is an element of bench/results.json. Times and ratio are of the best runs, of
// an image or a step; null where the row was not measured.
type result struct {
	Name   string   `json:"name"`
	Ours   *float64 `json:"ours_ms"`
	Peer   string   `json:"peer"`
	PeerMS *float64 `json:"peer_ms"`
	Ratio  *float64 `json:"ratio"`
	Target float64  `json:"target"`
}

func (p *page) results() []result {
	out := make([]result, 0, len(p.measured))
	for _, m := range p.measured {
		r := result{Name: m.name, Peer: m.with, Target: m.target}
		if m.why == "" {
			r.Ours, r.PeerMS, r.Ratio = new(digits(m.ours.best, 4)), new(digits(m.peer.best, 4)), new(digits(m.ratio(), 4))
		}
		out = append(out, r)
	}
	return out
}

// digits rounds to so many of them.
func digits(v float64, n int) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', n, 64), 64)
	return rounded
}

// write writes the plots, the page and the results.
func (p *page) write() error {
	old, err := os.ReadFile(p.page)
	if err != nil {
		return err
	}
	text, err := p.into(string(old))
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(p.results(), "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.json), 0o755); err != nil {
		return err
	}
	if err := atomicfile.Write(p.plot, func(w io.Writer) error { return drawGrowth(w, p.growth) }); err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(p.json, append(b, '\n')); err != nil {
		return err
	}
	return atomicfile.WriteBytes(p.page, []byte(text))
}

// Marks of the part of the page that is measured.
const beginning, end = "<!-- measured by make bench-peers -->\n", "<!-- end -->\n"

// into returns the page with its measured part replaced.
func (p *page) into(old string) (string, error) {
	before, rest, found := strings.Cut(old, beginning)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("%s: got no part between %q and %q", p.page, strings.TrimSpace(beginning), strings.TrimSpace(end))
	}
	return before + beginning + p.markdown() + end + after, nil
}

func (p *page) markdown() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "By `%s`, %s. Peers: %s. %s.\n\n", p.command(), p.conditions, p.versions, p.of())
	b.WriteString("| | work | ours, ms | peer | its ms | ratio | target | met |\n|---|---|--:|---|--:|--:|--:|---|\n")
	for _, m := range p.measured {
		if m.why != "" {
			why, _, _ := strings.Cut(m.why, "\n") // a line of the table
			fmt.Fprintf(&b, "| `%s` | %s, each %s | not measured: %s | %s | | | %v | |\n", m.name, m.work, m.unit, why, m.with, m.target)
			continue
		}
		met := "no"
		if m.ratio() <= m.target {
			met = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s, each %s | %v (%v)%s | %s | %v (%v) | %.2f (%.2f) | %v | %s |\n", m.name, m.work, m.unit,
			digits(m.ours.best, 3), digits(m.ours.median, 3), m.on(), m.with, digits(m.peer.best, 3), digits(m.peer.median, 3), m.ratio(), m.ours.median/m.peer.median, m.target, met)
	}
	b.WriteString("\nThe best of the runs and, in brackets, their median; the ratio is ours by the peer's. Ours compute on the provider that is named, which `auto` took but in rows `go/…`. That both sides compute the same was checked before:\n\n")
	b.WriteString("| | what is the same | largest difference, by the largest value | allowed |\n|---|---|--:|--:|\n")
	for _, m := range p.measured {
		if m.why == "" {
			fmt.Fprintf(&b, "| `%s` | %s | %.2g | %v |\n", m.name, m.same, m.difference, m.tolerance)
		}
	}
	fmt.Fprintf(&b, "\n### Growth\n\nThe detector of dcae, of %d×%d pixels unless sizes are what grows; the best of several runs, but the command's, which is run once. Batches and cores: images computed at once, all cores.\n\n![Throughput by batch, cores, size and number of images](%s)\n", p.size, p.size, filepath.Base(p.plot))
	for _, g := range p.growth {
		fmt.Fprintf(&b, "\n%s", g)
	}
	return b.String()
}

// of says which images there were.
func (p *page) of() string {
	if p.madeUp {
		return fmt.Sprintf("Files: %d made-up PNG of %d×%d pixels", p.files, madeSide, madeSide)
	}
	return fmt.Sprintf("Files: %d PNG of MVTec AD's bottle, 900×900 pixels", p.files)
}
