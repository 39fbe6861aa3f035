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
	return decided(ShareAbove(threshold, good), ShareAbove(threshold, anomalous))
}

// DecideOf is [Decide] of verdicts that were counted: so many of the good images
// are rejected, so many of the anomalous ones found.
func DecideOf(rejected, good, found, anomalous int) *Decided {
	return decided(ShareOf(rejected, good), ShareOf(found, anomalous))
}

func decided(falseReject, recall Share) *Decided {
	d := &Decided{FalseReject: falseReject, Recall: recall}
	found, above := float64(recall.Above), float64(recall.Above+falseReject.Above)
	if above > 0 {
		precision := found / above
		d.Precision = &precision
	}
	d.F1 = 2 * found / (above + float64(recall.Of))
	return d
}
