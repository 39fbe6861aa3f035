package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/anomaly-go/anomaly/internal/text"
)

// readCSV calls row with the named columns of every line. That there is no such
// file is no error.
func readCSV(path string, columns []string, row func([]string) error) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	lines, err := parseCSV(data)
	if err != nil {
		return fmt.Errorf("dataset: %q: %w", path, err)
	}
	if len(lines) == 0 {
		return fmt.Errorf("dataset: %q: %w", path, ErrEmpty)
	}
	at := make([]int, len(columns))
	for i, column := range columns {
		at[i] = -1
		for j, name := range lines[0] {
			if strings.TrimSpace(name) == column {
				at[i] = j
			}
		}
		if at[i] < 0 {
			return fmt.Errorf("dataset: %q: got columns %q, want %q", path, lines[0], columns)
		}
	}
	picked := make([]string, len(columns))
	for n, line := range lines[1:] {
		for i, j := range at {
			picked[i] = line[j]
		}
		if err := row(picked); err != nil {
			return fmt.Errorf("dataset: %q, row %d: %w", path, n+1, err)
		}
	}
	return nil
}

// parseCSV reads a table whose fields any of , ; and tab separate: the one that
// its first line has most of.
func parseCSV(data []byte) ([][]string, error) {
	plain, err := text.Decode(data)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(plain, "\n")
	r := csv.NewReader(strings.NewReader(plain))
	for _, comma := range ";\t" {
		if strings.Count(first, string(comma)) > strings.Count(first, string(r.Comma)) {
			r.Comma = comma
		}
	}
	return r.ReadAll()
}
