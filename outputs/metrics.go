package outputs

import "github.com/prometheus/client_golang/prometheus"

var (
	labels          = []string{"output"}
	waitingMetric   = prometheus.NewDesc("anomaly_output_waiting", "Messages in an output's spool.", labels, nil)
	deliveredMetric = prometheus.NewDesc("anomaly_output_delivered_total", "Messages that the other side has.", labels, nil)
	droppedMetric   = prometheus.NewDesc("anomaly_output_dropped_total", "Messages that were dropped: for want of room, half written, or refused.", labels, nil)
	failuresMetric  = prometheus.NewDesc("anomaly_output_failures_total", "Deliveries that failed and are tried again.", labels, nil)
	awayMetric      = prometheus.NewDesc("anomaly_output_away", "1 where the last delivery failed.", labels, nil)
)

// Describe implements [prometheus.Collector].
func (o *Outputs) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{waitingMetric, deliveredMetric, droppedMetric, failuresMetric, awayMetric} {
		c <- d
	}
}

// Collect implements [prometheus.Collector].
func (o *Outputs) Collect(c chan<- prometheus.Metric) {
	for _, s := range o.Stats() {
		away := 0.
		if s.Away {
			away = 1
		}
		c <- prometheus.MustNewConstMetric(waitingMetric, prometheus.GaugeValue, float64(s.Waiting), s.Name)
		c <- prometheus.MustNewConstMetric(deliveredMetric, prometheus.CounterValue, float64(s.Delivered), s.Name)
		c <- prometheus.MustNewConstMetric(droppedMetric, prometheus.CounterValue, float64(s.Dropped), s.Name)
		c <- prometheus.MustNewConstMetric(failuresMetric, prometheus.CounterValue, float64(s.Failures), s.Name)
		c <- prometheus.MustNewConstMetric(awayMetric, prometheus.GaugeValue, away, s.Name)
	}
}
