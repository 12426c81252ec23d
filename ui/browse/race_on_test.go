//go:build race

package browse_test

// slower is how much the race detector costs.
const slower = 10
