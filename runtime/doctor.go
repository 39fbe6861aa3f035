package runtime

import (
	"context"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A Report says what can be used on this machine.
type Report struct {
	// What the first provider found that needs ONNX Runtime: the path of its shared
	// library ("" where none can be loaded) and version, and where it was looked
	// for, up to where it was found.
	Library string  `json:"library,omitempty"`
	Version string  `json:"version,omitempty"`
	Places  []Place `json:"places,omitempty"`

	Providers []Availability `json:"providers"`
}

// Availability says whether a provider can be used, and why not.
type Availability struct {
	Provider Provider  `json:"provider"`
	Usable   bool      `json:"usable"`
	Problem  string    `json:"problem,omitempty"` // "" for a usable one
	Missing  []Missing `json:"missing,omitempty"` // libraries that it needs and the system does not find
	Library  string    `json:"library,omitempty"` // path of ONNX Runtime's shared library, if that is what computes and can be loaded
	Version  string    `json:"version,omitempty"` // its version
}

// A Place is where ONNX Runtime's shared library was looked for.
type Place struct {
	Source  string    `json:"source"`            // who names it: "options", "ANOMALY_ORT_LIB", "cache", "system" or "python"
	Path    string    `json:"path"`              // a file, or the pattern that files would have to match
	Problem string    `json:"problem,omitempty"` // why it is not the one used
	Missing []Missing `json:"missing,omitempty"` // libraries that its provider needs
}

// Missing is a shared library that a provider needs and the system does not find.
type Missing struct {
	Library string `json:"library"` // file name, such as "libcublasLt.so.13"
	Get     string `json:"get"`     // what it comes with: a requirement of pip where Pip, else words
	Pip     bool   `json:"pip"`
}

// seen are an engine's places as they are reported.
func seen(places []engine.Place) []Place {
	var list []Place
	for _, p := range places {
		q := Place{Source: p.Source, Path: p.Path, Problem: p.Problem}
		for _, m := range p.Missing {
			q.Missing = append(q.Missing, Missing(m))
		}
		list = append(list, q)
	}
	return list
}

// Diagnose tries the providers that o names, with their options, each with a
// model of one operator; all there are where it names none. It loads ONNX
// Runtime into the process, as opening a session does: providers that come in
// another build of it than the first one cannot be tried by the same process.
func Diagnose(o *SessionOptions) Report {
	opts := o.withDefaults()
	names := Providers()
	if opts.Provider != "" {
		list, err := opts.Provider.list()
		if err == nil {
			err = opts.validate()
		}
		if err != nil {
			return Report{Providers: []Availability{{Provider: opts.Provider, Problem: err.Error()}}}
		}
		if names = list; list[0] == Auto {
			names = []Provider{CPU, Go}
		}
	}
	var r Report
	for _, name := range names {
		a := Availability{Provider: name}
		row := name.row()
		err := row.Elsewhere()
		if err == nil && row.ORT {
			var found []engine.Place
			a.Library, a.Version, found, err = engine.LoadLibrary(opts.Library, row)
			places := seen(found)
			if r.Places == nil {
				r.Library, r.Version, r.Places = a.Library, a.Version, places
			}
			for _, p := range places {
				if a.Missing == nil && err != nil {
					a.Missing = p.Missing
				}
			}
		}
		if err == nil {
			err = try(name, opts)
		}
		if a.Usable = err == nil; !a.Usable {
			a.Problem = row.Reason(err)
		}
		r.Providers = append(r.Providers, a)
	}
	return r
}

// try runs a model of one operator.
func try(provider Provider, o SessionOptions) error {
	g := graph.New("try")
	x := g.Input("x", graph.Float32, 1, 1, 4, 4)
	g.Output("y", graph.Relu(x))
	b, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		return err
	}
	m, err := readModel(b)
	if err != nil {
		return err
	}
	s, err := openSession(m, provider, o, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Run(context.Background(), map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 1, 1, 4, 4)})
	return err
}
