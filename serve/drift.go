package serve

import (
	"strconv"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/prometheus/client_golang/prometheus"
)

// drifted counts a window of images and says where drift begins and ends.
func (j *job) drifted(r drift.Report) {
	m := j.model
	j.metrics.windows.WithLabelValues(m.name, r.Quantity, strconv.FormatBool(r.Drifted)).Inc()
	m.drifts.Note(&drift.Event{Report: r, ModelName: m.name, ModelHash: j.loaded.info.Hash}, j.log, "model", m.name, "version", j.loaded.name)
}

var (
	driftDistance = prometheus.NewDesc("anomaly_drift_distance", "Of the last window of images from the training images, in [0,1].", []string{"model", "quantity"}, nil)
	driftLimit    = prometheus.NewDesc("anomaly_drift_limit", "Of anomaly_drift_distance: what chance does not reach.", []string{"model", "quantity"}, nil)
	driftAlarm    = prometheus.NewDesc("anomaly_drift", "1 where the last window of images has drifted, else 0.", []string{"model", "quantity"}, nil)
)

// collectDrift says what the last windows of a model were like.
func collectDrift(metrics chan<- prometheus.Metric, name string, l *loaded) {
	for _, r := range l.drift.Last() {
		alarm := 0.
		if r.Drifted {
			alarm = 1
		}
		for desc, value := range map[*prometheus.Desc]float64{driftDistance: r.Distance, driftLimit: r.Limit, driftAlarm: alarm} {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, name, r.Quantity)
		}
	}
}
