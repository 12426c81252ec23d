// Truth is a truth server to measure load generators against: package truth says what it does. It prints its URL, and serves
// until it is interrupted. GET /truth gives what happened to each request, a JSON object a line; DELETE /truth forgets it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/pflag"

	"pitwall/probes/truth"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var plan truth.Plan
	f := pflag.NewFlagSet("truth", pflag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "where to serve: a loopback address")
	f.DurationVar(&plan.TTFT, "ttft", 0, "time to first token")
	f.DurationVar(&plan.Gap, "gap", 0, "time between two pieces")
	f.DurationVar(&plan.Spread, "spread", 0, "put off each answer's beginning by a share of this, evenly")
	f.BoolVar(&plan.Steps, "steps", false, "all streams write in the same moments, one gap apart")
	f.IntVar(&plan.Tokens, "tokens", 0, "tokens of an answer whose request asks for none")
	f.IntVar(&plan.Chunk, "chunk", 0, "tokens in a piece")
	role := f.String("role", "", "a chat's role chunk: apart, early, none; empty: with the first token")
	f.BoolVar(&plan.Head, "head", false, "send the answer's head at once")
	f.StringVar(&plan.Model, "model", "", "the served model's name")
	f.IntVar(&plan.MaxModelLen, "max-model-len", 0, "what a prompt and its answer may have together")
	faults := f.StringArray("fault", nil, "what goes wrong, as in cut@5/10: each 10th request, after 5 pieces")
	if err := f.Parse(args); err != nil {
		return err
	}
	plan.Role = truth.Role(*role)
	for _, s := range *faults {
		x, err := truth.ParseFault(s)
		if err != nil {
			return err
		}
		plan.Faults = append(plan.Faults, x)
	}
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	s, err := truth.Listen(*listen, plan)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println(s.URL())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return nil
}
