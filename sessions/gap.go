package sessions

import "math/bits"

// A time between two chunks is stored as a small floating-point number: 10 bits behind the leading one, and the power of two
// that it is multiplied with. It is wrong by at most gapError of itself, whatever its size, and exact below 2.048 µs.
//
//	code < 2048: nanoseconds
//	else         (1024 + code mod 1024) << (code/1024 - 1) nanoseconds
//
// Codes grow with what they stand for. The bound is below what a TTFT or TPOT may be wrong by (0.1 %), and such codes take
// less than linear microseconds where gaps differ widely. Codes up to 36 minutes have 15 bits.
const (
	gapBits = 10
	// gapError is half of one in the 11th bit.
	gapError = 1.0 / 2048
	// gapMax is the highest code of 15 bits; what a chunk holds in its place stands beside the column.
	gapMax = 1<<15 - 1
)

// gapCode gives the code that is nearest to a number of nanoseconds.
func gapCode(ns uint64) uint64 {
	if ns < 2<<gapBits {
		return ns
	}
	e := bits.Len64(ns) - gapBits - 1
	m := ns >> e
	if ns>>(e-1)&1 == 1 { // rounded; what is carried over makes the next power's first code
		m++
	}
	return uint64(e)<<gapBits + m //nolint:gosec // 1 to 53
}

// gapOf gives the nanoseconds of a code.
func gapOf(code uint64) uint64 {
	if code < 2<<gapBits {
		return code
	}
	e := code>>gapBits - 1
	return (code - e<<gapBits) << (e & 63)
}

// spanCode is gapCode for a duration that may be Unknown (-1) or, by clocks that disagree, negative.
func spanCode(ns int64) uint64 {
	switch {
	case ns == -1:
		return 0
	case ns < 0:
		return 2 + 2*gapCode(uint64(-ns))
	}
	return 1 + 2*gapCode(uint64(ns))
}

func spanOf(code uint64) int64 {
	switch {
	case code == 0:
		return -1
	case code%2 == 0:
		return -int64(gapOf((code - 2) / 2)) //nolint:gosec // what it was made from was an int64
	}
	return int64(gapOf((code - 1) / 2)) //nolint:gosec // as above
}
