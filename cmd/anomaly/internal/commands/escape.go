package commands

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// An escaper writes text without what would move a terminal's cursor or turn its
// direction, whatever names and messages have in them: control characters other than
// new line and tab, and format characters, are spelled \u001b, as JSON has them, bytes
// that are no UTF-8 as \x9b.
type escaper struct {
	w    io.Writer
	mu   sync.Mutex
	tail []byte // of a character that the next call ends
}

func (e *escaper) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := append(e.tail, p...)
	e.tail = nil
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1 && !utf8.FullRune(text):
			e.tail = append([]byte{}, text...)
			size = len(text)
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || !unicode.In(r, unicode.Cc, unicode.Cf):
			out = append(out, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unescaped is what an escaper writes to, for what moves the cursor on purpose.
func unescaped(w io.Writer) io.Writer {
	if e, ok := w.(*escaper); ok {
		return e.w
	}
	return w
}

// escaped is text as an escaper writes it.
func escaped(text string) string {
	var b strings.Builder
	(&escaper{w: &b}).Write([]byte(text))
	return b.String()
}
