package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/probes/engine"
	"pitwall/probes/sim"
)

// demoFlags are demo's own.
type demoFlags struct {
	seed     uint64
	gpus     int
	port     int
	headless bool
	trouble  troubleFlags
}

// demoBlocks is a KV cache of 112,000 tokens, as where --gpu-memory-utilization leaves half of the card to others: one that holds
// 450,000 takes more than a minute to fill, and nobody watches a demo for that long until something happens.
const demoBlocks = 7001

func (p *program) demo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The console on a simulated engine, with nothing else installed",
		Long: para(`Starts a simulated vLLM and a simulated A100 on a loopback port, puts load on them, and shows the console. The
console sees them only through the probes that it uses for real ones; SIMULATED stands on the screen and in the session
for ever. The load is pitwall's own, each stretch of it a run: from 2 clients up to 96 in the first minute, which trades
latency for throughput, then one of another kind every minute, until you steer it yourself (l). --seed decides prompts and lengths.`),
		Example: "pitwall demo\npitwall demo --gpus 8 --seed 7\npitwall demo --faults random:3    # an incident; pitwall sim --help lists the faults\npitwall demo --headless    # only the engine, for curl and for pitwall --engine",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			c, err := p.keeping(cmd)
			if err != nil {
				return err
			}
			if f.gpus < 1 || f.gpus > 8 {
				return fail(exitUsage, "an A100 box has 1 to 8", "--gpus: %d GPUs can't be simulated", f.gpus)
			}
			if !f.headless {
				if err := p.needTerminal("pitwall demo --headless serves the simulated engine without one"); err != nil {
					return err
				}
			}
			return p.runDemo(cmd.Context(), c, f)
		}),
	}
	flags(cmd, screenFlags)
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "where chance begins: the same seed gives the same hour")
	cmd.Flags().IntVar(&f.gpus, "gpus", 1, "how many GPUs, 1 to 8")
	cmd.Flags().IntVar(&f.port, "port", 0, "loopback port of the engine (default a free one)")
	f.trouble.add(cmd)
	cmd.Flags().BoolVar(&f.headless, "headless", false, "serve the simulated engine only, without a console")
	return cmd
}

func (p *program) runDemo(ctx context.Context, c *config.Config, f demoFlags) (err error) {
	o := sim.Options{Seed: f.seed, GPUs: f.gpus, Addr: fmt.Sprintf("127.0.0.1:%d", f.port)}
	closeTruth, err := f.trouble.apply(&o, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTruth()) }()
	o.Quiet, o.Neighbours = !f.headless, !f.headless // it is loaded from here
	if o.Quiet {
		o.Config.Blocks = demoBlocks
	}
	// Ctrl-c ends the console, then its load, and only then what that is on.
	s, err := sim.Start(context.WithoutCancel(ctx), o)
	if err != nil {
		return fail(exitFailed, "--port 0 takes a free port", "starting the simulated engine: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if f.headless {
		fmt.Fprintln(p.stdout, s.URL())
		<-ctx.Done()
		return nil
	}
	// The demo watches its own engine and nothing else of this host's.
	c.Engine, c.Scrape, c.Header = []string{s.URL()}, nil, nil
	d := p.newDesk(c)
	defer d.Close()
	if err := d.record(ctx, func([]engine.Known) (*watched, error) { return p.watchSimulated(c, s) }); err != nil {
		return err
	}
	playing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); play(playing, d, instance(s.URL()), f.seed) }()
	defer func() { stop(); <-done }()
	return p.show(ctx, c, d)
}
