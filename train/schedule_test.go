package train

import (
	"math"
	"testing"
)

func TestSchedules(t *testing.T) {
	const tolerance = 1e-12 // a few roundings
	for _, c := range []struct {
		schedule    Schedule
		step, steps int
		want        float64 // of a peak of 1
	}{
		{ScheduleTrapezoid, 0, 1000, 1},
		{ScheduleTrapezoid, 799, 1000, 1},
		{ScheduleTrapezoid, 900, 1000, .5},
		{ScheduleTrapezoid, 980, 1000, .1},
		{ScheduleTrapezoid, 999, 1000, .02},
		{ScheduleTrapezoid, 0, 1, 1},
		{ScheduleConstant, 0, 1000, 1},
		{ScheduleConstant, 999, 1000, 1},
		{ScheduleCosine, 0, 1000, 1},
		{ScheduleCosine, 250, 1000, .5 + math.Sqrt2/4},
		{ScheduleCosine, 500, 1000, .5},
		{ScheduleCosine, 0, 1, 1},
		// torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=1000).
		{ScheduleOneCycle, 0, 1000, .04},
		{ScheduleOneCycle, 299, 1000, 1},
		{ScheduleOneCycle, 999, 1000, 4e-6},
		{ScheduleOneCycle, 649, 1000, (1 + 4e-6) / 2},
		{ScheduleOneCycle, 0, 1, .04},
		{ScheduleOneCycle, 1, 2, 1},
		{ScheduleOneCycle, 2, 3, 4e-6},
	} {
		if got := c.schedule.rate(1, c.step, c.steps); !(math.Abs(got-c.want) <= tolerance) {
			t.Errorf("%s, step %d of %d: got %v, want %v", c.schedule, c.step, c.steps, got, c.want)
		}
	}
	for _, s := range Schedules() {
		for _, steps := range []int{1, 2, 3, 4, 7, 50} {
			for step := range steps {
				if got := s.rate(.5, step, steps); !(got > 0 && got <= .5) {
					t.Errorf("%s, step %d of %d: got %v, want a number above 0 up to the peak .5", s, step, steps, got)
				}
			}
		}
	}
}
