package train

import "math"

// A Schedule says how the learning rate goes from the first step to the last.
type Schedule string

const (
	// ScheduleTrapezoid is constant, then falls linearly to a fiftieth of the peak
	// over the last fifth of the steps (Hägele et al., Scaling laws and
	// compute-optimal training beyond fixed training durations, NeurIPS 2024,
	// section 3). With weights initialised to keep the size of signals there is
	// nothing for a warm-up to do.
	ScheduleTrapezoid Schedule = "trapezoid"
	// ScheduleConstant stays at the peak.
	ScheduleConstant Schedule = "constant"
	// ScheduleCosine falls from the peak to 0 along half a period of a cosine
	// (Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts,
	// ICLR 2017, equation 5, without restarts).
	ScheduleCosine Schedule = "cosine"
	// ScheduleOneCycle rises along a cosine from a 25th of the peak to the peak in
	// the first 30 % of the steps, then falls to a 250000th (Smith and Topin,
	// Super-convergence, 2018, with the constants of torch.optim's OneCycleLR). Momentum stays.
	ScheduleOneCycle Schedule = "onecycle"
)

// Schedules lists them.
func Schedules() []Schedule {
	return []Schedule{ScheduleTrapezoid, ScheduleConstant, ScheduleCosine, ScheduleOneCycle}
}

// rate returns the learning rate of step number step (from 0 on) of steps.
func (s Schedule) rate(peak float64, step, steps int) float64 {
	switch s {
	case ScheduleConstant:
		return peak
	case ScheduleCosine:
		return cosine(peak, 0, float64(step)/float64(steps))
	case ScheduleOneCycle:
		const start, end, warmup = 1. / 25, 1. / 25e4, .3
		top := max(1, warmup*float64(steps)-1) // step of the peak; the first one where steps are few
		if last := float64(steps - 1); float64(step) > top {
			return cosine(peak, peak*end, (float64(step)-top)/(last-top))
		}
		return cosine(peak*start, peak, float64(step)/top)
	default:
		return trapezoid(peak, step, steps)
	}
}

// cosine goes from a to b as x goes from 0 to 1, level at both ends.
func cosine(a, b, x float64) float64 { return b + (a-b)*(1+math.Cos(math.Pi*x))/2 }

func trapezoid(peak float64, step, steps int) float64 {
	const floor, cooldown = 0.02, 0.2
	fall := cooldown * float64(steps)
	return peak * max(floor, min(1, float64(steps-step)/fall))
}
