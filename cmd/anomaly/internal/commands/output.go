package commands

import (
	"context"
	"fmt"
	"maps"
	"os"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
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

// writeModel writes a model's file.
func writeModel(path string, m *onnxexport.Model) error {
	b, err := onnxexport.Marshal(m)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, b)
}

// spared reports that the file at path, which would be replaced, is one of the samples.
func spared(path string, samples []dataset.Sample) error {
	there, err := os.Stat(path)
	if err != nil {
		return nil // nothing is replaced
	}
	last := ""
	for _, s := range samples {
		if s.Path == last { // of rows
			continue
		}
		last = s.Path
		if info, err := os.Stat(s.Path); err == nil && os.SameFile(there, info) {
			return usagef("--out: %s is one of the images to train on: choose another", path)
		}
	}
	return nil
}
