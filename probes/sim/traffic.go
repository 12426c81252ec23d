package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Traffic makes the requests that other people would send: chats that share a system prompt and come back with a longer
// history, questions over long documents, and answers with long reasoning. Arrivals are a Poisson process whose rate
// changes with the phase of the day: calm, busy, burst, long documents. Equal seeds give equal traffic for ever.
type Traffic struct {
	rng         *rand.Rand
	maxModelLen int
	at          time.Duration
	phase       phase
	ends        time.Duration
	opening     []phase
	serial      uint64
	seed        uint64
	systems     []int // tokens of each shared system prompt
	chats       []conversation
	blockSize   int
	until       time.Duration // when it ends; 0: never
}

// phase is a stretch of time with one arrival rate and one mix of requests.
type phase struct {
	name             string
	shortest, spread time.Duration
	rate             float64    // requests/s
	mix              [3]float64 // weights of chat, document, reasoning
}

var (
	calm      = phase{"calm", 30 * time.Second, 40 * time.Second, 0.7, [3]float64{8, 1, 1}}
	busy      = phase{"busy", 40 * time.Second, 50 * time.Second, 2.9, [3]float64{6, 2, 2}}
	burst     = phase{"burst", 3 * time.Second, 3 * time.Second, 16, [3]float64{5, 4, 1}}
	documents = phase{"documents", 25 * time.Second, 30 * time.Second, 1.8, [3]float64{1, 8, 1}}
)

// phases are drawn from with equal weight, never the same twice in a row; after a burst it is calm, so that the queue that
// it left can be seen to drain.
var phases = []phase{calm, busy, burst, documents}

type conversation struct {
	id     uint64
	system int
	tokens int
}

const rememberedChats = 48

// crowding is the name of the opening's burst, which lasts until more is asked of the KV cache than it holds.
const crowding = "crowding"

// crowded is the demand at which it ends, as a share of the cache.
const crowded = 1.25

// watch tells the traffic what share of the KV cache those that run and those that wait ask for, before it is asked for Next.
func (t *Traffic) watch(demand float64) {
	if t.phase.name == crowding && demand > crowded {
		t.ends = t.at // what comes next opens the next phase
	}
}

// NewTraffic makes traffic from a seed. For the time of warm it is busy, so that whoever looks then finds an engine at work;
// 5 s later comes a crowd that the cache cannot hold, and then it gets calm enough for the queue to drain: the first minute
// shows all of it.
func NewTraffic(seed uint64, warm time.Duration, maxModelLen int) *Traffic {
	t := &Traffic{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), maxModelLen: maxModelLen, seed: seed, blockSize: DefaultBlockSize}
	for range 6 {
		t.systems = append(t.systems, 250+t.rng.IntN(900))
	}
	fixed := func(p phase, length time.Duration, rate float64) phase {
		p.shortest, p.spread, p.rate = length, 0, rate
		return p
	}
	crowd := fixed(burst, 12*time.Second, 18)
	crowd.name = crowding
	t.opening = []phase{fixed(busy, warm+5*time.Second, 3), crowd, fixed(calm, 42*time.Second, 0.4)}
	t.enter()
	return t
}

// enter begins the next phase where the last one ended.
func (t *Traffic) enter() {
	if len(t.opening) > 0 {
		t.phase, t.opening = t.opening[0], t.opening[1:]
	} else {
		p := phases[t.rng.IntN(len(phases))]
		for p.name == t.phase.name {
			p = phases[t.rng.IntN(len(phases))]
		}
		if t.phase.name == burst.name {
			p = calm
		}
		t.phase = p
	}
	length := t.phase.shortest
	if t.phase.spread > 0 {
		length += time.Duration(t.rng.Int64N(int64(t.phase.spread)))
	}
	t.ends += length
}

// newForeign makes traffic of other people for a while, at a steady rate.
func newForeign(seed uint64, from, until time.Duration, rate float64, cfg Config) *Traffic {
	t := NewTraffic(seed, 0, cfg.MaxModelLen)
	t.at, t.ends, t.until, t.blockSize = from, until, until, cfg.BlockSize
	t.phase, t.opening = phase{"foreign", until - from, 0, rate, busy.mix}, nil
	return t
}

// source is traffic with its next arrival.
type source struct {
	*Traffic
	next *Request
}

func newSource(t *Traffic) *source { return &source{t, t.Next()} }

// take gives the next arrival and draws the one after it.
func (s *source) take(demand func() float64) *Request {
	r := s.next
	if s.phase.name == crowding {
		s.watch(demand())
	}
	s.next = s.Next()
	return r
}

// Next gives the next request, with its arrival; the arrivals never go back. Nil when the traffic has ended.
func (t *Traffic) Next() *Request {
	for {
		gap := time.Duration(t.rng.ExpFloat64() / t.phase.rate * float64(time.Second))
		if t.at+gap < t.ends {
			t.at += gap
			break
		}
		if t.until > 0 {
			return nil
		}
		// An exponential gap has no memory: what is left of it at the border may be drawn anew.
		t.at = t.ends
		t.enter()
	}
	r := t.request()
	r.arrived = t.at
	return r
}

func (t *Traffic) request() *Request {
	var r *Request
	x := t.rng.Float64() * (t.phase.mix[0] + t.phase.mix[1] + t.phase.mix[2])
	switch {
	case x < t.phase.mix[0]:
		r = t.chat()
	case x < t.phase.mix[0]+t.phase.mix[1]:
		r = t.fresh(t.around(3400, 0.35), t.around(450, 0.6))
	default:
		r = t.fresh(t.around(600, 0.5), t.around(1900, 0.35))
	}
	r.MaxTokens = 4096
	r.Reason = Stop
	if limit := min(r.MaxTokens, t.maxModelLen-r.Prompt); r.Output >= limit {
		r.Output, r.Reason = limit, Length
	}
	if t.rng.IntN(100) == 0 {
		r.HangUp = 1 + t.rng.IntN(r.Output)
	}
	return r
}

// chat opens a conversation or goes on with one: then the prompt is all that was said before and one more question.
func (t *Traffic) chat() *Request {
	var c *conversation
	if len(t.chats) > 0 && t.rng.IntN(100) < 65 {
		c = &t.chats[t.rng.IntN(len(t.chats))]
		if c.tokens > t.maxModelLen/2 {
			c = nil
		}
	}
	if c == nil {
		t.serial++
		system := t.rng.IntN(len(t.systems))
		fresh := conversation{id: t.serial, system: system, tokens: t.systems[system]}
		if len(t.chats) < rememberedChats {
			t.chats = append(t.chats, fresh)
			c = &t.chats[len(t.chats)-1]
		} else {
			c = &t.chats[t.rng.IntN(len(t.chats))]
			*c = fresh
		}
	}
	prompt := t.clip(c.tokens + t.around(220, 0.9))
	output := t.around(720, 0.5)
	c.tokens = prompt + output
	id, shared, system := c.id, t.systems[c.system]/t.blockSize, uint64(c.system)
	return &Request{Prompt: prompt, Output: output, Hash: func(i int) uint64 {
		if i < shared {
			return t.block(1<<40+system, i)
		}
		return t.block(id, i)
	}}
}

// fresh is a request that shares only the first system prompt with others.
func (t *Traffic) fresh(prompt, output int) *Request {
	t.serial++
	id, shared := t.serial, t.systems[0]/t.blockSize
	return &Request{Prompt: t.clip(t.systems[0] + prompt), Output: output, Hash: func(i int) uint64 {
		if i < shared {
			return t.block(1<<40, i)
		}
		return t.block(id, i)
	}}
}

// block names a block of content that this traffic knows by an id.
func (t *Traffic) block(id uint64, i int) uint64 {
	return mix(mix(t.seed^0x7472616666696300, id), uint64(i))
}

// around draws a length from a log-normal distribution with this median.
func (t *Traffic) around(median, sigma float64) int {
	return 1 + int(median*math.Exp(sigma*t.rng.NormFloat64()))
}

func (t *Traffic) clip(prompt int) int { return max(1, min(prompt, t.maxModelLen*3/4)) }

// mix is a round of splitmix64 over both words; never 0, which means "no name".
func mix(a, b uint64) uint64 {
	x := a ^ (b * 0x9e3779b97f4a7c15)
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return x | 1
}
