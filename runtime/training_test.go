package runtime

import (
	"errors"
	"reflect"
	"testing"
)

func TestReadTrainingScores(t *testing.T) {
	full := map[string]string{
		"anomaly.normal.count": "3", "anomaly.normal.quantiles": `{"levels":[0,1],"score":[1,2],"brightness":[0,1]}`,
		"anomaly.pseudo.scores": "[1.5,3]", "anomaly.pseudo.auroc": "0.75",
	}
	for _, c := range []struct {
		metadata map[string]string
		want     *TrainingScores // nil: an error
	}{
		{nil, &TrainingScores{}},
		{full, &TrainingScores{Good: 3, Levels: []float64{0, 1}, Quantiles: []float64{1, 2}, Pseudo: []float64{1.5, 3}, AUROC: .75}},
		{map[string]string{"anomaly.normal.quantiles": `{"levels":[0,1],"brightness":[0,1]}`}, &TrainingScores{}}, // forgotten by an export with another map
		{map[string]string{"anomaly.normal.quantiles": `{"levels":[0,1],"score":[1]}`}, nil},
		{map[string]string{"anomaly.pseudo.scores": "[2,1]"}, nil},
		{map[string]string{"anomaly.pseudo.scores": "[2,"}, nil},
		{map[string]string{"anomaly.pseudo.auroc": "2"}, nil},
		{map[string]string{"anomaly.normal.count": "-1"}, nil},
	} {
		got, err := ReadTrainingScores(c.metadata)
		if c.want == nil && !errors.Is(err, ErrModel) || c.want != nil && (err != nil || !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%v: got %+v, %v, want %+v", c.metadata, got, err, c.want)
		}
	}
}
