package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc.
const tick = 10 * time.Millisecond

// processor returns how much processor time a process and those below it have used so
// far, 0 where the system does not say. Where other work takes the cores too, it is what
// can be compared.
func processor(pid int) time.Duration {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	parents, used := map[int]int{}, map[int]time.Duration{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, found := strings.Cut(string(b), ") ") // behind its name: state, parent, …
		f := strings.Fields(rest)
		of, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if !found || err != nil || len(f) < 13 {
			continue
		}
		var numbers [3]int
		for i, at := range []int{1, 11, 12} {
			if numbers[i], err = strconv.Atoi(f[at]); err != nil {
				break
			}
		}
		parents[of], used[of] = numbers[0], time.Duration(numbers[1]+numbers[2])*tick
	}
	sum := time.Duration(0)
	for p, t := range used {
		for above := p; above > 1; above = parents[above] {
			if above == pid {
				sum += t
				break
			}
		}
	}
	return sum
}

// each is processor time by images, in words.
func each(used time.Duration, images int) string {
	if used <= 0 || images == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f ms", float64(used)/float64(time.Millisecond)/float64(images))
}
