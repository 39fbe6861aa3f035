package text

import (
	"errors"
	"testing"
)

func TestDecode(t *testing.T) {
	tests := []struct {
		name, data, want string
		err              error
	}{
		{"plain", "a,ä\nb", "a,ä\nb", nil},
		{"empty", "", "", nil},
		{"mark", "\xef\xbb\xbfa", "a", nil},
		{"ends of lines", "a\r\nb\rc\n", "a\nb\nc\n", nil},
		{"UTF-16, little-endian", "\xff\xfea\x00\xe4\x00", "aä", nil},
		{"UTF-16, big-endian", "\xfe\xff\x00a\xd8\x3d\xde\x00", "a😀", nil},
		{"UTF-16 without a mark", "a\x00b\x00", "ab", nil},
		{"UTF-16 without a mark, big-endian", "\x00a\x00b", "ab", nil},
		{"Latin-1", "caf\xe9", "", ErrEncoding},
		{"half a unit", "\xff\xfea", "", ErrEncoding},
	}
	for _, test := range tests {
		got, err := Decode([]byte(test.data))
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: got %q, error %v, want %q, %v", test.name, got, err, test.want, test.err)
		}
	}
}
