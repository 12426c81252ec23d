package dialect

import "strings"

// Detected gives the embedded dialect that owns most of the metric names, false if none owns any. Of two that own as many
// the first by name counts: a page that carries another engine's names beside its own is told the same every time.
func Detected(metrics func(yield func(name string) bool)) (*Dialect, bool) {
	counts := map[*Dialect]int{}
	for name := range metrics {
		for _, d := range embedded() {
			if d.Owns(name) {
				counts[d]++
			}
		}
	}
	var best *Dialect
	for _, d := range embedded() {
		if counts[d] > 0 && (best == nil || counts[d] > counts[best]) {
			best = d
		}
	}
	return best, best != nil
}

// OwnedBy gives the embedded dialect of the engine that calls itself so in its list of models, false if none does.
func OwnedBy(owner string) (*Dialect, bool) {
	for _, d := range embedded() {
		if d.Owner != "" && strings.EqualFold(d.Owner, owner) {
			return d, true
		}
	}
	return nil, false
}

// Loads gives the embedded dialect whose engine answers so while it loads its model, false if none does.
func Loads(status int, body []byte) (*Dialect, bool) {
	for _, d := range embedded() {
		if d.Loading.Is(status, body) {
			return d, true
		}
	}
	return nil, false
}

// Fallback gives the embedded dialect for engines that no other knows.
func Fallback() *Dialect {
	for _, d := range embedded() {
		if d.Fallback {
			return d
		}
	}
	panic("no dialect is the fallback") // a broken build: the files are part of the program
}
