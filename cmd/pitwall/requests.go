package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"pitwall/probes/request"
	"pitwall/sessions"
)

// requestsFlags are requests's own.
type requestsFlags struct {
	run                   uint32
	asJSON, asCSV, chunks bool
	failed                bool
}

func (p *program) requests() *cobra.Command {
	var f requestsFlags
	cmd := &cobra.Command{
		Use:   "requests [SESSION]",
		Short: "Every single request of a recording's load",
		Long: para(`Lists the requests that pitwall's load sent in a session, by default the newest, in the order in which they ended: when, how long
each part took, its tokens, and how it ended. Points in time are kept to 0.1 µs, gaps between chunks to 0.05 %. Where the file is damaged, or a
rolling recording has deleted old ones, it is said on stderr how many are missing.`) + "\n\n" + formulaText(),
		Example: "pitwall requests --run 3\npitwall requests --failed\npitwall requests --csv >requests.csv\npitwall requests --json --chunks | jq '.chunks[].gap_ms'",
		Args:    oneSession,
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			if f.asJSON && f.asCSV {
				return fail(exitUsage, "one of them", "--json and --csv are given")
			}
			if f.chunks && !f.asJSON {
				return fail(exitUsage, "with --json", "--chunks: a line of a table has no room for them")
			}
			return p.readSession(cmd, args, func(r sessions.Reader) error { return p.listRequests(cmd.Context(), r, f) })
		}),
	}
	flags(cmd)
	cmd.Flags().Uint32Var(&f.run, "run", 0, "only those of this run")
	cmd.Flags().BoolVar(&f.failed, "failed", false, "only those that failed")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, one line a request")
	cmd.Flags().BoolVar(&f.asCSV, "csv", false, "print CSV, one line a request; units are in the names")
	cmd.Flags().BoolVar(&f.chunks, "chunks", false, "with the gap and the tokens of every chunk (with --json)")
	return cmd
}

func (p *program) listRequests(ctx context.Context, r sessions.Reader, f requestsFlags) error {
	runs, err := chosenRuns(r, f.run)
	if err != nil {
		return err
	}
	first, _ := r.Bounds()
	out := bufio.NewWriter(p.stdout)
	defer out.Flush()
	var put func(*request.Record) error
	switch {
	case f.asJSON:
		put = func(q *request.Record) error { return printJSONLine(out, requestLineOf(q, r.Info().ID, f.chunks)) }
	case f.asCSV:
		w := csv.NewWriter(out)
		defer w.Flush()
		if err := w.Write(requestColumns()); err != nil {
			return err
		}
		put = func(q *request.Record) error { return w.Write(inertCells(requestCells(q))) }
	default:
		mark := ""
		if r.Info().Simulated {
			mark = "  SIMULATED"
		}
		fmt.Fprintf(p.stderr, "session %s, %s%s\n", r.Info().ID, counted(len(runs), "run"), mark)
		put = func(q *request.Record) error { return requestRow(out, q, first) }
	}
	n, missing := 0, 0
	for q, err := range r.Requests(ctx, f.run) {
		var gone *sessions.MissingRequests
		if errors.As(err, &gone) {
			missing++
			fmt.Fprintf(p.stderr, "pitwall: warning: %s\n", clean(gone.Error()))
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the requests of session %s: %w", r.Info().ID, err)
		}
		if f.failed && !q.Class.Failed() {
			continue
		}
		if n == 0 && !f.asJSON && !f.asCSV {
			fmt.Fprintln(out, requestHead)
		}
		if err := put(&q); err != nil {
			return err
		}
		n++
	}
	if n == 0 && missing == 0 && !f.asJSON && !f.asCSV {
		text := "it has no requests: pitwall load and the console's load bar send them"
		if f.failed {
			text = "none has failed"
		}
		fmt.Fprintln(p.stderr, text)
	}
	return nil
}

// The table has fixed columns: a session can have a million requests, and none waits for the widest of them.
const (
	requestHead   = "RUN   SEQ     SENT          CLASS          TTFT ms     TPOT ms     E2E ms      LAG ms   IN      CACHED  OUT     END"
	requestFormat = "%-5s %-7s %-13s %-14s %-11s %-11s %-11s %-8s %-7s %-7s %-7s %s\n"
)

func requestRow(w io.Writer, q *request.Record, first time.Time) error {
	end := q.Finish
	if q.Message != "" {
		end = q.Message
	}
	sent := "—"
	if q.Sent != 0 {
		sent = into(q.Sent.At(), first)
	}
	_, err := fmt.Fprintf(w, requestFormat, strconv.Itoa(int(q.Run)), strconv.Itoa(int(q.Seq)), sent, q.Class, dash(ms(q.TTFT())), dash(ms(q.TPOT())), dash(ms(q.E2E())),
		dash(ms(q.Lag())), dash(tokens(q.InputTokens)), dash(tokens(q.CachedTokens)), dash(tokens(q.OutputTokens)), clean(end))
	return err
}

func dash(s string) string {
	if s == "" {
		return "—"
	}
	return s
}

// ms writes a duration in milliseconds, empty for none.
func ms(d time.Duration, ok bool) string {
	if !ok {
		return ""
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 4, 64)
}

// told is a duration that the server may not have told.
func told(d time.Duration) (time.Duration, bool) { return d, d != request.Unknown }

func tokens(n int32) string {
	if n == request.Unknown {
		return ""
	}
	return strconv.Itoa(int(n))
}

// unixTime writes a point in time as Unix seconds to 0.1 µs, empty for none.
func unixTime(t request.Time) string {
	if t == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%07d", int64(t)/int64(time.Second), int64(t)%int64(time.Second)/100)
}

// requestColumns are the columns of requests --csv: the names of the field with their units. t_ are Unix seconds.
func requestColumns() []string {
	return []string{"run", "seq", "client", "prompt", "turn", "group", "class", "status", "finish_reason", "message",
		"t_sched_s", "t_send_s", "t_wrote_s", "t_first_byte_s", "t_first_s", "t_last_content_s", "t_end_s",
		"ttft_ms", "ttft_sched_ms", "tpot_ms", "e2e_ms", "e2e_sched_ms", "normalized_ms_per_token", "send_lag_ms", "connect_ms", "late_mean_ms", "late_max_ms",
		"queue_ms", "prefill_ms", "decode_ms", "prompt_tokens", "cached_tokens", "completion_tokens", "asked_prompt_tokens", "asked_completion_tokens",
		"chunk_count", "merged_chunks", "counting", "streamed", "kernel_stamps", "fresh_connection"}
}

func requestCells(q *request.Record) []string {
	merged := 0
	for _, c := range q.Chunks {
		if c.Merged {
			merged++
		}
	}
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	optional := func(n int32) string { // 0 and Unknown say that there is none
		if n <= 0 {
			return ""
		}
		return whole(int64(n))
	}
	status := optional(int32(q.Status))
	return []string{whole(int64(q.Run)), whole(int64(q.Seq)), tokens(q.Client), whole(int64(q.Prompt)), whole(int64(q.Turn)), tokens(q.Group), q.Class.String(), status, q.Finish, q.Message,
		unixTime(q.Scheduled), unixTime(q.Sent), unixTime(q.Wrote), unixTime(q.FirstByte), unixTime(q.FirstToken), unixTime(q.LastToken), unixTime(q.End),
		ms(q.TTFT()), ms(q.TTFTSched()), ms(q.TPOT()), ms(q.E2E()), ms(q.E2ESched()), ms(q.Normalized()), ms(q.Lag()), ms(q.Connect, q.Fresh), ms(q.LateMean, q.Stamped), ms(q.LateMax, q.Stamped),
		ms(told(q.Queue)), ms(told(q.Prefill)), ms(told(q.Decode)), tokens(q.InputTokens), tokens(q.CachedTokens), tokens(q.OutputTokens), optional(q.AskedInput), optional(q.Asked),
		whole(int64(len(q.Chunks))), whole(int64(merged)), counting(q.Counting), strconv.FormatBool(q.Streamed), strconv.FormatBool(q.Stamped), strconv.FormatBool(q.Fresh)}
}

func counting(c request.Counting) string {
	switch c {
	case request.ByIDs:
		return "token_ids"
	case request.ByUsage:
		return "usage"
	}
	return "guessed"
}
