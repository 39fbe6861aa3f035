package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/lower"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A program computes the loss of a fixed number of images, and its gradients if
// the key says so, on several sessions side by side.
type program struct {
	step     *lower.Step
	sessions []*anrt.Session
	idle     chan *anrt.Session         // those that nobody uses now
	out      []map[string]*graph.Tensor // of each part of a batch, written to again by the next batch
}

// outputs returns the tensors that part i of a batch is computed into.
func (p *program) outputs(i int) map[string]*graph.Tensor {
	for len(p.out) <= i {
		out := map[string]*graph.Tensor{}
		for _, v := range p.step.Graph.Outputs() {
			out[v.Name()] = graph.Zeros(v.DType, v.Shape...)
		}
		p.out = append(p.out, out)
	}
	return p.out[i]
}

type programKey struct {
	images    int
	gradients bool
}

// microBatch returns how many images one run takes. On CPUs few, so that what
// one layer leaves lies in the cache for the next: as many as make up one image
// of 128x128, but no more than leave work for four cores. It depends on the
// sizes alone, since sums of floats depend on it.
func microBatch(height, width, batch int, provider anrt.Provider) int {
	if !provider.SharesCores() {
		return batch
	}
	return min((batch+3)/4, max(1, 128*128/(height*width)))
}

func (t *trainer) microBatch() int {
	return microBatch(t.height, t.width, t.settings.Batch, t.settings.Provider)
}

// lossGraph builds the graph of the loss of n images: uint8 images `input`
// [n,H,W,C], where they are corrupted `shown` of the same shape too, and the
// parameters in, `loss` [1] out.
func (t *trainer) lossGraph(n int) (*graph.Graph, error) {
	l, err := residual.ParseLoss(t.settings.Loss)
	if err != nil {
		return nil, err
	}
	g := graph.New("train")
	images := func(name string) *graph.Value {
		return onnxexport.Pixels(g.Input(name, graph.Uint8, n, t.height, t.width, t.channels))
	}
	target := images("input")
	shown := target
	if t.corrupt != nil {
		shown = images("shown")
	}
	g.Output("loss", t.trainable.Loss(shown, target, l))
	if err := g.Err(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return g, nil
}

// step builds what a program runs, in the form that is fastest on the provider.
func (t *trainer) step(key programKey) (*lower.Step, error) {
	g, err := t.lossGraph(key.images)
	switch {
	case err != nil:
		return nil, err
	case !key.gradients:
		return &lower.Step{Graph: g}, nil
	case t.block > 0:
		return lower.CPU(g, t.block, t.frozen)
	case t.settings.Provider == anrt.Go:
		return lower.Plain(g, graph.ByConv, t.frozen)
	case t.settings.Provider.SharesCores():
		return lower.Plain(g, graph.ByShift, t.frozen)
	default:
		return lower.Plain(g, graph.ByShiftConcat, t.frozen)
	}
}

// open settles the provider, what "auto" or a list stands for, and with it the
// form of the training step.
func (t *trainer) open() error {
	t.programs = map[programKey]*program{}
	probe, err := t.probe()
	if err != nil {
		return err
	}
	ses, err := t.session(probe, 1, t.settings.Logf)
	if err != nil {
		return err
	}
	t.settings.Provider = ses.Provider()
	if err := ses.Close(); err != nil {
		return err
	}
	if t.settings.Provider == anrt.CPU {
		if t.block, err = t.nativeBlock(); err != nil {
			t.settings.Logf("training in ONNX's own operators, which is slower: %v", err)
		}
	}
	return nil
}

// probe returns a model that tells whether a provider can be used, and which takes less
// time: the network alone, for a step is its convolutions and their gradients, which are
// convolutions like them.
func (t *trainer) probe() ([]byte, error) {
	m, err := onnxexport.Build(t.net, t.net.Init(t.settings.Seed), &onnxexport.Options{Profile: onnxexport.Reconstruction})
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return marshal(m)
}

// nativeBlock returns the block of channels for which package lower writes
// training steps on ONNX Runtime's CPU provider. That is found out by trying,
// since it depends on the processor, and the operators are not part of what
// ONNX Runtime promises to keep: the first gradients must be those of the plain
// step.
func (t *trainer) nativeBlock() (int, error) {
	b, err := marshal(&onnxexport.Model{Graph: lower.Probe()})
	if err != nil {
		return 0, err
	}
	ses, err := t.session(b, 1, nil)
	if err != nil {
		return 0, err
	}
	defer ses.Close()
	out, err := ses.Run(context.Background(), map[string]*graph.Tensor{"input": graph.Zeros(graph.Float32, 1, 4, 1, 1)})
	if err != nil {
		return 0, err
	}
	block := out["output"].Shape()[1]
	got, err := t.trial(block)
	if err != nil {
		return 0, err
	}
	want, err := t.trial(0)
	if err != nil {
		return 0, err
	}
	// Rounding alone differs. Where it decides which of two pixels is a maximum,
	// one pixel's gradient goes elsewhere: well below this share of the norm.
	const tolerance = .05
	for name, w := range want {
		var diff, norm float64
		for i, x := range w {
			d := float64(got[name][i] - x)
			diff += d * d
			norm += float64(x) * float64(x)
		}
		if !(diff <= tolerance*tolerance*norm) {
			return 0, fmt.Errorf("the native gradient of %s differs by %g of norm %g", name, math.Sqrt(diff), math.Sqrt(norm))
		}
	}
	return block, nil
}

// trial returns the gradients of the first images at the initial weights, from a
// step lowered for that block; 0 is the plain step.
func (t *trainer) trial(block int) (map[string][]float32, error) {
	one := *t
	one.block, one.settings.Workers, one.programs = block, 1, map[programKey]*program{}
	defer one.close()
	images := make([]int, min(t.n, t.microBatch()))
	for i := range images {
		images[i] = i
	}
	_, grads, err := one.gradients(context.Background(), t.net.Init(t.settings.Seed), batch{images: images})
	return grads, err
}

func marshal(m *onnxexport.Model) ([]byte, error) {
	b, err := onnxexport.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return b, nil
}

// session opens what a trainer computes with.
func (t *trainer) session(model []byte, threads int, logf func(string, ...any)) (*anrt.Session, error) {
	return anrt.OpenSession(model, &anrt.SessionOptions{Provider: t.settings.Provider, ProviderOptions: t.settings.ProviderOptions, Threads: threads, Logf: logf})
}

// program returns the program for a key, made at its first use.
func (t *trainer) program(key programKey) (*program, error) {
	if p := t.programs[key]; p != nil {
		return p, nil
	}
	workers, threads := t.settings.Workers, 1
	switch {
	case !t.settings.Provider.SharesCores():
		workers, threads = 1, 0
	case key.gradients: // a step that has fewer parts than there are cores gives each several
		workers = min(workers, (t.settings.Batch+t.microBatch()-1)/t.microBatch())
		threads = t.settings.Workers / workers
	}
	step, err := t.step(key)
	if err != nil {
		return nil, err
	}
	b, err := marshal(&onnxexport.Model{Graph: step.Graph})
	if err != nil {
		return nil, err
	}
	p := &program{step: step, idle: make(chan *anrt.Session, workers)}
	t.programs[key] = p
	for i := range workers {
		var ses *anrt.Session
		if i == 0 {
			ses, err = t.session(b, threads, nil)
		} else {
			ses, err = p.sessions[0].Worker()
		}
		if err != nil {
			return nil, err
		}
		p.sessions = append(p.sessions, ses)
		p.idle <- ses
	}
	return p, nil
}

func (t *trainer) close() {
	for _, p := range t.programs {
		for _, s := range p.sessions {
			s.Close()
		}
	}
}

// A part is what one run computed of a batch.
type part struct {
	images int
	out    map[string]*graph.Tensor
	err    error
}

// share is the part's share of the images.
func (p part) share(images []int) float64 { return float64(p.images) / float64(len(images)) }

// compute computes the outputs of the program for the images of a batch, a
// micro-batch a run, on all workers; parts come in the order of the images, and
// last until the next call.
func (t *trainer) compute(ctx context.Context, weights map[string]*graph.Tensor, b batch, gradients bool) ([]part, *lower.Step, error) {
	micro := t.microBatch()
	chunks := slices.Collect(slices.Chunk(b.images, micro))
	parts := make([]part, len(chunks))
	var step *lower.Step // of the first chunk: those of others pack alike
	var packed map[string]*graph.Tensor
	var wg sync.WaitGroup
	for i, chunk := range chunks {
		p, err := t.program(programKey{len(chunk), gradients})
		if err != nil {
			wg.Wait()
			return nil, nil, err
		}
		if step == nil {
			step, packed = p.step, p.step.Pack(weights)
		}
		ses, out := <-p.idle, p.outputs(i)
		wg.Go(func() {
			defer func() { p.idle <- ses }()
			in := maps.Clone(packed)
			maps.Copy(in, t.inputs(b, i*micro, i*micro+len(chunk)))
			parts[i] = part{len(chunk), out, ses.RunInto(ctx, in, out)}
		})
	}
	wg.Wait()
	for _, p := range parts {
		if p.err != nil {
			return nil, nil, p.err
		}
	}
	return parts, step, nil
}

// pixels gathers images into one tensor [n,H,W,C].
func (t *trainer) pixels(images []int) *graph.Tensor {
	pix := make([]uint8, 0, len(images)*t.size)
	for _, i := range images {
		pix = append(pix, t.data.Pixels[i*t.size:(i+1)*t.size]...)
	}
	return graph.NewTensor(pix, len(images), t.height, t.width, t.channels)
}

// gradients returns the mean loss of the images and its gradient by parameter,
// summed in the order of the images.
func (t *trainer) gradients(ctx context.Context, weights map[string]*graph.Tensor, b batch) (float64, map[string][]float32, error) {
	images := b.images
	parts, step, err := t.compute(ctx, weights, b, true)
	if err != nil {
		return 0, nil, err
	}
	loss := 0.0
	for _, p := range parts {
		loss += p.share(images) * float64(graph.Data[float32](p.out["loss"])[0])
	}
	sums := map[string][]float32{}
	var wg sync.WaitGroup
	for name, out := range parts[0].out {
		if name == "loss" {
			continue
		}
		sum := make([]float32, out.Len())
		sums[name] = sum
		wg.Go(func() {
			for _, p := range parts {
				share := float32(p.share(images))
				for i, d := range graph.Data[float32](p.out[name]) {
					sum[i] += float32(share * d)
				}
			}
		})
	}
	wg.Wait()
	return loss, step.Unpack(sums), nil
}

// loss returns the mean loss of the images; NaN for none.
func (t *trainer) loss(ctx context.Context, weights map[string]*graph.Tensor, images []int) (float64, error) {
	if len(images) == 0 {
		return math.NaN(), nil
	}
	parts, _, err := t.compute(ctx, weights, batch{images: images}, false)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, p := range parts {
		sum += p.share(images) * float64(graph.Data[float32](p.out["loss"])[0])
	}
	return sum, nil
}
