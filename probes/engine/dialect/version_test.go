package dialect

import "testing"

func TestANoteIsForOlderVersionsOnly(t *testing.T) {
	n := Note{Text: "mind this", Before: "0.12"}
	for _, tt := range []struct {
		version string
		applies bool
	}{{"", true}, {"0.8.5", true}, {"0.11.1rc2+cpu", true}, {"0.12", false}, {"0.12.0", false}, {"0.32.0", false}, {"1.0", false}} {
		if got := n.For(tt.version) != ""; got != tt.applies {
			t.Errorf("version %q: applies %v, want %v", tt.version, got, tt.applies)
		}
	}
}
