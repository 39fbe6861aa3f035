package serve

import (
	"bytes"
	"mime/multipart"
	"testing"
)

// multipartForm returns a form with files in an order, and its content type.
func multipartForm(t testing.TB, files map[string][]byte, order ...string) (*bytes.Buffer, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, name := range order {
		part, err := w.CreateFormFile("image", name)
		if err != nil {
			t.Fatal(err)
		}
		part.Write(files[name])
	}
	w.Close()
	return &b, w.FormDataContentType()
}
