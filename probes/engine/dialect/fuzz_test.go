package dialect_test

import (
	"errors"
	"testing"
	"time"

	"pitwall/probes/engine/dialect"
)

// A dialect's file may be anybody's. Whatever is in it, it is refused with a place in the file, or it is a dialect whose
// every name can be asked for. The corpus is in testdata/fuzz.
func FuzzParse(f *testing.F) {
	for _, d := range dialect.All() {
		f.Add(d.Source())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := dialect.Parse("x.yaml", data)
		if err != nil {
			var se *dialect.SyntaxError
			if !errors.As(err, &se) || se.File != "x.yaml" || se.Line < 1 {
				t.Fatalf("error %v has no place", err)
			}
			return
		}
		for _, n := range d.Names() {
			if _, err := d.Expand(n.Name, `job="j"`, 10*time.Second); err != nil {
				t.Fatalf("%s was accepted and does not expand: %v", n.Name, err)
			}
		}
		for w := range d.Absent() {
			if _, err := d.Expand(w, `job="j"`, 10*time.Second); err != nil {
				t.Fatalf("%s is absent and does not expand: %v", w, err)
			}
		}
		if again, err := dialect.Parse("x.yaml", d.Source()); err != nil || len(again.Names()) != len(d.Names()) {
			t.Fatalf("its own source is read differently: %v", err)
		}
	})
}
