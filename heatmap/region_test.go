package heatmap

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRegions(t *testing.T) {
	// Digits are tenths.
	parse := func(rows ...string) *Map {
		m := NewMap(len(rows), len(rows[0]))
		for y, row := range rows {
			for x, c := range row {
				m.Data[y*m.Width+x] = float32(c-'0') / 10
			}
		}
		return m
	}
	m := parse(
		"000000",
		"089000",
		"000700",
		"000008",
		"600008")
	tests := map[string]struct {
		m    *Map
		o    *RegionOptions
		want []Region
	}{
		"diagonals join, highest first": {m, &RegionOptions{Threshold: .5}, []Region{
			{X: 1, Y: 1, W: 3, H: 2, Area: 3, Score: .9},
			{X: 5, Y: 3, W: 1, H: 2, Area: 2, Score: .8},
			{X: 0, Y: 4, W: 1, H: 1, Area: 1, Score: .6},
		}},
		"nil is a threshold of 0": {parse("0100"), nil, []Region{{X: 1, W: 1, H: 1, Area: 1, Score: .1}}},
		"threshold is strict":     {parse("5060"), &RegionOptions{Threshold: .5}, []Region{{X: 2, W: 1, H: 1, Area: 1, Score: .6}}},
		"minimum area": {m, &RegionOptions{Threshold: .5, MinArea: 2}, []Region{
			{X: 1, Y: 1, W: 3, H: 2, Area: 3, Score: .9},
			{X: 5, Y: 3, W: 1, H: 2, Area: 2, Score: .8},
		}},
		"scaled to the image, minimum area not": {m, &RegionOptions{Threshold: .5, MinArea: 3, Width: 60, Height: 100}, []Region{
			{X: 10, Y: 20, W: 30, H: 40, Area: 600, Score: .9},
		}},
		"scaled unevenly, box outwards": {m, &RegionOptions{Threshold: .75, Width: 10, Height: 7}, []Region{
			{X: 1, Y: 1, W: 4, H: 2, Area: 5, Score: .9},
			{X: 8, Y: 4, W: 2, H: 3, Area: 5, Score: .8},
		}},
		"scaled down, at least a pixel": {m, &RegionOptions{Threshold: .55, Width: 2, Height: 2, MinArea: 1}, []Region{
			{X: 0, Y: 0, W: 2, H: 2, Area: 1, Score: .9},
			{X: 1, Y: 1, W: 1, H: 1, Area: 1, Score: .8},
			{X: 0, Y: 1, W: 1, H: 1, Area: 1, Score: .6},
		}},
		"ties by position": {parse("0007", "7000", "0070"), &RegionOptions{Threshold: .5}, []Region{
			{X: 3, Y: 0, W: 1, H: 1, Area: 1, Score: .7},
			{X: 0, Y: 1, W: 1, H: 1, Area: 1, Score: .7},
			{X: 2, Y: 2, W: 1, H: 1, Area: 1, Score: .7},
		}},
		"none":  {m, &RegionOptions{Threshold: 1}, nil},
		"empty": {NewMap(0, 0), &RegionOptions{Width: 5, Height: 5}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Regions(tc.m, tc.o)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

// TestNegativeThreshold: a region's score is its own maximum, below zero too.
func TestNegativeThreshold(t *testing.T) {
	m := &Map{Data: []float32{-3, -1, -2}, Height: 1, Width: 3}
	want := []Region{{X: 1, W: 2, H: 1, Area: 2, Score: -1}}
	if diff := cmp.Diff(want, Regions(m, &RegionOptions{Threshold: -2.5})); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}
