//go:build race

package sessions

// raced says that the tests run under the race detector, where the same work takes about ten times as long: what they measure
// or try many times they then try fewer times.
const raced = true
