package label

// Components labels the 8-connected components of mask (row-major,
// height*width): labels[i] is 0 where mask[i] is false, else the component's
// number, 1 to n in the order in which a row-major scan first meets them.
// 8-connected is MVTec's rule, scipy.ndimage.label with a structure of 3x3 ones.
//
// It is the two-pass algorithm with union-find (Rosenfeld and Pfaltz, 1966).
func Components(mask []bool, height, width int) (labels []int32, n int) {
	labels = make([]int32, height*width)
	parent := []int32{0} // parent[k] <= k, so that a root is its component's first label

	find := func(k int32) int32 {
		for parent[k] != k {
			parent[k] = parent[parent[k]]
			k = parent[k]
		}
		return k
	}

	for y := range height {
		for x := range width {
			i := y*width + x
			if !mask[i] {
				continue
			}
			var root int32
			join := func(neighbour int32) {
				if neighbour == 0 {
					return
				}
				r := find(neighbour)
				switch {
				case root == 0:
					root = r
				case r < root:
					parent[root], root = r, r
				default:
					parent[r] = root
				}
			}
			if x > 0 {
				join(labels[i-1])
			}
			if y > 0 {
				above := i - width
				join(labels[above])
				if x > 0 {
					join(labels[above-1])
				}
				if x < width-1 {
					join(labels[above+1])
				}
			}
			if root == 0 {
				root = int32(len(parent))
				parent = append(parent, root)
			}
			labels[i] = root
		}
	}

	// Roots precede their children, so one ascending pass numbers them all.
	final := make([]int32, len(parent))
	for k := 1; k < len(parent); k++ {
		if parent[k] == int32(k) {
			n++
			final[k] = int32(n)
		} else {
			final[k] = final[parent[k]]
		}
	}
	for i, k := range labels {
		labels[i] = final[k]
	}
	return labels, n
}
