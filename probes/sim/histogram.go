package sim

// The bucket edges of vLLM 0.32.0, as its /metrics page shows them.
var (
	ttftEdges      = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	tokenTimeEdges = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	requestEdges   = []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	iterationEdges = []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}
	countEdges     = []float64{1, 2, 5, 10, 20}
	preemptEdges   = []float64{1, 2, 3, 4, 5, 10, 20}
	handlerEdges   = []float64{.1, .5, 1}
	highrEdges     = []float64{.01, .025, .05, .075, .1, .25, .5, .75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60}
	sleepEdges     = []float64{.01, .1, 1, 10, 30, 60, 120, 300, 600}
)

// lengthEdges are vLLM's 1-2-5 decades up to the model's length.
func lengthEdges(maxModelLen int) []float64 {
	var out []float64
	for decade := 1; ; decade *= 10 {
		for _, m := range []int{1, 2, 5} {
			if m*decade > maxModelLen {
				return out
			}
			out = append(out, float64(m*decade))
		}
	}
}

// histogram counts observations by bucket, not cumulated. Its zero value has no edges: all falls into +Inf.
type histogram struct {
	edges  []float64
	counts []uint64 // one more than edges: the last is +Inf
	sum    float64
	n      uint64
}

func newHistogram(edges []float64) histogram {
	return histogram{edges: edges, counts: make([]uint64, len(edges)+1)}
}

func (h *histogram) observe(v float64) {
	i := 0
	// Most values fall low, and the lists are short: a walk beats a binary search.
	for i < len(h.edges) && v > h.edges[i] {
		i++
	}
	h.counts[i]++
	h.sum += v
	h.n++
}
