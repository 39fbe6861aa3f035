package onnxexport_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

func ExampleWrite() {
	net, err := models.Open(models.Spec{Height: 64, Channels: 1}, nil)
	if err != nil {
		log.Fatal(err)
	}
	weights := net.Init(1) // of package train, in earnest
	var file bytes.Buffer
	if err := onnxexport.Write(&file, net, weights, &onnxexport.Options{Threshold: .5}); err != nil {
		log.Fatal(err)
	}

	m, err := onnxexport.Reopen(file.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range append(m.Graph.Inputs(), m.Graph.Outputs()...) {
		fmt.Println(v.Name(), v.Type)
	}
	fmt.Println("threshold", m.Metadata["anomaly.threshold"])
	// Output:
	// input uint8[N,64,64,1]
	// anomaly_map float32[N,1,64,64]
	// pred_score float32[N]
	// pred_label bool[N]
	// pred_mask bool[N,1,64,64]
	// reconstruction float32[N,1,64,64]
	// threshold 0.5
}
