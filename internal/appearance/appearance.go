package appearance

// Measure returns the mean of an image, uint8 [h,w,c], and the mean absolute value of
// its discrete Laplacian (4 neighbours), both over their largest value: in [0,1].
func Measure(img []uint8, h, w, c int) (brightness, sharpness float64) {
	sum, edges := 0, 0
	for _, p := range img {
		sum += int(p)
	}
	row := w * c
	for y := 1; y < h-1; y++ {
		for i := y*row + c; i < (y+1)*row-c; i++ {
			d := 4*int(img[i]) - int(img[i-c]) - int(img[i+c]) - int(img[i-row]) - int(img[i+row])
			edges += max(d, -d)
		}
	}
	inner := max(1, (h-2)*(w-2)*c)
	return float64(sum) / float64(255*len(img)), float64(edges) / float64(4*255*inner)
}
