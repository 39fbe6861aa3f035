package serve

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
)

// finding returns what is said of a picture.
func (s *Server) finding(p *picture) *judge.Finding {
	return judge.NewFinding(p.name, p.size, p.result, &judge.Options{MinArea: max(s.options.Detector.MinArea, 1), Swapped: true})
}

// word is a verdict for headers and labels.
func word(r *runtime.Result) string { return cmp.Or(string(r.Verdict), "none") }

// images answers POST /v1/models/{model}/images.
func (s *Server) images(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	draw, alone, err := readDrawing(r)
	if err != nil {
		return err
	}
	leave, err := s.admit(name)
	if err != nil {
		return err
	}
	defer leave()
	began := time.Now()
	pics, several, err := s.readImages(w, r)
	if err != nil {
		return err
	}
	s.metrics.stage(name, "read", began)
	if alone && len(pics) != 1 {
		return fmt.Errorf("%w: got %d images, want 1 to be drawn", ErrInput, len(pics))
	}
	ctx, cancel := s.computing(r.Context())
	defer cancel()
	job, err := s.begin(ctx, name, r.URL.Query().Get("version"))
	if err != nil {
		return err
	}
	defer job.end()
	if err := job.detect(ctx, pics, draw.what != ""); err != nil {
		return err
	}
	if alone {
		b, err := drawn(pics[0], draw)
		if err != nil {
			return err
		}
		job.end() // a client that reads slowly keeps nobody waiting
		f := pics[0].finding
		w.Header().Set("Anomaly-Score", strconv.FormatFloat(float64(f.Score), 'g', -1, 32))
		w.Header().Set("Anomaly-Verdict", word(&pics[0].result))
		w.Header().Set("Anomaly-Model", f.Model)
		w.Header().Set("Content-Type", "image/png")
		_, err = w.Write(b)
		return err
	}
	items := make([]json.RawMessage, len(pics))
	for i, p := range pics {
		if items[i], err = p.item(draw); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	job.end()
	if !several {
		return writeJSON(w, http.StatusOK, items[0])
	}
	return writeJSON(w, http.StatusOK, items)
}

// item is what a list says of a picture: its finding, with "picture" where one is to
// be drawn, or its error.
func (p *picture) item(draw drawing) (json.RawMessage, error) {
	b, err := json.Marshal(p.found())
	if err != nil || p.err != nil || draw.what == "" {
		return b, err
	}
	png, err := drawn(p, draw)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(png)
	return slices.Concat(b[:len(b)-1], []byte(`,"picture":`), encoded, []byte("}")), err
}

// What is drawn.
const (
	drawOverlay = "overlay" // the image with what is above the threshold tinted
	drawHeatmap = "heatmap" // the map in colours, from what good parts reach on
)

// A drawing says what is to be drawn of a picture.
type drawing struct {
	what  string         // "" for nothing
	scale *heatmap.Scale // of a heat map's colours; nil is that of the result
}

// readDrawing reads it from a request, and whether the picture is the answer alone.
func readDrawing(r *http.Request) (draw drawing, alone bool, err error) {
	query := r.URL.Query()
	draw.what = query.Get("draw")
	switch draw.what {
	case "", drawOverlay, drawHeatmap:
	default:
		return draw, false, fmt.Errorf("%w: draw: got %.32q, want %s or %s", ErrInput, draw.what, drawOverlay, drawHeatmap)
	}
	if query.Has("heat") {
		scale, err := heatmap.ParseScale(query.Get("heat"))
		if err != nil {
			return draw, false, fmt.Errorf("%w: heat: got %.32q, want LO:HI, two numbers in ascending order", ErrInput, query.Get("heat"))
		}
		if draw.what != drawHeatmap {
			return draw, false, fmt.Errorf("%w: heat: it is of draw=%s", ErrInput, drawHeatmap)
		}
		draw.scale = &scale
	}
	for item := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		kind, _, err := mime.ParseMediaType(item)
		switch {
		case err != nil:
		case kind == "image/png", kind == "image/*":
			draw.what = cmp.Or(draw.what, drawOverlay)
			return draw, true, nil
		case kind == "application/json", kind == "*/*":
			return draw, false, nil
		}
	}
	return draw, false, nil
}

// drawn draws what was found in a picture as a PNG of the original's size.
func drawn(p *picture, draw drawing) ([]byte, error) {
	img, err := drawnImage(p, draw)
	if err != nil {
		return nil, err
	}
	return encodePNG(img)
}

// encodePNG encodes an image quickly rather than small.
func encodePNG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	err := encoder.Encode(&b, img)
	return b.Bytes(), err
}

func drawnImage(p *picture, draw drawing) (image.Image, error) {
	m, threshold := p.result.Map, p.result.PixelThreshold
	switch {
	case m == nil:
		return nil, fmt.Errorf("%w: the model gives no map to draw", ErrState)
	case draw.what == drawOverlay && threshold == nil:
		return nil, fmt.Errorf("%w: the model has no threshold to draw an overlay by: ask for draw=%s", ErrState, drawHeatmap)
	case draw.what == drawOverlay:
		return heatmap.Overlay(p.image, m, *threshold, nil), nil
	}
	scale := p.result.Scale
	if draw.scale != nil {
		scale = *draw.scale
	}
	return heatmap.Colorize(m.Resize(p.size.Y, p.size.X), scale, nil), nil
}

// readImages reads a body: an image file, or a form with several. Several says
// which, whatever their number.
func (s *Server) readImages(w http.ResponseWriter, r *http.Request) (pics []*picture, several bool, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, false, fmt.Errorf("%w: Content-Type: %w", errEncoding, err)
	}
	if kind != "multipart/form-data" {
		file, err := s.readBody(w, r)
		if err != nil {
			return nil, false, err
		}
		if len(file) == 0 {
			return nil, false, fmt.Errorf("%w: got no image", ErrInput)
		}
		return []*picture{{file: file}}, false, nil
	}
	if err := s.limitBody(w, r); err != nil {
		return nil, false, err
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, false, fmt.Errorf("%w: form: %w", ErrInput, err)
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, bodyError(err)
		}
		if part.FileName() == "" {
			return nil, false, fmt.Errorf("%w: form: field %.128q is no file", ErrInput, part.FormName())
		}
		if len(pics) == s.options.MaxImages {
			return nil, false, fmt.Errorf("%w: form: want at most %d images", ErrInput, s.options.MaxImages)
		}
		file, err := io.ReadAll(part)
		if err != nil {
			return nil, false, bodyError(err)
		}
		pics = append(pics, &picture{name: path.Base(strings.ReplaceAll(part.FileName(), `\`, "/")), file: file})
	}
	if len(pics) == 0 {
		return nil, false, fmt.Errorf("%w: form: got no file", ErrInput)
	}
	return pics, true, nil
}
