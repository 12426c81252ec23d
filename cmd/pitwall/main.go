// Command pitwall is a terminal console for engineers who run language models with vLLM on GPU boxes.
//
// In go flags, environment and one file; out come a console, a recording, a table or JSON, and an exit code that says how
// it went (see fail.go). Each subcommand is one file: it parses, wires, runs and says how it ended. What it shows or
// counts is answered elsewhere: probes measure, sessions remember, ui draws.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"charm.land/fang/v2"
)

func main() { os.Exit(run()) }

// run is the program with its exit code.
func run() int {
	// net/http writes through package log about servers that speak out of turn: into the middle of a screen. What matters of
	// it is in an error besides.
	log.SetOutput(io.Discard)
	// The heap is some 10 MB, of which a tick makes most anew: twice the room halves the collector's work for a few MB.
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(200)
	}
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv, exe: os.Executable}
	// colorprofile takes NO_COLOR=1 but not NO_COLOR=yes; no-color.org asks for any value.
	if v, _ := p.env("NO_COLOR"); v != "" {
		_ = os.Setenv("NO_COLOR", "1")
	}
	// SIGHUP is here too: when the terminal goes, whatever needs one ends cleanly. record undoes that.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	root := p.root()
	v := thisBuild()
	// The commands keep their errors in p.err and fang sees only those of parsing: for an error it would first ask the
	// terminal for its colours, and a console that has just given the terminal back must not write to it again.
	err := fang.Execute(ctx, root, fang.WithVersion(v.Version), fang.WithCommit(v.Commit), fang.WithoutManpage(), fang.WithErrorHandler(silent))
	if err != nil {
		err = usage(err)
	} else {
		err = p.err
	}
	return p.report(err)
}
