package serve

import (
	"embed"
	"mime"
	"net/http"
	"path"
)

// pageFiles are the page: nothing is built, and it asks nobody but its server.
//
//go:embed page.html page.css page.js
var pageFiles embed.FS

// pagePolicy lets the page load nothing that is not this server's.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// page answers with one of the page's files.
func (s *Server) page(name string) func(w http.ResponseWriter, r *http.Request) error {
	b, err := pageFiles.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	kind := mime.TypeByExtension(path.Ext(name))
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(self)")
		_, err := w.Write(b)
		return err
	}
}
