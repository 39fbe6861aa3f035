package kernels

// What the benchmarks, which compare with package runtime, need of this one.
var (
	InstructionSets = instructionSets
	Network         = network
	DetectorFile    = detector
	ModelFor        = modelFor
	Pixels          = pixels
	Verdict         = verdict
)

// Name returns the name of an instruction set.
func (s *isa) Name() string { return s.name }

// On returns options for an instruction set.
func On(set *isa, threads int) *Options { return &Options{Threads: threads, isa: set} }
