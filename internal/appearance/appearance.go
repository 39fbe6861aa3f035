package appearance

// Measure returns the mean of an image, uint8 [h,w,c], and the mean absolute value of
// its discrete Laplacian (4 neighbours), both over their largest value: in [0,1].
func Measure(img []uint8, h, w, c int) (brightness, sharpness float64) {
	edges, row := 0, w*c
	for y := 1; y < h-1 && w > 2; y++ {
		from, to := y*row+c, (y+1)*row-c
		edges += laplacian(img[from:to], img[from-c:to-c], img[from+c:to+c], img[from-row:to-row], img[from+row:to+row])
	}
	inner := max(1, (h-2)*(w-2)*c)
	return float64(total(img)) / float64(255*len(img)), float64(edges) / float64(4*255*inner)
}

// What blocks of so many bytes, one or more, come to; nil where there is nothing better than Go.
var (
	totalBlocks     func(x *byte, blocks int) int
	laplacianBlocks func(x, a, b, c, d *byte, blocks int) int
)

const (
	totalSize     = 32
	laplacianSize = 16
)

// total returns the sum of bytes.
func total(x []uint8) int {
	sum := 0
	if n := len(x) / totalSize; n > 0 && totalBlocks != nil {
		sum = totalBlocks(&x[0], n)
		x = x[n*totalSize:]
	}
	for _, v := range x {
		sum += int(v)
	}
	return sum
}

// laplacian returns the sum of |4·x − a − b − c − d|, of slices of one length, a row of an image.
func laplacian(x, a, b, c, d []uint8) int {
	sum, done := 0, 0
	if n := len(x) / laplacianSize; n > 0 && laplacianBlocks != nil {
		sum, done = laplacianBlocks(&x[0], &a[0], &b[0], &c[0], &d[0], n), n*laplacianSize
	}
	for i := done; i < len(x); i++ {
		diff := 4*int(x[i]) - int(a[i]) - int(b[i]) - int(c[i]) - int(d[i])
		sum += max(diff, -diff)
	}
	return sum
}
