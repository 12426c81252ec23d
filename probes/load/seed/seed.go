// Package seed gives every random decision of a point of load a stream of its own, so that one seed is one load: the n-th
// gap between arrivals, the length of prompt 17 and its words are the same whatever else was drawn before, by whom and in
// which order.
//
// In go the point's seed, a word for what is decided, and which one of its kind; out comes a generator. Nothing is kept, and
// nothing here is meant for secrets.
package seed

import "math/rand/v2"

// For is what is decided.
type For uint64

// The decisions. Their numbers are part of what a seed means: never change one.
const (
	Gaps     For = 1 // between arrivals
	Think    For = 2 // between two requests of a client
	Input    For = 3 // a prompt's length
	Output   For = 4 // an answer's length
	Words    For = 5 // a prompt's words
	Prefix   For = 6 // a group's shared words
	Block    For = 8 // the words of a trace's block
	Learning For = 9 // texts that check what was learned of a tokenizer
)

// Rand is the generator of the n-th decision of a kind.
func Rand(seed uint64, what For, n uint64) *rand.Rand { return rand.New(Source(seed, what, n)) }

// Source is Rand's source, for who draws words by the million.
func Source(seed uint64, what For, n uint64) *rand.PCG {
	// Generators whose states are near each other begin alike; hashing puts neighbours far apart.
	a := Mix(seed ^ Mix(uint64(what)))
	return rand.NewPCG(Mix(a^n), Mix(a+Mix(n^0x9e3779b97f4a7c15)))
}

// Mix is the output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): one
// for one, and every bit of the result hangs on every bit of x.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
