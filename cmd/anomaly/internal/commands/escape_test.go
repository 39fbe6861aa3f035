package commands

import (
	"bytes"
	"testing"
)

func TestEscaper(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"ü 漢 a\tb\n", "ü 漢 a\tb\n"},
		{"\x1b[31mred", `\u001b[31mred`},
		{"gpj.\u202egood", `gpj.\u202egood`}, // turned round
		{"\u009b1m \u2066 \r", `\u009b1m \u2066 \u000d`},
		{"\x9b2J\xff", `\x9b2J\xff`},
		{"\U000e0041", `\udb40\udc41`},
	} {
		var b bytes.Buffer
		e := &escaper{w: &b}
		for _, c := range []byte(tt.in) { // characters come in parts
			if n, err := e.Write([]byte{c}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if whole := escaped(tt.in); whole != tt.want || b.String()+escapedTail(e) != tt.want {
			t.Errorf("%q: got %q at once and %q in parts, want %q", tt.in, whole, b.String(), tt.want)
		}
	}
}

// escapedTail is what a text ends with that is no whole character.
func escapedTail(e *escaper) string { return string(e.tail) }
