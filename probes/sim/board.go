package sim

import (
	"math"
	"time"
)

// activity is what a stretch of time asked of a GPU.
type activity struct {
	busy            bool
	memory, compute float64 // shares of the time that the memory and the tensor cores worked, 0 to 1
	tokens          float64 // per second
}

// Limits and levels of an A100-SXM4-80GB. Power and clocks are NVIDIA's: 400 W, 1,410 MHz boost, 210 MHz at rest, 1,593 MHz
// memory; temperature limits as nvidia-smi -q prints them for this card.
const (
	boardIdleWatts  = 62.0
	boardBusyWatts  = 92.0 // clocks up, nothing running
	boardLimitWatts = 400.0
	smMaxMHz        = 1410.0
	smIdleMHz       = 210.0
	memMHz          = 1593.0

	slowdownTemp  = 89.0
	shutdownTemp  = 92.0
	maxGPUTemp    = 85.0
	maxMemoryTemp = 95.0

	// hotTemp is where a card without enough air stays: above maxGPUTemp the driver lowers the clocks until it does.
	hotTemp = 86.6
)

// board is the physics of one GPU: power follows the work at once, temperature follows power slowly, clocks give way where
// the power limit is reached. It moves only by advance.
type board struct {
	inlet float64 // °C of the air, different by slot

	watts        float64 // of the last stretch
	load         activity
	clock        float64
	temp, memory float64 // °C
	joules       float64
	since        time.Duration // with nothing to do
	capped, idle time.Duration
	isCapped     bool

	// What faults do to it.
	lost           int           // how many faults took it off the bus
	limit          float64       // W, that in force
	heldTo         float64       // MHz that heat leaves; 0: all
	hot            time.Duration // for how long heat held it down
	single, double int           // memory errors since the driver was loaded
	remapped       int
	remapFailed    bool
	xids           []int // not collected yet

	// Moving averages over about a second.
	busyShare, memShare float64
	rx, tx              float64 // bytes/s over PCIe
}

func newBoard(slot int) *board {
	inlet := 27 + 1.5*float64(slot%4) + 0.5*float64(slot/4)
	return &board{limit: boardLimitWatts, inlet: inlet, temp: inlet + 6, memory: inlet + 8, clock: smIdleMHz, watts: boardIdleWatts, since: time.Hour}
}

// demand is what the card would draw at full clocks. The weights are set so that pure decoding (memory busy, tensor cores
// a little) draws about 300 W and prefill beside it runs into the limit, as on real A100s.
func demand(a activity) float64 {
	if !a.busy {
		return boardIdleWatts
	}
	return boardBusyWatts + 150*a.memory + 265*a.compute
}

func (b *board) advance(d time.Duration, a activity) {
	if d <= 0 {
		return
	}
	dt := d.Seconds()
	want := demand(a)
	if b.heldTo > 0 && a.busy {
		want = boardBusyWatts + (want-boardBusyWatts)*cube(b.heldTo/smMaxMHz)
	}
	b.watts = min(want, b.limit)
	b.isCapped = want > b.limit
	switch {
	case b.heldTo > 0 && a.busy:
		b.clock, b.since = min(b.heldTo, b.cappedClock(want)), 0
	case b.isCapped:
		b.capped += d
		// Dynamic power goes with about the cube of the clock: voltage falls with it.
		b.clock = b.cappedClock(want)
		b.since = 0
	case a.busy:
		b.clock, b.since = smMaxMHz, 0
	default:
		b.since += d
		// The clocks stay up for a few seconds after the last kernel, and so does the draw.
		if b.since > 5*time.Second {
			b.clock = smIdleMHz
			b.idle += min(d, b.since-5*time.Second)
		} else {
			b.watts += 25
		}
	}
	b.joules += b.watts * dt

	if b.heldTo > 0 {
		// The air does not come: the chip gets to where the driver holds it by its clocks.
		b.temp += (hotTemp - b.temp) * (1 - math.Exp(-dt/4))
		b.hot += d
	} else {
		b.temp += (b.inlet + 4 + 0.088*b.watts - b.temp) * (1 - math.Exp(-dt/22))
	}
	b.memory += (b.temp + 4 + 9*a.memory - b.memory) * (1 - math.Exp(-dt/30))

	share := 1 - math.Exp(-dt/0.7)
	target := 0.0
	if a.busy {
		target = 1
	}
	b.busyShare += (target - b.busyShare) * share
	b.memShare += (a.memory - b.memShare) * share
	// Token ids in, sampled ids and log-probabilities out, and the launches: small.
	b.rx += (3e5*target + 600*a.tokens - b.rx) * share
	b.tx += (1e5*target + 40*a.tokens - b.tx) * share
	b.load = a
}

func cube(x float64) float64 { return x * x * x }

// cappedClock is the clock at which a card draws no more than its limit. Down to a third of the highest the driver goes.
func (b *board) cappedClock(want float64) float64 {
	if want <= b.limit {
		return smMaxMHz
	}
	lowest := 0.75
	if b.limit < boardLimitWatts {
		lowest = 0.34
	}
	return smMaxMHz * max(lowest, math.Cbrt((b.limit-boardBusyWatts)/(want-boardBusyWatts)))
}

// held is how many times slower than usual the chip runs because of faults: heat, or a limit below the board's own. What the
// board's own limit costs is in the published step times already.
func (b *board) held(a activity) float64 {
	clock := smMaxMHz
	if b.limit < boardLimitWatts {
		clock = b.cappedClock(demand(a))
		own := board{limit: boardLimitWatts}
		clock *= smMaxMHz / own.cappedClock(demand(a))
	}
	if b.heldTo > 0 {
		clock = min(clock, b.heldTo)
	}
	return max(1, smMaxMHz/clock)
}

func (b *board) began(f *Fault) {
	switch f.Kind {
	case Thermal:
		b.heldTo = f.MHz
	case PowerLimit:
		b.limit = f.Watts
	case XID:
		b.xids = append(b.xids, f.Code)
	case GPULost:
		b.lost++
		b.xids = append(b.xids, 79)
	case ECC:
		if !f.Double {
			b.single += f.Count
			return
		}
		b.double += f.Count
		b.xids = append(b.xids, 94)
		if f.Failed {
			b.remapFailed = true
			b.xids = append(b.xids, 64)
			return
		}
		b.remapped += f.Count
		b.xids = append(b.xids, 63)
	}
}

func (b *board) ended(f *Fault, active []*Fault) {
	switch f.Kind {
	case GPULost:
		b.lost--
	case Thermal, PowerLimit:
		b.heldTo, b.limit = 0, boardLimitWatts
		for _, g := range active { // another of the kind may still be in force
			if g.Kind == Thermal || g.Kind == PowerLimit {
				b.began(g)
			}
		}
	}
}
