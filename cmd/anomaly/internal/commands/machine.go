package commands

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/klauspost/cpuid/v2"
	"github.com/pbnjay/memory"
)

// A machine is what decides how fast providers are, and which there can be.
type machine struct {
	CPU      string   `json:"cpu"`
	Cores    int      `json:"cores"`    // physical ones, 0 where the system does not say
	Features []string `json:"features"` // of the CPU, those that kernels of neural networks use
	Memory   uint64   `json:"memory"`   // bytes
	GPUs     []gpu    `json:"gpus"`     // NVIDIA's
	Driver   string   `json:"driver"`   // NVIDIA's, "" where there is none
}

type gpu struct {
	Name   string `json:"name"`
	Memory string `json:"memory,omitempty"`
}

// features are the instructions that matter: vectors, then products of int8 and
// of bfloat16, alone and in matrices.
var features = []struct {
	name string
	any  []cpuid.FeatureID
}{
	{"AVX2", []cpuid.FeatureID{cpuid.AVX2}},
	{"FMA", []cpuid.FeatureID{cpuid.FMA3}},
	{"AVX-512", []cpuid.FeatureID{cpuid.AVX512BW}},
	{"VNNI", []cpuid.FeatureID{cpuid.AVX512VNNI, cpuid.AVXVNNI}},
	{"AVX-512 BF16", []cpuid.FeatureID{cpuid.AVX512BF16}},
	{"AMX INT8", []cpuid.FeatureID{cpuid.AMXINT8}},
	{"AMX BF16", []cpuid.FeatureID{cpuid.AMXBF16}},
	{"NEON", []cpuid.FeatureID{cpuid.ASIMD}},
	{"dot product", []cpuid.FeatureID{cpuid.ASIMDDP}},
	{"SVE", []cpuid.FeatureID{cpuid.SVE}},
}

func thisMachine(ctx context.Context) machine {
	m := machine{CPU: strings.TrimSpace(cpuid.CPU.BrandName), Cores: cpuid.CPU.PhysicalCores, Features: []string{}, Memory: memory.TotalMemory(), GPUs: []gpu{}}
	for _, f := range features {
		if slices.ContainsFunc(f.any, func(id cpuid.FeatureID) bool { return cpuid.CPU.Has(id) }) {
			m.Features = append(m.Features, f.name)
		}
	}
	m.nvidia(ctx)
	return m
}

// computer says for people what a provider computes with here.
func computer(ctx context.Context, provider anrt.Provider) string {
	cpu := fmt.Sprintf("%s, %s", strings.TrimSpace(cpuid.CPU.BrandName), plural(goruntime.GOMAXPROCS(0), "core"))
	if !strings.Contains(string(provider), string(anrt.CUDA)) && !strings.Contains(string(provider), string(anrt.TensorRT)) {
		return cpu
	}
	m := thisMachine(ctx)
	return m.gpus() + ", " + cpu
}

// nvidia asks NVIDIA's tool, or what its driver says in /proc where that is missing.
func (m *machine) nvidia(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader").Output()
	if err == nil {
		r := csv.NewReader(strings.NewReader(string(out)))
		r.TrimLeadingSpace = true
		lines, _ := r.ReadAll()
		for _, line := range lines {
			if len(line) == 3 {
				m.GPUs, m.Driver = append(m.GPUs, gpu{line[0], line[1]}), line[2]
			}
		}
		return
	}
	infos, _ := filepath.Glob("/proc/driver/nvidia/gpus/*/information")
	for _, path := range infos {
		b, _ := os.ReadFile(path)
		if name, ok := after(string(b), "Model:"); ok {
			m.GPUs = append(m.GPUs, gpu{Name: name})
		}
	}
	if b, err := os.ReadFile("/proc/driver/nvidia/version"); err == nil {
		m.Driver, _ = after(string(b), "NVRM version:")
	}
}

// after returns the rest of the line that begins with a key.
func after(text, key string) (string, bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

func (m *machine) gpus() string {
	var list []string
	for _, g := range m.GPUs {
		list = append(list, strings.TrimSuffix(g.Name+", "+g.Memory, ", "))
	}
	switch {
	case m.Driver == "":
		return "no NVIDIA driver"
	case list == nil:
		return "none seen by NVIDIA's driver " + m.Driver
	}
	return fmt.Sprintf("%s (driver %s)", strings.Join(list, "; "), m.Driver)
}
