//go:build unix

package main

import (
	"os"
	goruntime "runtime"
	"syscall"
)

// peak is the most memory that a process had, in MB.
func peak(s *os.ProcessState) float64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if goruntime.GOOS == "darwin" {
		return float64(u.Maxrss) / 1e6 // bytes
	}
	return float64(u.Maxrss) * 1024 / 1e6
}

// used is how many seconds of all cores this process and those that it ended had.
func used() float64 {
	seconds := 0.
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			seconds += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
		}
	}
	return seconds
}
