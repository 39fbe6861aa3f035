package feedback

import (
	"errors"
	"fmt"
	"time"
)

// Errors of this package wrap one of these.
var (
	ErrInput = errors.New("feedback: input")         // a mark, or an option, that cannot be used
	ErrFull  = errors.New("feedback: no room")       // the images have reached Options.MaxBytes
	ErrIndex = errors.New("feedback: index")         // it is missing, damaged, or of a later version
	ErrNone  = errors.New("feedback: no such image") // none is marked under that hash
)

// A Mark is what a person says of a verdict.
type Mark string

// Marks.
const (
	FalseAlarm Mark = "false-alarm" // the image is good, and was called anomalous
	Miss       Mark = "miss"        // it has a defect, and was called good
)

// An Entry is what was said of one image.
type Entry struct {
	Image     string    `json:"image"`             // SHA-256 of the file, in hexadecimal
	Model     string    `json:"model"`             // its name: letters, digits, '.', '_' and '-'
	Mark      Mark      `json:"mark"`              //
	Version   string    `json:"version,omitempty"` // of the model, where known
	Hash      string    `json:"hash,omitempty"`    // of its file, where known
	Name      string    `json:"name,omitempty"`    // that the image had where it came from
	Score     *float32  `json:"score"`             // nil where it is not known
	Threshold *float32  `json:"threshold"`         // nil where it is not known
	By        string    `json:"by,omitempty"`      // who said so
	At        time.Time `json:"at"`
	Bytes     int64     `json:"bytes"`          // of the file
	Path      string    `json:"path,omitempty"` // of the file on disk
}

// ParseMark reads a mark. Errors wrap ErrInput.
func ParseMark(text string) (Mark, error) {
	if m := Mark(text); m == FalseAlarm || m == Miss {
		return m, nil
	}
	return "", fmt.Errorf("%w: mark: got %.32q, want %s or %s", ErrInput, text, FalseAlarm, Miss)
}

// Options are options of [Open]; nil is all defaults.
type Options struct {
	// MaxBytes is how much the images may take; 0 is 10 GiB.
	MaxBytes int64
	// Existing refuses a folder that is no store yet.
	Existing bool
	// Logf is told what Open had to bring in line; nil says nothing.
	Logf func(format string, args ...any)
}
