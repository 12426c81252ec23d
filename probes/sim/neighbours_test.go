package sim

import "testing"

func TestNeighboursHaveTrafficWhereTheFirstEngineHasNone(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want []bool
	}{
		{"by itself every engine has traffic", Options{GPUs: 2}, []bool{true, true}},
		{"quiet ones have none", Options{GPUs: 2, Quiet: true}, []bool{false, false}},
		{"neighbours have, beside one that is loaded from outside", Options{GPUs: 3, Quiet: true, Neighbours: true}, []bool{false, true, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			engines, err := makeEngines(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range engines {
				if got := len(e.sources) > 0; got != tt.want[i] {
					t.Errorf("engine %d has traffic: %v, want %v", i, got, tt.want[i])
				}
			}
		})
	}
}
