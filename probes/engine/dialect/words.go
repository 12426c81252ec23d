package dialect

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// vocabulary is every name that any embedded dialect defines or says to be absent, sorted.
var vocabulary = sync.OnceValue(func() []string {
	var out []string
	for _, d := range embedded() {
		for _, n := range d.names {
			out = append(out, n.Name)
		}
		for n := range d.absent {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
})

// Vocabulary gives every engine: name that any embedded dialect knows, sorted. What is asked for by one of them never is a
// mistake: an engine that cannot answer has no value for it.
func Vocabulary() []string { return slices.Clone(vocabulary()) }

// Absent gives the words of the vocabulary that this engine has no template for, each with the reason.
func (d *Dialect) Absent() map[string]string {
	out := map[string]string{}
	for _, w := range vocabulary() {
		if _, there := d.byName[w]; !there {
			out[w] = d.why(w)
		}
	}
	for w := range d.absent { // a file that is not embedded may have words of its own
		out[w] = d.why(w)
	}
	return out
}

func (d *Dialect) why(word string) string {
	return cmp.Or(d.absent[word], d.otherwise, fmt.Sprintf("%s has no such metric, as far as is known", d.Title))
}

// Explains says whether the file itself gives a reason why a name has no template.
func (d *Dialect) Explains(name string) bool { return d.absent[name] != "" || d.otherwise != "" }

// lacks says whether a name is a word that has no template here.
func (d *Dialect) lacks(name string) bool {
	if _, there := d.absent[name]; there {
		return true
	}
	_, found := slices.BinarySearch(vocabulary(), name)
	_, there := d.byName[name]
	return found && !there
}
