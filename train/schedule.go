package train

// cooldown is the share of all steps, at the end, in which the learning rate falls.
const cooldown = 0.2

// learningRate returns the rate of step number step (from 0 on) of steps:
// constant, then a linear fall to a fiftieth of the peak (Hägele et al., Scaling
// laws and compute-optimal training beyond fixed training durations, NeurIPS
// 2024, section 3). With weights initialised to keep the size of signals there
// is nothing for a warm-up to do.
func learningRate(peak float64, step, steps int) float64 {
	const floor = 0.02
	fall := cooldown * float64(steps)
	return peak * max(floor, min(1, float64(steps-step)/fall))
}
