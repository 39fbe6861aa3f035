//go:build (!amd64 && !arm64) || purego

package kernels

// instructionSets lists those that this processor has, the best first.
func instructionSets() []*isa { return []*isa{portable} }
