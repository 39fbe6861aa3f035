package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
)

// A file is a model, and where it lies.
type file struct {
	bytes         []byte
	path          string
	height, width int
}

// write exports a network.
func (b *bench) write(name string, net models.Network, o *onnxexport.Options, r *train.Result) (*file, error) {
	weights := net.Init(seed)
	if r != nil {
		net, weights = r.Network, r.Weights
	}
	o.Map = net.Recipe().Map
	spec, err := json.Marshal(net.Spec())
	if err != nil {
		return nil, err
	}
	o.Metadata = map[string]string{"model": string(spec)}
	m, err := onnxexport.Build(net, weights, o)
	if err != nil {
		return nil, err
	}
	f := &file{path: filepath.Join(b.dir, name)}
	_, f.height, f.width = net.InputSize()
	if f.bytes, err = onnxexport.Marshal(m); err != nil {
		return nil, err
	}
	return f, writeFile(f.path, f.bytes)
}

// dcae is a detector of that network, of random weights.
func (b *bench) dcae(context.Context) (*file, error) {
	return shared(b, "dcae", func() (*file, error) {
		net, err := models.Open(models.Spec{Height: b.size}, nil)
		if err != nil {
			return nil, err
		}
		return b.write("dcae.onnx", net, &onnxexport.Options{}, nil)
	})
}

// fitImages is how many images the detector of features is fitted to.
const fitImages = 20

// featuresModel is the default detector, fitted to good images.
func (b *bench) featuresModel(ctx context.Context) (*file, error) {
	return shared(b, "features", func() (*file, error) {
		spec := models.Spec{Model: "features", Height: b.features}
		resources, err := train.Resources(spec)
		if err != nil {
			return nil, notMeasured(fmt.Sprintf("%v (anomaly doctor --install --backbones)", err))
		}
		net, err := models.Open(spec, resources)
		if err != nil {
			return nil, err
		}
		samples, err := dataset.Find(b.good...)
		if err != nil {
			return nil, err
		}
		channels, height, width := net.InputSize()
		data := &train.Data{}
		if data.Pixels, err = dataset.Load(ctx, samples, height, width, channels, 0); err != nil {
			return nil, err
		}
		r, err := train.Fit(ctx, net, data, &train.Settings{Provider: anrt.CPU})
		if err != nil {
			return nil, err
		}
		return b.write("features.onnx", net, &onnxexport.Options{Threshold: float32(r.Calibration.Threshold)}, r)
	})
}

// A detecting is a detector that is given images of its size.
type detecting struct {
	task
	provider     anrt.Provider
	scores, maps []float32 // of the images, before times count
}

// detector opens a model on a provider for n images, all given at once.
func detector(ctx context.Context, f *file, provider anrt.Provider, pix []uint8, n int) (*detecting, error) {
	det, err := anrt.OpenBytes(f.bytes, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: provider}})
	if err != nil {
		return nil, err
	}
	d := &detecting{provider: det.Info().Provider}
	d.do = func(ctx context.Context) error { _, err := det.DetectPixels(ctx, pix, n); return err }
	d.free = det.Close
	results, err := det.DetectPixels(ctx, pix, n)
	if err != nil {
		det.Close()
		return nil, err
	}
	for _, r := range results {
		d.scores, d.maps = append(d.scores, r.Score), append(d.maps, r.Map.Data...)
	}
	return d, nil
}

// beside returns the row of n images in our detector and a peer that writes a map and
// returns scores.
func (b *bench) beside(ctx context.Context, f *file, n int, kind string, arguments map[string]any) (*pair, error) {
	pix := pictures(n, f.height, f.width)
	images, maps := filepath.Join(b.dir, "images.npy"), filepath.Join(b.dir, "maps.npy")
	if err := writeArray(images, []int{n, f.height, f.width, 3}, pix); err != nil {
		return nil, err
	}
	arguments["images"], arguments["map"] = images, maps
	peer, scores, err := b.peer.prepare(kind, arguments)
	if err != nil {
		return nil, err
	}
	_, want, err := npy.Load[float32](maps)
	if err != nil {
		return nil, err
	}
	ours, err := detector(ctx, f, anrt.Auto, pix, n)
	if err != nil {
		return nil, err
	}
	return &pair{ours: ours, peer: peer, provider: ours.provider, units: n, difference: max(apart(ours.maps, want), apart(ours.scores, scores))}, nil
}

// dcaeForPeer is what the peer needs to know of dcae, without its images.
func (b *bench) dcaeForPeer() (map[string]any, error) {
	net, err := models.Open(models.Spec{Height: b.size}, nil)
	if err != nil {
		return nil, err
	}
	weights, err := b.weightsForPeer(net)
	return map[string]any{"network": net.Spec().Model, "blur": net.Recipe().Map.Blur, "weights": weights}, err
}

// detectBeside is the row of n images beside torch.compile.
func detectBeside(n int) func(ctx context.Context, b *bench) (*pair, error) {
	return func(ctx context.Context, b *bench) (*pair, error) {
		f, err := b.dcae(ctx)
		if err != nil {
			return nil, err
		}
		arguments, err := b.dcaeForPeer()
		if err != nil {
			return nil, err
		}
		return b.beside(ctx, f, n, "detect", arguments)
	}
}

// featuresBeside is the row of the same file in onnxruntime in Python.
func featuresBeside(ctx context.Context, b *bench) (*pair, error) {
	f, err := b.featuresModel(ctx)
	if err != nil {
		return nil, err
	}
	return b.beside(ctx, f, 1, "onnx", map[string]any{"model": f.path})
}

// detectOurs is the row of n images on a provider beside provider cpu.
func detectOurs(provider anrt.Provider, model func(*bench, context.Context) (*file, error), n int) func(ctx context.Context, b *bench) (*pair, error) {
	return func(ctx context.Context, b *bench) (*pair, error) {
		f, err := model(b, ctx)
		if err != nil {
			return nil, err
		}
		pix := pictures(n, f.height, f.width)
		peer, err := detector(ctx, f, anrt.CPU, pix, n)
		if err != nil {
			return nil, err
		}
		ours, err := detector(ctx, f, provider, pix, n)
		if err != nil {
			peer.close()
			return nil, err
		}
		return &pair{ours: ours, peer: peer, provider: ours.provider, units: n, difference: max(apart(ours.maps, peer.maps), apart(ours.scores, peer.scores))}, nil
	}
}

// calibrationImages are those that ranges of values are found on.
const calibrationImages = 16

// reduced is the detector of dcae in a precision.
func (b *bench) reduced(ctx context.Context, p onnxexport.Precision) (*file, error) {
	return shared(b, string(p), func() (*file, error) {
		f, err := b.dcae(ctx)
		if err != nil {
			return nil, err
		}
		m, err := onnxexport.Reopen(f.bytes)
		if err != nil {
			return nil, err
		}
		r, err := train.Reduce(ctx, m, p, pictures(calibrationImages, f.height, f.width), &train.ReduceOptions{SessionOptions: anrt.SessionOptions{Provider: anrt.CPU}})
		if err != nil {
			return nil, err
		}
		defer r.Close()
		if err := m.SetPrecision(p, r.Quantization); err != nil {
			return nil, err
		}
		out := &file{path: filepath.Join(b.dir, "dcae-"+string(p)+".onnx"), height: f.height, width: f.width}
		if out.bytes, err = onnxexport.Marshal(m); err != nil {
			return nil, err
		}
		return out, writeFile(out.path, out.bytes)
	})
}

// reducedBeside is the row of sixteen images in int8 on a provider, beside torch.compile
// in float32. Ours computes in a process of its own; that it is asked is no part of the times.
func reducedBeside(provider anrt.Provider) func(ctx context.Context, b *bench) (*pair, error) {
	return func(ctx context.Context, b *bench) (_ *pair, err error) {
		const n = 16
		f, err := b.reduced(ctx, onnxexport.Int8)
		if err != nil {
			return nil, err
		}
		arguments, err := b.dcaeForPeer()
		if err != nil {
			return nil, err
		}
		images, ours, theirs := filepath.Join(b.dir, "images.npy"), filepath.Join(b.dir, "ours.npy"), filepath.Join(b.dir, "maps.npy")
		if err := writeArray(images, []int{n, f.height, f.width, 3}, pictures(n, f.height, f.width)); err != nil {
			return nil, err
		}
		child, err := b.startChild(ctx)
		if err != nil {
			return nil, err
		}
		p := &pair{ours: owned{&remote{child, childCommand}}, units: n}
		defer func() {
			if err != nil {
				p.close()
			}
		}()
		_, got, err := child.prepare(childCommand, map[string]any{"model": f.path, "images": images, "map": ours, "provider": provider})
		if err != nil {
			return nil, notMeasured(err.Error())
		}
		arguments["images"], arguments["map"] = images, theirs
		peer, want, err := b.peer.prepare("detect", arguments)
		if err != nil {
			return nil, err
		}
		p.peer = peer
		_, gotMaps, err := npy.Load[float32](ours)
		if err != nil {
			return nil, err
		}
		_, wantMaps, err := npy.Load[float32](theirs)
		p.difference = max(apart(gotMaps, wantMaps), apart(got, want))
		return p, err
	}
}

// owned is a side in a process of its own, which ends with it.
type owned struct{ *remote }

func (o owned) close() error { return o.process.close() }
