package page

import (
	_ "embed"
	"html/template"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/anomaly-go/anomaly/judge"
)

//go:embed banner.html
var bannerHTML string

// withBanner returns a page's template that may show an appraisal at its head:
// {{template "banner" banner .}}, in the style that "banner-style" is.
func withBanner(name, html string, funcs template.FuncMap) *template.Template {
	t := template.New(name).Funcs(funcs).Funcs(template.FuncMap{"banner": newBanner, "capital": Capital, "sentence": sentence})
	return template.Must(template.Must(t.Parse(bannerHTML)).Parse(html))
}

// A banner is what a page shows of an appraisal.
type banner struct {
	Severity judge.Severity
	First    judge.Statement
	More     []judge.Statement
	Notes    []judge.Statement // that are folded
}

func newBanner(a *judge.Appraisal) *banner {
	b := &banner{Severity: a.Severity}
	for i, s := range a.Said() {
		switch {
		case i == 0:
			b.First = s
		case s.Severity == judge.Note && s.Code != judge.AllAnomalous && s.Code != judge.NoneAnomalous:
			b.Notes = append(b.Notes, s)
		default:
			b.More = append(b.More, s)
		}
	}
	return b
}

// Capital returns a text with a capital.
func Capital(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:]
}

var flagName = regexp.MustCompile(`--[a-z0-9-]+`)

// sentence returns a text with a capital, unless it begins with a command, and a full
// stop; lines do not break within flags.
func sentence(text string) template.HTML {
	if !strings.HasPrefix(text, "anomaly ") {
		text = Capital(text)
	}
	return template.HTML(flagName.ReplaceAllString(template.HTMLEscapeString(text+"."), `<span class="flag">$0</span>`))
}
