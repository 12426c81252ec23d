package sim

import (
	"math"
	"math/rand/v2"
	"strings"
)

// wish is what a client asks of an answer.
type wish struct {
	max, min     int // tokens; max is at least 1
	ignoreEOS    bool
	stop         []string
	stopTokens   []int
	includeStop  bool
	seed         uint64 // equal seeds give equal answers
	medianLength float64
}

// answer is everything that a request will say.
type answer struct {
	tokens     []int
	text       string // without what a stop string or token cut off
	reason     FinishReason
	stopReason any // the stop string, or the stop token's id; nil otherwise
	// flipped has the places where the batch changed the answer, with the token that would have come alone. An answer is
	// never changed, only replaced by another.
	flipped map[int]int
}

// say makes an answer: plain sentences of common words, now and then with a character of several bytes, which real models
// give in several tokens too. Without ignoreEOS it ends by itself after a log-normal number of tokens.
func (t *tokenizer) say(w wish) answer {
	speech := newSpeech(t, w.seed)
	rng := speech.rng
	natural := max(1, int(w.medianLength*math.Exp(0.5*rng.NormFloat64())), w.min)
	a := answer{reason: Length}
	var text []byte
	longest := 0
	for _, s := range w.stop {
		longest = max(longest, len(s))
	}
	for len(a.tokens) < w.max {
		if !w.ignoreEOS && len(a.tokens) >= natural-1 && len(a.tokens) >= w.min {
			// The end-of-turn token is counted as output, but has no text.
			a.tokens = append(a.tokens, endTurn)
			a.reason = Stop
			break
		}
		id := speech.next()
		a.tokens = append(a.tokens, id)
		before := len(text)
		text = t.append(text, id)
		if len(a.tokens) <= w.min {
			continue
		}
		for _, s := range w.stopTokens {
			if s == id {
				a.text, a.reason, a.stopReason = string(text[:before]), Stop, id
				return a
			}
		}
		// Only the new bytes and what came just before can complete a stop string.
		from := max(0, before-longest)
		for _, s := range w.stop {
			if at := strings.Index(string(text[from:]), s); at >= 0 {
				end := from + at
				if w.includeStop {
					end += len(s)
				}
				a.text, a.reason, a.stopReason = string(text[:end]), Stop, s
				return a
			}
		}
	}
	a.text = string(text)
	return a
}

// speech gives the tokens of endless prose.
type speech struct {
	t       *tokenizer
	rng     *rand.Rand
	pending []int
	left    int // words to the end of the sentence
	started bool
}

func newSpeech(t *tokenizer, seed uint64) *speech {
	return &speech{t: t, rng: rand.New(rand.NewPCG(seed, 0x616e73776572))}
}

// flags are characters that take several tokens: "é", "→" and a chequered flag.
var flags = []string{" é", " →", " 🏁"}

func (s *speech) next() int {
	for len(s.pending) == 0 {
		s.refill()
	}
	id := s.pending[0]
	s.pending = s.pending[1:]
	return id
}

func (s *speech) refill() {
	word := s.rng.IntN(len(s.t.words))
	switch {
	case !s.started:
		s.started = true
		s.left = 4 + s.rng.IntN(9)
		s.pending = append(s.pending, idWords+word)
	case s.left == 0:
		s.left = 4 + s.rng.IntN(9)
		s.pending = append(s.pending, '.')
		if s.rng.IntN(5) == 0 {
			s.pending = append(s.pending, '\n', '\n', idWords+word)
			s.left--
		}
	case s.rng.IntN(60) == 0:
		for _, b := range []byte(flags[s.rng.IntN(len(flags))]) {
			s.pending = append(s.pending, int(b))
		}
		s.left--
	default:
		if s.rng.IntN(12) == 0 {
			s.pending = append(s.pending, ',')
		}
		s.pending = append(s.pending, idSpaced+word)
		s.left--
	}
}
