package commands

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/judge"
)

// printPerturbations prints a table of metrics, each with its distance from the first row's.
func printPerturbations(w io.Writer, p *judge.Perturbations) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	base := p.Results[0]
	head := "perturbation\tAUROC\t\t"
	if base.Pixel != nil {
		head += "pixels: AUROC\t\tAU-PRO .3\t\t"
	}
	if base.FalseRejects != nil {
		head += "false rejects\t\trecall\t\t"
	}
	fmt.Fprintln(t, head)
	for i, r := range p.Results {
		fmt.Fprintf(t, "%v\t", r.Perturbation)
		cell := func(v, from float64) {
			if i == 0 {
				fmt.Fprintf(t, "%.4f\t\t", v)
			} else {
				fmt.Fprintf(t, "%.4f\t%+.4f\t", v, v-from)
			}
		}
		cell(r.Image.AUROC, base.Image.AUROC)
		if base.Pixel != nil && r.Pixel != nil {
			cell(r.Pixel.AUROC, base.Pixel.AUROC)
			cell(r.Pixel.AUPRO30, base.Pixel.AUPRO30)
		}
		if base.FalseRejects != nil {
			cell(*r.FalseRejects, *base.FalseRejects)
			cell(*r.Recall, *base.Recall)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil || p.Threshold == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "false rejects and recall at the model's threshold %s\n", page.Short(*p.Threshold))
	return err
}
