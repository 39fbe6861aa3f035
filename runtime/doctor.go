package runtime

import (
	"context"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A Report says what can be used on this machine.
type Report struct {
	Library   string         `json:"library,omitempty"` // path of ONNX Runtime's shared library, "" where none can be loaded
	Version   string         `json:"version,omitempty"` // its version
	Places    []Place        `json:"places"`            // where it was looked for, up to where it was found
	Providers []Availability `json:"providers"`         // in the order of Providers
}

// Availability says whether a provider can be used, and why not.
type Availability struct {
	Provider string `json:"provider"`
	Usable   bool   `json:"usable"`
	Problem  string `json:"problem,omitempty"` // "" for a usable one
}

// Diagnose tries every provider with a model of one operator. It loads ONNX
// Runtime into the process, as opening a session does.
func Diagnose() Report {
	var r Report
	r.Library, r.Version, r.Places, _ = loadLibrary("") // each provider below gives the error
	for _, p := range Providers() {
		a := Availability{Provider: p, Usable: true}
		if err := try(p); err != nil {
			a.Usable, a.Problem = false, err.Error()
		}
		r.Providers = append(r.Providers, a)
	}
	return r
}

// try runs a model of one operator.
func try(provider string) error {
	g := graph.New("try")
	x := g.Input("x", graph.Float32, 1, 1, 4, 4)
	g.Output("y", graph.Relu(x))
	b, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		return err
	}
	s, err := OpenSession(b, &Options{Provider: provider})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Run(context.Background(), map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 1, 1, 4, 4)})
	return err
}
