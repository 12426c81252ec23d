//go:build !race

package browse_test

// slower is how much the race detector costs: nothing without it.
const slower = 1
