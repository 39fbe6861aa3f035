package commands

import (
	"fmt"
	"image/png"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/regular"
)

// maxZonesSide is the most pixels that a side of a zone image may have: as many
// as a side of a network's image.
const maxZonesSide = 1 << 14

// readZones reads the PNG of --zones with the rules of --zone.
func readZones(path string, args []string) (*heatmap.Zones, error) {
	var rules map[uint8]heatmap.ZoneRule
	for _, arg := range args {
		number, rule, _ := strings.Cut(arg, "=")
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil {
			return nil, usagef("--zone: got %q, want NUMBER=RULE, with a number from 0 to 255", arg)
		}
		r := heatmap.ZoneRule{Ignore: rule == "ignore"}
		if !r.Ignore {
			t, err := strconv.ParseFloat(rule, 32)
			if err != nil || !(t > 0 && t <= math.MaxFloat32) {
				return nil, usagef("--zone: got %q, want ignore or a threshold above 0 behind the =", arg)
			}
			r.Threshold = float32(t)
		}
		if _, twice := rules[uint8(n)]; twice {
			return nil, usagef("--zone: got two rules for %d", n)
		}
		if rules == nil {
			rules = map[uint8]heatmap.ZoneRule{}
		}
		rules[uint8(n)] = r
	}
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	config, err := png.DecodeConfig(f)
	if err != nil {
		return nil, fmt.Errorf("zones %s: want a PNG: %w", path, err)
	}
	if max(config.Width, config.Height) > maxZonesSide {
		return nil, fmt.Errorf("zones %s: got %dx%d pixels, want at most %d on each side", path, config.Width, config.Height, maxZonesSide)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("zones %s: %w", path, err)
	}
	z, err := heatmap.NewZones(img, rules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return z, nil
}
