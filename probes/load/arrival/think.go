package arrival

import (
	"time"

	"pitwall/probes/load/seed"
	"pitwall/probes/load/shape"
)

// Think is how long a client of a closed loop waits after its n-th answer: the same for the same point, client and n, whatever
// else is drawn. Zero where nobody thinks.
func Think(p shape.Point, client, n uint32) time.Duration {
	l := p.Arrival.Think
	if l == nil || l.IsZero() {
		return 0
	}
	return time.Duration(l.Pick(seed.Rand(p.Seed, seed.Think, uint64(client)<<32|uint64(n))) * float64(time.Second))
}
