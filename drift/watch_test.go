package drift

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/runtime"
)

// TestWatch: each quantity begins and ends by itself, once, and is logged as it is told.
func TestWatch(t *testing.T) {
	var told []string
	w := NewWatch(func(e *Event) {
		text := e.ModelHash + " " + e.Quantity + " ends"
		if e.Drifted {
			text = e.ModelHash + " " + e.Quantity + " begins"
		}
		told = append(told, text)
	})
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, e := range []Event{
		{Report: Report{Quantity: Brightness}, ModelHash: "a"},
		{Report: Report{Quantity: Brightness, Drifted: true}, ModelHash: "a"},
		{Report: Report{Quantity: Sharpness, Drifted: true}, ModelHash: "a"},
		{Report: Report{Quantity: Brightness, Drifted: true}, ModelHash: "b"},
		{Report: Report{Quantity: Brightness}, ModelHash: "b"},
		{Report: Report{Quantity: Brightness, Drifted: true}, ModelHash: "b"},
	} {
		w.Note(&e, logger, "model", "part")
	}
	if want := []string{"a brightness begins", "a sharpness begins", "b brightness ends", "b brightness begins"}; !slices.Equal(told, want) {
		t.Errorf("got %q, want %q", told, want)
	}
	if begun, ended := strings.Count(log.String(), "msg=drift model=part quantity="), strings.Count(log.String(), `msg="drift has ended" model=part`); begun != 3 || ended != 1 {
		t.Errorf("got %d and %d lines, want 3 and 1: %s", begun, ended, &log)
	}
	NewWatch(nil).Note(&Event{Report: Report{Quantity: Score, Drifted: true}}, logger)
}

func TestScoresOf(t *testing.T) {
	for _, tt := range []struct {
		detector runtime.Options
		want     bool
	}{
		{runtime.Options{}, false},
		{runtime.Options{MinArea: 1}, false},
		{runtime.Options{MinArea: 2}, true},
		{runtime.Options{Zones: &heatmap.Zones{}}, true},
	} {
		var o Options
		if o.ScoresOf(&tt.detector); o.NoScores != tt.want {
			t.Errorf("%+v: got NoScores %v, want %v", tt.detector, o.NoScores, tt.want)
		}
	}
}
