package models

import (
	"errors"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, s := range []Spec{
		{Model: "resnet"}, {Channels: 2}, {Height: 100}, {Width: 33}, {Height: 4}, {Depth: -1}, {Depth: 9},
		{Filters: -1}, {Filters: 5000}, {Height: 1 << 20}, {Height: -8},
	} {
		if err := s.Validate(); !errors.Is(err, ErrSpec) {
			t.Errorf("%+v: got %v, want an ErrSpec", s, err)
		}
		if _, err := Open(s, nil); !errors.Is(err, ErrSpec) {
			t.Errorf("%+v: opened: got %v, want an ErrSpec", s, err)
		}
	}
	if err := (Spec{}).Validate(); err != nil {
		t.Error(err)
	}
}
