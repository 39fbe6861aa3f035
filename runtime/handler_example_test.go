package runtime_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A handler that judges the image in a request's body. One detector serves all
// requests, whose images are computed together; its model may be swapped meanwhile.
func ExampleDetector_Detect_handler() {
	const most = 16 << 20 // bytes of a body, and pixels of an image
	handler := func(det *anrt.Detector) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			img, _, err := dataset.Decode(http.MaxBytesReader(w, r.Body, most), "", &dataset.Decoding{MaxPixels: most})
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			results, err := det.Detect(r.Context(), img)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(map[string]any{"score": results[0].Score, "anomalous": results[0].Anomalous})
		}
	}

	// A model in the place of a trained one: it finds what is not middle grey.
	var model bytes.Buffer
	if err := onnxexport.Write(&model, grey{}, nil, &onnxexport.Options{Map: residual.Options{Kind: residual.L1Map}, Threshold: .25}); err != nil {
		log.Fatal(err)
	}
	det, err := anrt.OpenBytes(model.Bytes(), &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: anrt.Go}})
	if err != nil {
		log.Fatal(err)
	}
	defer det.Close()
	server := httptest.NewServer(handler(det))
	defer server.Close()

	var black bytes.Buffer
	if err := png.Encode(&black, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		log.Fatal(err)
	}
	for _, body := range []io.Reader{&black, strings.NewReader("no image")} {
		answer, err := http.Post(server.URL, "", body)
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s", answer.StatusCode, text)
	}
	// Output:
	// 200 {"anomalous":true,"score":0.5}
	// 400 dataset: imageio: neither PNG, JPEG, GIF, BMP, TIFF, WebP nor PNM, but text: image: unknown format
}
