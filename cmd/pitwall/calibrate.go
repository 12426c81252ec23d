package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pitwall/probes/load/calibrate"
	"pitwall/probes/truth"
	"pitwall/sessions"
)

// thoroughly and quickly are how long calibrate takes, without and with --quick.
const thoroughly, quickly = 30 * time.Second, 5 * time.Second

func (p *program) calibrate() *cobra.Command {
	var o calibrate.Options
	var quick, asJSON bool
	b := calibrate.DefaultBounds()
	cmd := &cobra.Command{
		Use:   "calibrate",
		Short: "How far this client's own times can be trusted on this host",
		Long: para(fmt.Sprintf(`Starts a server on loopback that stamps each of its own writes, puts load on it as pitwall load would, and compares: how far off are
time to first token (TTFT, t_first - t_sent) and the gaps between pieces, how late do requests leave, and up to how many streams and tokens a second do
the errors at the 99th percentile stay within %v and %v while the client keeps up. What is asked for is tried first, then more while that holds, or less. The result is kept and stored with every
run that is made on this host afterwards; a run beyond it is flagged. Whatever else is busy on the host is in the result, so let the engine run if it
runs beside the load.`, b.TTFT, b.Gap)),
		Example: "pitwall calibrate\npitwall calibrate --streams 256 --rate 100\npitwall calibrate --quick --json",
		Args:    noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			o.For = thoroughly
			if quick {
				o.For = quickly
			}
			return p.runCalibrate(cmd.Context(), o, asJSON)
		}),
	}
	cmd.Flags().IntVar(&o.Streams, "streams", 64, "streams at a time")
	cmd.Flags().Float64Var(&o.Rate, "rate", 50, "tokens a second in each stream")
	cmd.Flags().BoolVar(&quick, "quick", false, "about 5 seconds instead of 30")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(&cobra.Command{
		Use: truthCommand, Short: "The server that calibrate measures against", Hidden: true, Args: noArgs,
		RunE: p.run(func(*cobra.Command, []string) error {
			// A ctrl-c reaches the whole process group; who started this ends it by closing its input.
			signal.Ignore(os.Interrupt, syscall.SIGHUP)
			return truth.Run(context.Background(), p.stdin, p.stdout)
		}),
	})
	return cmd
}

// truthCommand is the hidden subcommand of calibrate that is the server's own process.
const truthCommand = "truth-server"

func (p *program) runCalibrate(ctx context.Context, o calibrate.Options, asJSON bool) error {
	if o.Streams == 0 || o.Rate == 0 { // the package takes them for "the usual"
		return fail(exitUsage, "", "--streams and --rate must be above 0")
	}
	o.Version = thisBuild().Version
	o.Server = func() (*exec.Cmd, error) {
		exe, err := p.exe()
		if err != nil {
			return nil, err
		}
		return &exec.Cmd{Path: exe, Args: []string{"pitwall", "calibrate", truthCommand}}, nil
	}
	if err := o.Validate(); err != nil {
		return fail(exitUsage, "pitwall calibrate --help shows the flags", "%w", err)
	}
	if !asJSON {
		fmt.Fprintf(p.stderr, "measuring this client against a server that knows the truth, at most %v\n", o.For)
	}
	c, err := calibrate.Run(ctx, o)
	if err != nil {
		return err
	}
	kept, keeping := p.keepCertificate(c)
	if asJSON {
		err = printJSON(p.stdout, c)
	} else {
		err = p.printCertificate(c, kept)
	}
	return errors.Join(err, keeping)
}

func (p *program) keepCertificate(c *calibrate.Certificate) (path string, err error) {
	if path, err = certificatePath(); err == nil {
		err = c.Write(path)
	}
	return path, err
}

// certificatePath is where the certificate of this client on this host is kept: beside the usual place of sessions.
func certificatePath() (string, error) {
	dir, _, err := sessions.DefaultDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(dir), "calibration.json"), nil
}

// certificate is this client's certificate on this host. Where there is none that counts here, it is nil and why says why.
func certificate() (c *calibrate.Certificate, why string) {
	path, err := certificatePath()
	if err == nil {
		c, err = calibrate.Read(path)
	}
	if err != nil {
		return nil, err.Error()
	}
	if ok, why := c.Here(thisBuild().Version); !ok {
		return nil, why + ": pitwall calibrate"
	}
	return c, ""
}

func (p *program) printCertificate(c *calibrate.Certificate, path string) error {
	stamps := "the kernel's receive stamps"
	if !c.Stamped {
		stamps = "taken after reads: this system gives no receive stamps, and a busy host bends them"
	}
	fmt.Fprintf(p.stdout, "host %s, %d cores, pitwall %s, %s\narrivals: %s\n\n", clean(c.Host), c.Cores, c.Version, c.At.Format(time.RFC3339), stamps)
	rows := [][]string{{"streams", "tokens/s", "answers", "TTFT error p50", "p99", "gap error p50", "p99", "send lag p99", "merged", "within bounds"}}
	for _, s := range c.Steps {
		holds := "yes"
		if !s.Holds {
			holds = "no: " + s.Why
		}
		rows = append(rows, []string{strconv.Itoa(s.Streams), fmt.Sprintf("%.0f", s.Tokens), strconv.Itoa(s.Requests), short(s.TTFT.P50), short(s.TTFT.P99),
			short(s.Gap.P50), short(s.Gap.P99), short(s.Lag.P99), fmt.Sprintf("%.1f %%", 100*s.Merged), holds})
	}
	if err := table(p.stdout, rows); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "\nbounds at p99: TTFT %v, gap %v\n", c.Bounds.TTFT, c.Bounds.Gap)
	if c.Streams == 0 {
		fmt.Fprintln(p.stdout, "good nowhere: numbers that are made here now are the client's own, not the server's")
	} else {
		fmt.Fprintf(p.stdout, "good up to %d streams and %.0f tokens/s\n", c.Streams, c.Tokens)
	}
	fmt.Fprintf(p.stdout, "kept in %s, and stored with every run that is made here\n", clean(path))
	return nil
}

// short writes an error of time in milliseconds, with as many digits as matter.
func short(d time.Duration) string {
	ms := float64(d) / 1e6
	if ms < 10 {
		return fmt.Sprintf("%.3f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}
