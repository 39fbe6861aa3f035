package ref

import "github.com/anomaly-go/anomaly/graph"

// depthToSpace and spaceToDepth visit the pixels of the larger image [N,C,H,W];
// deep is where each lies in the other, of C·b² channels.
func depthToSpace[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	s, b := in[0].Shape(), int(n.Int("blocksize", 1))
	shape := []int{s[0], s[1] / (b * b), s[2] * b, s[3] * b}
	x, y := graph.Data[E](in[0]), make([]E, in[0].Len())
	deep(shape, b, n.Text("mode", "DCR") == "CRD", func(wide, deep int) { y[wide] = x[deep] })
	return one(graph.NewTensor(y, shape...), nil)
}

func spaceToDepth[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	s, b := in[0].Shape(), int(n.Int("blocksize", 1))
	x, y := graph.Data[E](in[0]), make([]E, in[0].Len())
	deep(s, b, false, func(wide, deep int) { y[deep] = x[wide] })
	return one(graph.NewTensor(y, s[0], s[1]*b*b, s[2]/b, s[3]/b), nil)
}

// deep calls visit with the place of each pixel of an image, and that in the
// image of blocks: of channel (row·b+column)·C+c, or c·b²+row·b+column if the
// channel comes first.
func deep(image []int, b int, channelFirst bool, visit func(wide, deep int)) {
	wide := 0
	channels, h, w := image[1], image[2]/b, image[3]/b
	for n := range image[0] {
		for c := range channels {
			for y := range image[2] {
				for x := range image[3] {
					k := y%b*b + x%b
					channel := k*channels + c
					if channelFirst {
						channel = c*b*b + k
					}
					visit(wide, ((n*channels*b*b+channel)*h+y/b)*w+x/b)
					wide++
				}
			}
		}
	}
}
