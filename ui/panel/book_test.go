package panel_test

import (
	"testing"

	"pitwall/ui/panel"
)

func TestTheBuiltInPanelsHaveNoFault(t *testing.T) {
	b, faults := panel.NewBook("")
	for _, f := range faults {
		t.Error(f)
	}
	if len(b.Pages()) < 5 {
		t.Errorf("%d pages", len(b.Pages()))
	}
}
