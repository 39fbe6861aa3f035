package calibrate

// A Decided says what a threshold does to labelled images.
type Decided struct {
	FalseReject Share `json:"false_reject"` // of the good images
	Recall      Share `json:"recall"`       // of the anomalous images: those not above are missed
	// Precision is the share of anomalous images among all that are above, in
	// [0,1]; nil where none is. It depends on how many there are of each.
	Precision *float64 `json:"precision"`
	F1        float64  `json:"f1"`
}

// Decide counts what score > threshold says of one or more good images and one or
// more anomalous ones, all of them or those of one kind.
func Decide(threshold float32, good, anomalous []float64) *Decided {
	d := &Decided{FalseReject: ShareAbove(threshold, good), Recall: ShareAbove(threshold, anomalous)}
	found, above := float64(d.Recall.Above), float64(d.Recall.Above+d.FalseReject.Above)
	if above > 0 {
		precision := found / above
		d.Precision = &precision
	}
	d.F1 = 2 * found / (above + float64(d.Recall.Of))
	return d
}
