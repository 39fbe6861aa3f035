package heatmap

import (
	"cmp"
	"slices"
)

// Peak returns the highest level that area connected pixels (8 neighbours) reach
// together: Peak(a) is above t, strictly, exactly if a region of the map above t
// has a pixels or more. It is the maximum of the map's area opening (Vincent,
// Morphological area openings and closings for grey-scale images, 1993). Peak(1)
// is Max; an area beyond the map's is the whole map. The map must not hold NaN.
func (m *Map) Peak(area int) float32 {
	if area <= 1 || len(m.Data) == 0 {
		return m.Max()
	}
	area = min(area, len(m.Data))
	order := make([]int32, len(m.Data))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(m.Data[b], m.Data[a]) })

	// Pixels are flooded from the highest down; a flooded pixel's parent leads to
	// its region's root, which knows the region's size.
	parent, size := make([]int32, len(m.Data)), make([]int, len(m.Data))
	find := func(i int32) int32 {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for _, i := range order {
		parent[i], size[i] = i, 1
		y, x := int(i)/m.Width, int(i)%m.Width
		for ny := max(y-1, 0); ny <= min(y+1, m.Height-1); ny++ {
			for nx := max(x-1, 0); nx <= min(x+1, m.Width-1); nx++ {
				neighbour := int32(ny*m.Width + nx)
				if size[neighbour] == 0 { // not flooded
					continue
				}
				a, b := find(i), find(neighbour)
				if a == b {
					continue
				}
				if size[a] < size[b] {
					a, b = b, a
				}
				parent[b] = a
				size[a] += size[b]
			}
		}
		if size[find(i)] >= area {
			return m.Data[i]
		}
	}
	return m.Data[order[len(order)-1]]
}
