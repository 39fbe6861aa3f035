package engine

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Missing is a shared library that a provider needs and the system does not find,
// as package runtime describes it.
type Missing struct {
	Library, Get string
	Pip          bool
}

// require checks that the place's library finds what the provider needs; what it
// does not is the place's problem.
func (p *Place) require(provider *Provider) {
	file := provider.fileOf(p.Path)
	if file == "" {
		return
	}
	names, err := preload(file, provider.besides)
	switch {
	case err != nil:
		p.Problem = err.Error()
	case len(names) > 0:
		p.Missing = missing(names)
		p.Problem = filepath.Base(file) + " needs " + strings.Join(names, ", ") + ": " + howToGet(p.Missing)
	}
}

// howToGet says how a person gets what is missing.
func howToGet(list []Missing) string {
	var pip, other []string
	for _, m := range list {
		get := &other
		if m.Pip {
			get = &pip
		}
		if !slices.Contains(*get, m.Get) {
			*get = append(*get, m.Get)
		}
	}
	var say []string
	if len(pip) > 0 {
		say = append(say, "python3 -m pip install "+strings.Join(pip, " "))
	}
	if len(other) > 0 {
		say = append(say, "install "+strings.Join(other, ", "))
	}
	return strings.Join(say, "; ")
}

// nvidia maps the names of NVIDIA's libraries to the Python packages that hold
// them. Those of CUDA before 13 end in -cu12; * stands for where all do.
var nvidia = map[string]string{
	"libcublas":   "nvidia-cublas",
	"libcublasLt": "nvidia-cublas",
	"libcudart":   "nvidia-cuda-runtime",
	"libcurand":   "nvidia-curand",
	"libcufft":    "nvidia-cufft",
	"libnvrtc":    "nvidia-cuda-nvrtc",
	"libcudnn":    "nvidia-cudnn*",

	"libnvinfer":        "tensorrt*-libs",
	"libnvinfer_plugin": "tensorrt*-libs",
	"libnvonnxparser":   "tensorrt*-libs",
}

var soname = regexp.MustCompile(`^(lib\w+)\.so\.(\d+)$`)

// missing says what libraries come with.
func missing(names []string) []Missing {
	cuda := "13"
	for _, name := range names {
		if m := soname.FindStringSubmatch(name); m != nil && (m[1] == "libcudart" || m[1] == "libcublas") {
			cuda = m[2]
		}
	}
	var list []Missing
	for _, name := range names {
		m := soname.FindStringSubmatch(name)
		switch {
		case m != nil && m[1] == "libcuda":
			list = append(list, Missing{name, "NVIDIA's driver (in a container: start it with the GPU)", false})
		case m != nil && nvidia[m[1]] != "":
			pkg := nvidia[m[1]]
			if before, after, ok := strings.Cut(pkg, "*"); ok {
				pkg = before + "-cu" + cuda + after
			} else if cuda != "13" {
				pkg += "-cu" + cuda
			}
			list = append(list, Missing{name, fmt.Sprintf("%s~=%s.0", pkg, m[2]), true})
		default:
			list = append(list, Missing{name, "the system's package with " + name, false})
		}
	}
	return list
}
