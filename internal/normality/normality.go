package normality

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/anomaly-go/anomaly/internal/parallel"
)

// Options of [Fit].
type Options struct {
	Places, Channels int // of the features of an image, [Places,Channels]
	// Rank is how many directions of each place's covariance are modelled; along
	// the others, and with 0 along all, the one common to all places is.
	Rank int
	// Ridge is added to the diagonal of all covariances, in units of the features' squared.
	Ridge   float64
	Coreset int    // features that are kept for the nearest of them
	Dims    int    // components that those are compared by, at most Channels
	Seed    uint64 // of what is random
}

// A Model says how far features f of a place are from those of good images, by
// two distances:
//
//	gaussian² = Scale·|(f-Mean)·White|² - |(f-Mean)·Directions|²
//	nearest²  = |z|² - 1 - max over the columns c of Coreset of z·c,  z = f·Project + Offset
//
// and by their sum, weighted by Weights: the inverse of the deviation that each has
// on images that the model was not fitted to.
type Model struct {
	Mean       []float32 // [Places,Channels]
	White      []float32 // [Channels,Channels]
	Scale      []float32 // [Places]
	Directions []float32 // [Places,Channels,Rank], zero beyond those there are
	Project    []float32 // [Channels,Dims+1]; the last component of z is 1
	Offset     []float32 // [Dims+1]
	Coreset    []float32 // [Dims+1,Coreset]
	Weights    [2]float32

	Shrinkage float64 // share of the common covariance in that of a place: of the most likely of Trials
	Trials    []Trial // none without directions
}

// A Trial is a shrinkage that was tried.
type Trial struct {
	Shrinkage  float64
	Likelihood float64 // natural logarithm, the mean over images and places, of images left out, but for a constant
}

// shrinkages are those tried. Without directions of their own, places have 1.
var shrinkages = []float64{0, .1, .3, .6, 1}

const (
	trialPlaces  = 48     // places by which the shrinkage is chosen
	commonSample = 30_000 // features that the common covariance is estimated from
	pool         = 8_000  // features of which the coreset is chosen
	probes       = 1_500  // features whose nearest scale the second distance
	sweeps       = 3      // of the power iteration
	spare        = 4      // directions that it carries besides
	leverage     = .98    // the most that an image counts in its own place's covariance
	tiny         = 1e-12
)

// Fit fits a model to the features x of two or more images, each
// [Places,Channels], float32. The result depends on its arguments alone.
func Fit(ctx context.Context, x [][]float32, o Options) (*Model, error) {
	if len(x) < 2 || o.Places < 1 || o.Channels < 1 || o.Rank < 0 || o.Coreset < 1 || o.Dims < 1 || o.Dims > o.Channels || !(o.Ridge > 0) {
		return nil, fmt.Errorf("normality: got %d images and %+v, want two images or more, and positive options", len(x), o)
	}
	for i, f := range x {
		if len(f) != o.Places*o.Channels {
			return nil, fmt.Errorf("normality: image %d: got %d features, want %d", i, len(f), o.Places*o.Channels)
		}
		for _, v := range f {
			if d := v - v; d != 0 {
				return nil, fmt.Errorf("normality: image %d: got a feature %v, want finite numbers", i, v)
			}
		}
	}
	f := &fit{Options: o, x: x, n: len(x)}
	f.Rank = min(o.Rank, f.n-1, o.Channels)
	m := &Model{
		Mean: f.mean(), Scale: make([]float32, o.Places), Directions: make([]float32, o.Places*o.Channels*o.Rank),
	}
	f.centre = m.Mean
	if err := f.common(); err != nil {
		return nil, err
	}
	var err error
	if m.Shrinkage, m.Trials, err = f.shrinkage(ctx); err != nil {
		return nil, err
	}
	w, logdet := f.whitening(m.Shrinkage)
	m.White = single(w)
	// Sums over places are in their order, whoever computed them.
	sums := make([][2]float64, o.Places)
	err = spread(ctx, o.Places, func(p int) {
		g := f.gaussian(p, w, logdet, m.Shrinkage)
		m.Scale[p] = float32(1 / g.rest)
		for c := range o.Channels {
			for k := range g.rank {
				m.Directions[(p*o.Channels+c)*o.Rank+k] = float32(g.directions.At(c, k))
			}
		}
		for _, d := range g.distances {
			sums[p][0] += d
			sums[p][1] += d * d
		}
	})
	if err != nil {
		return nil, err
	}
	var sum, square float64
	for _, s := range sums {
		sum += s[0]
		square += s[1]
	}
	m.Weights[0] = inverseDeviation(sum, square, float64(o.Places*f.n))
	if err := f.nearest(ctx, m); err != nil {
		return nil, err
	}
	return m, nil
}

// inverseDeviation returns one over the deviation of n numbers of given sums.
func inverseDeviation(sum, square, n float64) float32 {
	mean := sum / n
	return float32(1 / math.Sqrt(max(square/n-mean*mean, tiny)))
}

// A fit is one fit under way.
type fit struct {
	Options
	x       [][]float32
	n       int
	centre  []float32  // mean of each place
	vectors *mat.Dense // of the common covariance, one a column
	values  []float64
}

func single(m *mat.Dense) []float32 {
	r, c := m.Dims()
	out := make([]float32, 0, r*c)
	for i := range r {
		for j := range c {
			out = append(out, float32(m.At(i, j)))
		}
	}
	return out
}

// mean returns the mean of each place [Places,Channels].
func (f *fit) mean() []float32 {
	out := make([]float32, f.Places*f.Channels)
	for i := range out {
		sum := 0.
		for _, x := range f.x {
			sum += float64(x[i])
		}
		out[i] = float32(sum / float64(f.n))
	}
	return out
}

// common estimates the covariance within places, common to all, from an even sample of them.
func (f *fit) common() error {
	perImage := min(f.Places, (commonSample+f.n-1)/f.n)
	cov := mat.NewSymDense(f.Channels, nil)
	batch := mat.NewDense(256, f.Channels, nil)
	rows, total := 0, 0
	flush := func() {
		if rows > 0 {
			var s mat.SymDense
			s.SymOuterK(1, batch.Slice(0, rows, 0, f.Channels).T())
			cov.AddSym(cov, &s)
			rows = 0
		}
	}
	for at := range f.n * perImage {
		i := at % f.n
		x, p := f.x[i], (at/f.n*f.Places+i*f.Places/f.n)/perImage%f.Places // other places of each image
		row := batch.RawRowView(rows)
		for c := range row {
			row[c] = float64(x[p*f.Channels+c]) - float64(f.centre[p*f.Channels+c])
		}
		rows++
		total++
		if rows == 256 {
			flush()
		}
	}
	flush()
	// Of each place one degree of freedom went into its mean.
	cov.ScaleSym(float64(f.n)/float64(f.n-1)/float64(total), cov)
	var err error
	f.vectors, f.values, err = eigen(cov)
	return err
}

// eigen returns the eigenvectors, one a column, and eigenvalues, ascending.
func eigen(s mat.Symmetric) (*mat.Dense, []float64, error) {
	var e mat.EigenSym
	if !e.Factorize(s, true) {
		return nil, nil, fmt.Errorf("normality: the covariance of the features has no eigenvalues")
	}
	var v mat.Dense
	e.VectorsTo(&v)
	return &v, e.Values(nil), nil
}

// whitening returns W with W·Wᵀ the inverse of T = shrinkage·common + Ridge·1, and
// the logarithm of T's determinant.
func (f *fit) whitening(shrinkage float64) (*mat.Dense, float64) {
	if shrinkage == 0 { // no direction is another's
		w := mat.NewDense(f.Channels, f.Channels, nil)
		for c := range f.Channels {
			w.Set(c, c, 1/math.Sqrt(f.Ridge))
		}
		return w, float64(f.Channels) * math.Log(f.Ridge)
	}
	scaled, logdet := mat.DenseCopyOf(f.vectors), 0.
	for k, v := range f.values {
		t := shrinkage*max(v, 0) + f.Ridge
		logdet += math.Log(t)
		for c := range f.Channels {
			scaled.Set(c, k, scaled.At(c, k)/math.Sqrt(t))
		}
	}
	return scaled, logdet
}

// shrinkage returns the one under which images are most likely by Gaussians fitted
// to the others, and all that were tried.
func (f *fit) shrinkage(ctx context.Context) (float64, []Trial, error) {
	if f.Rank == 0 {
		return 1, nil, nil
	}
	var trials []Trial
	best, most := 1., math.Inf(-1)
	places := min(trialPlaces, f.Places)
	for _, s := range shrinkages {
		w, logdet := f.whitening(s)
		likelihoods := make([]float64, places)
		if err := spread(ctx, places, func(i int) {
			likelihoods[i] = f.gaussian(i*f.Places/places+f.Places/places/2, w, logdet, s).likelihood
		}); err != nil {
			return 0, nil, err
		}
		sum := 0.
		for _, l := range likelihoods {
			sum += l
		}
		trials = append(trials, Trial{s, sum / float64(places)})
		if sum > most {
			best, most = s, sum
		}
	}
	return best, trials, nil
}

// A gaussian is that of one place, whitened: the covariance rest·1 but along rank directions.
type gaussian struct {
	rest       float64
	rank       int
	directions *mat.Dense // [Channels,rank], of features as they are, scaled for [Model]
	distances  []float64  // of each image from the Gaussian of the others
	likelihood float64    // mean logarithm of the same, less a constant
}

func (f *fit) gaussian(p int, w *mat.Dense, logdet, shrinkage float64) gaussian {
	own := 1 - shrinkage // share of the place's own covariance
	x := mat.NewDense(f.n, f.Channels, nil)
	for i := range f.n {
		row := x.RawRowView(i)
		for c := range row {
			row[c] = float64(f.x[i][p*f.Channels+c]) - float64(f.centre[p*f.Channels+c])
		}
	}
	var y mat.Dense
	if own == 1 {
		y.Scale(1/math.Sqrt(f.Ridge), x)
	} else {
		y.Mul(x, w)
	}
	norms, total := make([]float64, f.n), 0.
	for i := range f.n {
		for _, v := range y.RawRowView(i) {
			norms[i] += v * v
		}
		total += norms[i]
	}
	g := gaussian{rest: 1, distances: make([]float64, f.n)}
	freedom := float64(f.n - 1)
	var values []float64
	var along mat.Dense // [n,rank]
	if own > 0 {
		g.rank = f.Rank
		var u *mat.Dense
		u, values = f.principal(&y)
		left := total / freedom
		for _, v := range values {
			left -= v
		}
		if others := f.Channels - g.rank; others > 0 {
			g.rest += own * max(left, 0) / float64(others)
		}
		along.Mul(&y, u)
		for k, v := range values {
			values[k] = g.rest + own*v
			logdet += math.Log(values[k])
			scale := math.Sqrt(max(1/g.rest-1/values[k], 0))
			for c := range f.Channels {
				u.Set(c, k, u.At(c, k)*scale)
			}
		}
		g.directions = mat.NewDense(f.Channels, g.rank, nil)
		g.directions.Mul(w, u)
	}
	logdet += float64(f.Channels-g.rank) * math.Log(g.rest)
	// Without the image itself: its mean moves by 1/(n-1) of the distance, and
	// the covariance loses its part (Sherman and Morrison, 1950).
	moved := float64(f.n) / freedom
	for i := range f.n {
		inside, outside := 0., norms[i]
		for k, v := range values {
			a := along.At(i, k)
			inside += a * a / v
			outside -= a * a
		}
		left := 1 - min(own*moved/freedom*inside, leverage)
		square := moved * moved * (max(outside, 0)/g.rest + inside/left)
		g.distances[i] = math.Sqrt(square)
		g.likelihood -= (square + logdet + math.Log(left)) / 2 / float64(f.n)
	}
	return g
}

// principal returns the Rank largest principal directions of y [n,Channels], one a
// column, and their variances, by power iteration in a subspace (Halko, Martinsson
// and Tropp, Finding structure with randomness, SIAM Review 2011, algorithm 4.4).
func (f *fit) principal(y *mat.Dense) (*mat.Dense, []float64) {
	k := min(f.Rank+spare, f.n, f.Channels)
	rng := rand.New(rand.NewPCG(f.Seed, 1))
	q := mat.NewDense(f.Channels, k, nil)
	for c := range f.Channels {
		for j := range k {
			q.Set(c, j, rng.NormFloat64())
		}
	}
	var z, next mat.Dense
	for range sweeps {
		z.Mul(y, q)
		next.Mul(y.T(), &z)
		q.Copy(orthonormal(&next))
	}
	z.Mul(y, q)
	var s mat.SymDense
	s.SymOuterK(1/float64(f.n-1), z.T())
	v, values, err := eigen(&s)
	if err != nil { // of finite numbers it does not happen; then none is principal
		return mat.NewDense(f.Channels, f.Rank, nil), make([]float64, f.Rank)
	}
	u := mat.NewDense(f.Channels, f.Rank, nil)
	u.Mul(q, v.Slice(0, k, k-f.Rank, k))
	top := values[k-f.Rank:]
	for i := range top {
		top[i] = max(top[i], 0)
	}
	return u, top
}

// orthonormal returns an orthonormal basis of m's columns, by Gram and Schmidt
// twice; columns that depend on others become zero.
func orthonormal(m *mat.Dense) *mat.Dense {
	t := mat.DenseCopyOf(m.T())
	rows, _ := t.Dims()
	for i := range rows {
		row := t.RawRowView(i)
		before := math.Sqrt(dot(row, row))
		for range 2 {
			for j := range i {
				other := t.RawRowView(j)
				d := dot(row, other)
				for c := range row {
					row[c] -= d * other[c]
				}
			}
		}
		norm := math.Sqrt(dot(row, row))
		scale := 0.
		if norm > 1e-10*before && norm > 0 {
			scale = 1 / norm
		}
		for c := range row {
			row[c] *= scale
		}
	}
	return mat.DenseCopyOf(t.T())
}

func dot(a, b []float64) float64 {
	sum := 0.
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// nearest chooses the coreset and scales its distance.
func (f *fit) nearest(ctx context.Context, m *Model) error {
	rng := rand.New(rand.NewPCG(f.Seed, 2))
	order := rng.Perm(f.n * f.Places) // features of image i/Places at place i%Places
	candidates := order[:min(pool, len(order))]
	row := func(at int, dst []float64) {
		x := f.x[at/f.Places][at%f.Places*f.Channels:]
		for c := range dst {
			dst[c] = float64(x[c])
		}
	}
	// The components are those of the largest variance over all places, where the
	// common covariance is white.
	raw := mat.NewDense(len(candidates), f.Channels, nil)
	mean := make([]float64, f.Channels)
	for i, at := range candidates {
		row(at, raw.RawRowView(i))
		for c, v := range raw.RawRowView(i) {
			mean[c] += v / float64(len(candidates))
		}
	}
	for i := range candidates {
		r := raw.RawRowView(i)
		for c := range r {
			r[c] -= mean[c]
		}
	}
	w, _ := f.whitening(1)
	var white mat.Dense
	white.Mul(raw, w)
	var cov mat.SymDense
	cov.SymOuterK(1/float64(len(candidates)), white.T())
	v, _, err := eigen(&cov)
	if err != nil {
		return err
	}
	project := mat.NewDense(f.Channels, f.Dims, nil)
	project.Mul(w, v.Slice(0, f.Channels, f.Channels-f.Dims, f.Channels))
	wide := f.Dims + 1
	m.Project, m.Offset = make([]float32, f.Channels*wide), make([]float32, wide)
	for k := range f.Dims {
		offset := 0.
		for c := range f.Channels {
			m.Project[c*wide+k] = float32(project.At(c, k))
			offset -= mean[c] * project.At(c, k)
		}
		m.Offset[k] = float32(offset)
	}
	m.Offset[f.Dims] = 1

	components := func(sample []int) ([][]float32, error) {
		out := make([][]float32, len(sample))
		return out, spread(ctx, len(sample), func(i int) {
			x := make([]float64, f.Channels)
			row(sample[i], x)
			z := make([]float64, f.Dims)
			for c := range x {
				x[c] -= mean[c]
				for k, p := range project.RawRowView(c) {
					z[k] += x[c] * p
				}
			}
			out[i] = make([]float32, f.Dims)
			for k, v := range z {
				out[i][k] = float32(v)
			}
		})
	}
	z, err := components(candidates)
	if err != nil {
		return err
	}
	chosen, err := farthest(ctx, z, min(f.Coreset, len(z)))
	if err != nil {
		return err
	}
	// A column c of the coreset is for 2·z·c - |c|²; where there are fewer, they repeat.
	m.Coreset = make([]float32, wide*f.Coreset)
	for j := range f.Coreset {
		square := 0.
		for k, v := range z[chosen[j%len(chosen)]] {
			m.Coreset[k*f.Coreset+j] = 2 * v
			square += float64(v) * float64(v)
		}
		m.Coreset[f.Dims*f.Coreset+j] = float32(-square)
	}
	// Features drawn from all images, from the nearest of those of other images.
	sample := order[len(order)-min(probes, len(order)):]
	probe, err := components(sample)
	if err != nil {
		return err
	}
	distances := make([]float64, len(probe))
	if err := spread(ctx, len(probe), func(i int) {
		least := float32(math.MaxFloat32)
		for _, j := range chosen {
			if candidates[j]/f.Places != sample[i]/f.Places {
				least = min(least, squared(probe[i], z[j]))
			}
		}
		distances[i] = math.Sqrt(float64(least))
	}); err != nil {
		return err
	}
	var sum, square float64
	for _, d := range distances {
		sum += d
		square += d * d
	}
	m.Weights[1] = inverseDeviation(sum, square, float64(len(distances)))
	return nil
}

// farthest chooses k of the points z, each the farthest from those before it
// (Gonzalez, Clustering to minimize the maximum intercluster distance, 1985).
func farthest(ctx context.Context, z [][]float32, k int) ([]int, error) {
	least := make([]float32, len(z))
	for i := range least {
		least[i] = math.MaxFloat32
	}
	chosen := make([]int, 0, k)
	next := 0
	const block = 512
	blocks := (len(z) + block - 1) / block
	for {
		chosen = append(chosen, next)
		if len(chosen) == k {
			return chosen, nil
		}
		last := z[next]
		if err := spread(ctx, blocks, func(b int) {
			for i := b * block; i < min((b+1)*block, len(z)); i++ {
				least[i] = min(least[i], squared(last, z[i]))
			}
		}); err != nil {
			return nil, err
		}
		for i, d := range least {
			if d > least[next] {
				next = i
			}
		}
	}
}

// squared returns the squared distance of two points.
func squared(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		d0, d1, d2, d3 := a[i]-b[i], a[i+1]-b[i+1], a[i+2]-b[i+2], a[i+3]-b[i+3]
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
	}
	for ; i < len(a); i++ {
		d := a[i] - b[i]
		s0 += d * d
	}
	return s0 + s1 + s2 + s3
}

// spread calls work for 0 to n-1 from as many goroutines as there are CPUs,
// until ctx ends.
func spread(ctx context.Context, n int, work func(i int)) error {
	if parallel.Do(ctx, n, 0, func(i int) error { work(i); return nil }) != nil {
		return context.Cause(ctx)
	}
	return nil
}
