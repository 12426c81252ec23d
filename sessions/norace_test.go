//go:build !race

package sessions

// raced: see race_test.go.
const raced = false
