package page

import (
	_ "embed"
	"html/template"
	"unicode"
	"unicode/utf8"

	"github.com/anomaly-go/anomaly/judge"
)

//go:embed banner.html
var bannerHTML string

// withBanner returns a page's template that may show an appraisal, at its head:
// {{template "banner" .}} with the style that "banner-style" is.
func withBanner(name, html string, funcs template.FuncMap) *template.Template {
	t := template.New(name).Funcs(funcs).Funcs(template.FuncMap{"capital": capital, "sentence": func(s string) string { return capital(s) + "." }, "repeats": repeats})
	return template.Must(template.Must(t.Parse(bannerHTML)).Parse(html))
}

// capital returns a text with a capital.
func capital(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:]
}

// repeats reports whether what a statement says to do was said before.
func repeats(statements []judge.Statement, i int) bool {
	for _, s := range statements[:i] {
		if s.Do == statements[i].Do {
			return true
		}
	}
	return false
}
