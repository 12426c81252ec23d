package staged

import (
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// Quiet is the busy session's host when nobody asks for anything: the engine is ready and idle, the GPU holds its memory,
// and only what moves on an idle host moves: watts, clocks, the CPU.
func Quiet(now time.Time, gpus int) *Session {
	s := Busy(now, gpus)
	for i, a := range s.Answers {
		at := a.At
		switch {
		case strings.HasPrefix(a.Key, "engine:"):
			s.Answers[i].At = func(float64) promql.Vector {
				v := at(0)
				for j := range v {
					v[j].F = 0
				}
				if strings.HasSuffix(a.Key, "_mean") || strings.HasSuffix(a.Key, "ratio") {
					return nil // a mean of nothing
				}
				return v
			}
		case strings.Contains(a.Key, "DCGM"):
			s.Answers[i].At = func(t float64) promql.Vector {
				v := at(0)
				for j := range v {
					name := v[j].Metric.Get("__name__") + a.Key
					switch {
					case strings.Contains(name, "POWER_USAGE"):
						v[j].F = 61 + math.Round(2*wave(t, 37, 0))
					case strings.Contains(name, "GPU_UTIL"), strings.Contains(name, "COPY_UTIL"):
						v[j].F = 0
					case strings.Contains(name, "GPU_TEMP"):
						v[j].F = 33 + math.Round(wave(t, 300, 0))
					}
				}
				return v
			}
		}
	}
	return s
}
