package page

import (
	"fmt"
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
)

func TestReportGrows(t *testing.T) {
	r := &Report{grows: true}
	yes, no := true, false
	for i := range mostRows + 3 {
		verdict := &no
		if i%2 == 0 {
			verdict = &yes
		}
		r.Add(&judge.Finding{Sample: &dataset.Sample{Name: fmt.Sprint(i)}, Anomalous: verdict})
	}
	r.Add(&judge.Finding{Sample: &dataset.Sample{Name: "5"}, Anomalous: &yes}) // good before
	r.trim()
	if len(r.Rows) != mostRows || r.Good+r.Anomalous != mostRows || r.Good != mostRows/2-1 || r.Rows[mostRows-1].Name != "5" || r.Rows[0].Name != "3" {
		t.Errorf("got %d rows from %s to %s, %d good and %d anomalous", len(r.Rows), r.Rows[0].Name, r.Rows[len(r.Rows)-1].Name, r.Good, r.Anomalous)
	}
}
