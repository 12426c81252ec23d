package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pitwall/probes/sim"
)

// simFlags are sim's own.
type simFlags struct {
	listen    string
	models    []string
	seed      uint64
	speed     float64
	gpus      int
	quiet     bool
	warm      time.Duration
	stepTimes string
	trouble   troubleFlags

	maxSeqs, maxBatched, blocks, blockSize, maxLen, maxQueued, maxQueuedTokens int
	noPrefix, devMode, sleepMode, times, details, loadTracking                 bool
	flipRate                                                                   float64
}

// troubleFlags are those by which a simulation is told what goes wrong; demo has them too.
type troubleFlags struct{ faults, truth string }

func (f *troubleFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.faults, "faults", "", "schedule of faults: a YAML file, or random:SEED for one that nobody has looked at")
	cmd.Flags().StringVar(&f.truth, "truth", "", "write what really happened, and when, to this file as lines of JSON")
}

func (p *program) sim() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "A simulated vLLM alone, with faults on order",
		Long: para(`Serves a simulated vLLM 0.32.0 on a loopback port until it is interrupted: continuous batching, chunked prefill, KV blocks
with preemption, prefix cache, step times from published figures. It brings its own varying load, unless --quiet; requests over HTTP join the same
queue. The same seed gives the same history at any --speed.`) + "\n\n" + faultsHelp(),
		Example: `pitwall sim --listen 127.0.0.1:8000
pitwall sim --seed 7 --speed 100 --quiet
pitwall sim --faults random:3 --truth truth.jsonl    # an incident that nobody has looked at
curl -d '- {fault: hang, for: 10s}' http://127.0.0.1:8000/pitwall/faults
curl -H 'X-Pitwall-Fault: cut-stream; after=7' …/v1/completions`,
		Args: noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error { return p.runSim(cmd.Context(), f) }),
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "loopback address; with several models the first one's, the others have the ports after it")
	cmd.Flags().StringArrayVar(&f.models, "model", nil, "name of the served model (may be repeated: each is an engine of its own)")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "where chance begins: the same seed gives the same history")
	cmd.Flags().Float64Var(&f.speed, "speed", 1, "how many simulated seconds pass in a second")
	cmd.Flags().IntVar(&f.gpus, "gpus", 1, "how many GPUs each engine's host has, 1 to 8")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "no load of its own: only requests over HTTP are served")
	cmd.Flags().DurationVar(&f.warm, "warm", 2*time.Minute, "for how long, in simulated time, it has been at work when it begins to serve")
	cmd.Flags().StringVar(&f.stepTimes, "step-times", "", "file of how long steps take (default Llama-3-8B on an A100; pitwall sim step-times prints it)")
	f.trouble.add(cmd)
	cmd.Flags().IntVar(&f.maxSeqs, "max-num-seqs", 256, "how many sequences run at once")
	cmd.Flags().IntVar(&f.maxBatched, "max-num-batched-tokens", 2048, "how many tokens a step may compute")
	cmd.Flags().IntVar(&f.blocks, "num-gpu-blocks", 28193, "how many KV blocks there are")
	cmd.Flags().IntVar(&f.blockSize, "block-size", sim.DefaultBlockSize, "tokens in a KV block")
	cmd.Flags().IntVar(&f.maxLen, "max-model-len", 8192, "most tokens of a sequence")
	cmd.Flags().BoolVar(&f.noPrefix, "no-prefix-caching", false, "without a prefix cache")
	cmd.Flags().BoolVar(&f.devMode, "dev-mode", false, "the routes of VLLM_SERVER_DEV_MODE: /pause, /resume, /sleep, /reset_prefix_cache …")
	cmd.Flags().BoolVar(&f.sleepMode, "enable-sleep-mode", false, "make /sleep and /wake_up work")
	cmd.Flags().IntVar(&f.maxQueued, "max-num-queued-reqs", 0, "how many requests there may be before more are refused with a 503 (0: no limit)")
	cmd.Flags().IntVar(&f.maxQueuedTokens, "max-num-queued-tokens", 0, "how many prompt tokens may wait for their first token before more are refused (0: no limit)")
	cmd.Flags().BoolVar(&f.loadTracking, "enable-server-load-tracking", false, "make /load count the requests over HTTP")
	cmd.Flags().BoolVar(&f.times, "enable-per-request-metrics", false, "times in each answer")
	cmd.Flags().BoolVar(&f.details, "enable-prompt-tokens-details", false, "cached tokens in each answer's usage")
	cmd.Flags().Float64Var(&f.flipRate, "flip-rate", 0, "probability that a token of a greedy answer depends on the batch, 0 to 1")
	cmd.AddCommand(p.faults(), &cobra.Command{
		Use: "step-times", Short: "Print the step times of Llama-3-8B on an A100, with their sources, as a file to start from", Args: noArgs,
		RunE: p.run(func(*cobra.Command, []string) error {
			_, err := p.stdout.Write(sim.StepTimesYAML)
			return err
		}),
	})
	return cmd
}

// faultsHelp says how to order faults.
func faultsHelp() string {
	var names []string
	for _, e := range sim.Catalogue() {
		names = append(names, string(e.Kind))
	}
	return "A schedule of faults (--faults FILE) is a YAML list; times are simulated and count from when it begins to serve:\n\n" +
		"    - at: 90s\n      for: 20s\n      fault: hang\n    - {at: 3m, fault: xid, gpu: 0, code: 79}\n\n" +
		para("With several models an entry may name the one that it happens to: engine: 1 is the second. The faults are "+strings.Join(names, ", ")+"; pitwall sim faults says what each does and takes.") + "\n\n" +
		para(`GET /pitwall/truth tells what really happened so far, GET /pitwall/trace the scheduler's latest decisions; POST /pitwall/faults
takes a schedule that begins now. A request asks for a fault of its own in the header X-Pitwall-Fault or in vllm_xargs.pitwall_fault.`)
}

// faults prints the catalogue.
func (p *program) faults() *cobra.Command {
	return &cobra.Command{
		Use: "faults", Short: "The faults there are, what each does, and what it takes", Args: noArgs,
		RunE: p.run(func(*cobra.Command, []string) error {
			rows := [][]string{{"FAULT", "ASKED FOR BY", "TAKES, WITH DEFAULTS", "WHAT IT DOES"}}
			for _, e := range sim.Catalogue() {
				by := "schedule"
				if e.ByRequest {
					by = "schedule, request"
				}
				rows = append(rows, []string{string(e.Kind), by, e.Params, e.What})
			}
			return table(p.stdout, rows)
		}),
	}
}

func (p *program) runSim(ctx context.Context, f simFlags) (err error) {
	switch {
	case f.gpus < 1 || f.gpus > 8:
		return fail(exitUsage, "an A100 box has 1 to 8", "--gpus: %d GPUs can't be simulated", f.gpus)
	case !(f.speed > 0 && f.speed <= 1000):
		return fail(exitUsage, "1 is real time, 100 a hundred times faster", "--speed: %g is not above 0 and at most 1000", f.speed)
	case f.warm < 0 || f.warm > 2*time.Hour:
		return fail(exitUsage, "2m is the default", "--warm: %v is not from 0 to 2h", f.warm)
	}
	o := sim.Options{
		Config: sim.Config{MaxNumSeqs: f.maxSeqs, MaxNumBatchedTokens: f.maxBatched, Blocks: f.blocks, BlockSize: f.blockSize, MaxModelLen: f.maxLen,
			NoPrefixCache: f.noPrefix, MaxNumQueuedReqs: f.maxQueued, MaxNumQueuedTokens: f.maxQueuedTokens},
		Seed: f.seed, Speed: f.speed, GPUs: f.gpus, Quiet: f.quiet, Warm: f.warm, DevMode: f.devMode, SleepMode: f.sleepMode,
		RequestMetrics: f.times, TokenDetails: f.details, FlipRate: f.flipRate, LoadTracking: f.loadTracking,
	}
	if f.warm == 0 {
		o.Warm = -1 // none
	}
	if f.stepTimes != "" {
		raw, err := os.ReadFile(f.stepTimes)
		if err == nil {
			o.Config.Steps, err = sim.ParseStepTimes(raw)
		}
		if err != nil {
			return fail(exitUsage, "pitwall sim step-times prints a file to start from", "--step-times: %w", err)
		}
	}
	if len(f.models) == 0 {
		f.models = []string{""}
	}
	closeTruth, err := f.trouble.apply(&o, len(f.models))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTruth()) }()
	for i, model := range f.models {
		one := o
		one.Model = model
		if one.Addr, err = portAfter(f.listen, i); err != nil {
			return err
		}
		one.Engine, one.Seed = i, o.Seed+uint64(i)
		s, err := sim.Start(ctx, one)
		if errors.Is(err, context.Canceled) {
			return nil // interrupted while it warmed up
		}
		if err != nil {
			return fail(exitUsage, "--listen 127.0.0.1:0 takes a free port", "%w", err)
		}
		defer s.Close()
		fmt.Fprintf(p.stdout, "simulated vLLM %s serving %s at %s\nattach:  pitwall --engine %[3]s\nor with its GPUs:  pitwall --engine %[3]s --scrape %[3]s/pitwall/gpu/metrics\n", sim.Version, s.Model(), s.URL())
	}
	<-ctx.Done()
	return nil
}

// apply gives simulations of so many engines their faults. closeTruth closes the truth's file, if there is one.
func (f *troubleFlags) apply(o *sim.Options, engines int) (closeTruth func() error, err error) {
	none := func() error { return nil }
	if seed, ok := strings.CutPrefix(f.faults, "random:"); ok {
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			return none, fail(exitUsage, "random:7 is one", "--faults: %q is no seed", seed)
		}
		o.Faults = sim.RandomFaults(n, o.GPUs)
	} else if f.faults != "" {
		raw, err := os.ReadFile(f.faults)
		if err == nil {
			o.Faults, err = sim.ParseFaults(raw)
		}
		if err != nil {
			return none, fail(exitUsage, "pitwall sim --help lists the faults and what they take", "--faults: %w", err)
		}
	}
	for _, x := range o.Faults {
		if x.Engine >= engines {
			return none, fail(exitUsage, "engines count from 0, in the order of --model", "--faults: the fault %s happens to engine %d, there are %d", x.Kind, x.Engine, engines)
		}
	}
	if f.truth == "" {
		return none, nil
	}
	file, err := os.OpenFile(f.truth, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return none, fail(exitFailed, "--truth names a file that can be written", "--truth: %w", err)
	}
	o.Truth = io.Writer(file)
	return file.Close, nil
}

// portAfter is the i-th address after one; port 0 stays.
func portAfter(addr string, i int) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 0 || n+i > 65535 {
		return "", fail(exitUsage, "127.0.0.1:8000 is one", "--listen: %q is not an address with a port", addr)
	}
	if n > 0 {
		n += i
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}
