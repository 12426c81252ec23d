package sim

import (
	"testing"
	"time"
)

func TestStepTimesAreThoseOfAnA100(t *testing.T) {
	for _, c := range []struct {
		name                      string
		prefill, decodes, context int
		least, most               time.Duration
	}{
		{"nothing to do takes no time", 0, 0, 0, 0, 0},
		// 75 tokens/s on 1,555 GB/s, scaled to 2,039 GB/s: 98 tokens/s.
		{"one sequence decodes at about 98 tokens/s", 0, 1, 100, 10 * time.Millisecond, 10500 * time.Microsecond},
		{"64 sequences cost little more than one", 0, 64, 64 * 500, 10500 * time.Microsecond, 15 * time.Millisecond},
		{"a full cache is mostly reading it", 0, 256, 451088, 45 * time.Millisecond, 60 * time.Millisecond},
		{"2048 prompt tokens at 55 % of 312 TFLOPS", 2048, 0, 2048, 185 * time.Millisecond, 200 * time.Millisecond},
		{"a short prompt is as fast as a decode", 32, 0, 32, 10 * time.Millisecond, 10500 * time.Microsecond},
	} {
		if d := defaultStepTimes().Step(c.prefill, c.decodes, c.context); d < c.least || d > c.most {
			t.Errorf("%s: %v, want %v to %v", c.name, d, c.least, c.most)
		}
	}
}

func FuzzMoreWorkNeverTakesLess(f *testing.F) {
	f.Add(uint16(100), uint8(3), uint32(1000))
	m := defaultStepTimes()
	f.Fuzz(func(t *testing.T, prefill uint16, decodes uint8, context uint32) {
		p, d, c := int(prefill), int(decodes), int(context%500000)
		base := m.Step(p, d, c)
		if base < 0 || m.Step(p+1, d, c) < base || m.Step(p, d+1, c) < base || m.Step(p, d, c+1) < base {
			t.Errorf("StepTime(%d, %d, %d) = %v is above a larger step's", p, d, c, base)
		}
	})
}
