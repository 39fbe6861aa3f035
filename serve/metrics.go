package serve

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are those of one server, in a registry of their own. Names of models are
// labels only where there is such a model.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	images   *prometheus.HistogramVec
	batches  *prometheus.HistogramVec
	margins  *prometheus.HistogramVec
	verdicts *prometheus.CounterVec
	windows  *prometheus.CounterVec
}

func newMetrics(s *Server) *metrics {
	seconds := prometheus.ExponentialBuckets(.0005, 2, 16) // 0.5 ms to 16 s
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anomaly_requests_total", Help: "Requests that were answered.",
		}, []string{"route", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "anomaly_request_seconds", Help: "From a request's head to its answer.", Buckets: seconds,
		}, []string{"route"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "anomaly_stage_seconds", Help: "What requests with images spend their time with: read, queue, decode, detect.", Buckets: seconds,
		}, []string{"model", "stage"}),
		images: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "anomaly_request_images", Help: "Images of a request.", Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}, []string{"model"}),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "anomaly_batch_images", Help: "Images, or tiles of them, that were computed at once, of one request or several.", Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}, []string{"model"}),
		margins: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "anomaly_score_ratio", Help: "Scores as multiples of the threshold, where that is above 0.",
			Buckets: []float64{.1, .25, .5, .6, .7, .8, .9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10},
		}, []string{"model"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anomaly_images_total", Help: "Images by verdict: anomalous, good, review, none, or failed.",
		}, []string{"model", "verdict"}),
		windows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "anomaly_drift_windows_total", Help: "Windows of images that were compared with the training images.",
		}, []string{"model", "quantity", "drifted"}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(m.requests, m.latency, m.stages, m.images, m.batches, m.margins, m.verdicts, m.windows,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("anomaly_requests_running", "Requests that are decoded or computed.", func() float64 {
			running, _ := s.admission.counts()
			return float64(running)
		}),
		gauge("anomaly_requests_waiting", "Requests that have a place and wait.", func() float64 {
			_, waiting := s.admission.counts()
			return float64(waiting)
		}),
		gauge("anomaly_ready", "1 where every model can be used and the server does not drain.", func() float64 {
			if s.ready() {
				return 1
			}
			return 0
		}),
		&modelCollector{s})
	m.registry.MustRegister(s.options.Collectors...)
	return m
}

// stage notes the time that a stage of a request has taken.
func (m *metrics) stage(model, stage string, began time.Time) {
	m.stages.WithLabelValues(model, stage).Observe(time.Since(began).Seconds())
}

// found notes what was found in a request's images.
func (m *metrics) found(model string, pics []*picture) {
	m.images.WithLabelValues(model).Observe(float64(len(pics)))
	for _, p := range pics {
		verdict := "failed"
		if p.err == nil {
			verdict = word(&p.result)
			if t := p.result.Threshold; t != nil && *t > 0 {
				m.margins.WithLabelValues(model).Observe(float64(p.result.Score) / float64(*t))
			}
		}
		m.verdicts.WithLabelValues(model, verdict).Inc()
	}
}

// modelCollector says of each model which version is in use.
type modelCollector struct{ server *Server }

var modelInfo = prometheus.NewDesc("anomaly_model_info", "Models in use: 1.", []string{"model", "version", "hash", "provider"}, nil)

func (c *modelCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{modelInfo, driftDistance, driftLimit, driftAlarm} {
		descs <- d
	}
}

func (c *modelCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, m := range c.server.repository.list() {
		if l := m.state().current; l != nil {
			collectDrift(metrics, m.name, l)
			metrics <- prometheus.MustNewConstMetric(modelInfo, prometheus.GaugeValue, 1, m.name, l.name, l.info.Hash, string(l.info.Provider))
		}
	}
}
