package commands

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// selfTested gives a model its self-test. The provider go computes it: it is
// there wherever anomaly is, gives the same figures whatever trained the model,
// and so checks the others.
func selfTested(m *onnxexport.Model) error {
	b, err := onnxexport.Marshal(m)
	if err != nil {
		return err
	}
	det, err := anrt.OpenBytes(b, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: anrt.Go}, Batch: 1})
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	defer det.Close()
	t, err := det.SelfTest(context.Background())
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	maps.Copy(m.Metadata, t.Metadata())
	return nil
}

// writeModel writes a model's file, and says where the model is kept that was there.
// The file is locked.
func (c *console) writeModel(path string, m *onnxexport.Model) error {
	b, err := onnxexport.Marshal(m)
	if err != nil {
		return err
	}
	return c.replace(b, path)
}

// replace is writeModel of a file's bytes.
func (c *console) replace(b []byte, path string) error {
	d, err := anrt.Replace(b, path)
	if err == nil && d.Kept != "" {
		c.notef("the model that was %s is kept as %s (anomaly rollback %[1]s goes back)", path, d.Kept)
	}
	c.noteDropped(d)
	return err
}

// noteDropped says which earlier models are kept no more.
func (c *console) noteDropped(d *anrt.Deployment) {
	if d == nil {
		return
	}
	for _, v := range d.Dropped {
		c.notef("%s is kept no more", v.Path)
	}
}

// replaceable refuses --out where something is that is no model: it would be lost.
func replaceable(path string) error {
	err := anrt.Replaceable(path)
	if errors.Is(err, anrt.ErrModel) {
		return usagef("--out: %s", strings.TrimPrefix(err.Error(), anrt.ErrModel.Error()+": "))
	}
	return err
}
