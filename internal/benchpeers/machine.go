package main

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"time"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A moment is what the machine had done by then.
type moment struct {
	at          time.Time
	busy, all   float64 // seconds of all cores together; 0 where the system does not say
	loadAverage string
}

// load returns the moment that is now.
func load() moment {
	m := moment{at: time.Now()}
	b, _ := os.ReadFile("/proc/loadavg")
	m.loadAverage, _, _ = strings.Cut(string(b), " ")
	b, _ = os.ReadFile("/proc/stat")
	const ticks = 100 // a second
	var user, nice, system, idle, wait, irq, softirq, steal float64
	if n, _ := fmt.Sscanf(string(b), "cpu %f %f %f %f %f %f %f %f", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); n == 8 {
		m.busy = (user + nice + system + irq + softirq + steal) / ticks
		m.all = m.busy + (idle+wait)/ticks
	}
	return m
}

// conditions says what the machine is and how busy it was since before.
func conditions(before moment) string {
	now := load()
	s := fmt.Sprintf("%s, %s/%s, %d cores of %s, %s", now.at.Format(time.DateOnly), goruntime.GOOS, goruntime.GOARCH, cores(), processor(), goruntime.Version())
	if v := anrt.Diagnose(&anrt.SessionOptions{Provider: anrt.CPU}).Version; v != "" {
		s += ", ONNX Runtime " + v
	}
	s += fmt.Sprintf(", in %v", now.at.Sub(before.at).Round(time.Second))
	if before.loadAverage != "" {
		s += fmt.Sprintf("; load average %s before", before.loadAverage)
	}
	if all := now.all - before.all; all > 0 {
		s += fmt.Sprintf(", other work took %.0f %% of the cores meanwhile", 100*max(now.busy-before.busy-used(), 0)/all)
	}
	return s
}

// watchMemory returns a function that ends the watch over a process and returns the most memory that it had
// until then, in MB; 0 where the system does not say. What a process reports once it has ended is no use: on
// Linux that begins with the memory of the one that started it.
func watchMemory(pid int) (most func() float64) {
	stop, done := make(chan struct{}), make(chan float64)
	go func() {
		most := 0.
		for {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, rest, ok := strings.Cut(string(b), "VmHWM:"); ok {
				var kib float64
				if n, _ := fmt.Sscan(rest, &kib); n == 1 {
					most = max(most, kib*1024/1e6)
				}
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-stop:
				done <- most
				return
			}
		}
	}()
	return func() float64 { close(stop); return <-done }
}

// processor is the processor's name.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown processor"
}
