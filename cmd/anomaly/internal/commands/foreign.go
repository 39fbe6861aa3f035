package commands

import (
	"errors"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// foreignFlags say what files of other tools may leave unsaid.
var foreignFlags = []cli.Flag{
	&cli.StringFlag{Name: "size", Usage: "`HxW`, or one number for both, of a model that takes images of any size", DefaultText: "what its graph resizes to, its map's, or each image's own"},
	&cli.StringFlag{Name: "layout", Usage: "`LAYOUT` of the images that go into the model: NCHW or NHWC", DefaultText: "where the channels are"},
	&cli.StringFlag{Name: "range", Usage: "`LOW:HIGH`, what black and white are in floating-point images: 0:1, 0:255, -1:1; 0:255,0:1 where a reconstruction has another than what goes in", DefaultText: "what the file says, else 0:1"},
	&cli.StringFlag{Name: "map", Usage: "`KIND` of map of a model that gives only reconstructions: " + join(residual.Kinds()) + " or a sum such as ssim+msgms", DefaultText: "ssim"},
	&cli.StringFlag{Name: "map-output", Usage: "`NAME` of the output that is the map"},
	&cli.StringFlag{Name: "score-output", Usage: "`NAME` of the output that is the score"},
	&cli.StringFlag{Name: "reconstruction-output", Usage: "`NAME` of the output that is the reconstruction"},
}

// parseForeign reads foreignFlags.
func parseForeign(c *cli.Context, o *anrt.Options) error {
	o.MapOutput, o.ScoreOutput, o.ReconstructionOutput = c.String("map-output"), c.String("score-output"), c.String("reconstruction-output")
	if o.Layout = strings.ToUpper(c.String("layout")); o.Layout != "" && o.Layout != anrt.NCHW && o.Layout != anrt.NHWC {
		return usagef("--layout: got %q, want %s or %s", c.String("layout"), anrt.NCHW, anrt.NHWC)
	}
	if c.IsSet("range") {
		in, out, two := strings.Cut(c.String("range"), ",")
		var err error
		if o.Range, err = anrt.ParseRange(in); err == nil && two {
			o.ReconstructionRange, err = anrt.ParseRange(out)
		}
		if err != nil {
			return usagef("--range: %s", strings.TrimPrefix(err.Error(), anrt.ErrInput.Error()+": range: "))
		}
	}
	if c.IsSet("size") {
		height, width, two := strings.Cut(strings.ToLower(c.String("size")), "x")
		if !two {
			width = height
		}
		var errs [2]error
		o.Height, errs[0] = strconv.Atoi(height)
		o.Width, errs[1] = strconv.Atoi(width)
		if errors.Join(errs[:]...) != nil || min(o.Height, o.Width) < 1 || max(o.Height, o.Width) > 1<<14 {
			return usagef("--size: got %q, want a number of pixels, or HEIGHTxWIDTH, from 1 to %d", c.String("size"), 1<<14)
		}
	}
	o.Map.Kind = residual.Kind(c.String("map"))
	if err := o.Map.Validate(); err != nil {
		return usagef("--map: %v", err)
	}
	return nil
}

// foreign describes a model that anomaly did not export; nil is any other file.
func foreign(path string) *anrt.Description {
	d, err := anrt.InspectFile(path)
	if err != nil || d.Metadata[onnx.KeyProfile] != "" {
		return nil
	}
	return d
}
