package main

import (
	"context"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"pitwall/probes/sim"
)

// faulty FILE is simulate quiet with a schedule of faults.
func faulty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: faulty FILE")
	}
	raw, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	faults, err := sim.ParseFaults(raw)
	ts.Check(err)
	s, err := sim.Start(context.Background(), sim.Options{Seed: 1, Quiet: true, Faults: faults})
	ts.Check(err)
	ts.Defer(func() { _ = s.Close() })
	ts.Setenv("PITWALL_ENGINE", s.URL())
}
