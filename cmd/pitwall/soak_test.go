package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"pitwall/cmd/config"
	"pitwall/probes/sim"
	"pitwall/sessions"
	"pitwall/ui"
)

// The budgets of a long run. Times are the best of a few tries: a busy neighbour can only add to what is measured.
const (
	soakPerSample = 2.5  // bytes on disk
	soakPerDay    = 250. // megabytes
	soakOpen      = time.Second
	soakScrub     = 100 * time.Millisecond
	soakPanel     = 200 * time.Millisecond
	soakGrowth    = 12. // megabytes that the heap may grow from a quarter of the run to its end
)

// TestSoak records a simulated engine and GPU, as pitwall demo does, in a time that runs faster, and then looks at what came
// out: memory, size, opening, scrubbing, a panel over all of it. PITWALL_SOAK_HOURS says how many simulated hours, a twentieth
// of one if it doesn't; .ci/soak prints the table.
func TestSoak(t *testing.T) {
	hours := 0.05
	if s := os.Getenv("PITWALL_SOAK_HOURS"); s != "" {
		var err error
		if hours, err = strconv.ParseFloat(s, 64); err != nil || hours <= 0 || hours > 1000 {
			t.Fatalf("PITWALL_SOAK_HOURS=%s is not a number of hours", s)
		}
	}
	table := &soakTable{t: t}
	path := soakRecord(t, hours, table)
	soakRead(t, path, hours, table)
	table.print()
}

// soakSpeed is how many simulated seconds a second has where the machine can do it.
const soakSpeed = 300

func soakRecord(t *testing.T, hours float64, table *soakTable) string {
	t.Helper()
	server, err := sim.Start(t.Context(), sim.Options{Seed: 3, Speed: soakSpeed})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "sessions")
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: func(string) (string, bool) { return "", false }, exe: os.Executable}
	c := &config.Config{Engine: []string{server.URL()}, SessionsDir: dir}
	w, err := p.watchSimulated(c, server)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	rec, err := sessions.NewRecorder(sessions.Options{Dir: dir, Host: "soak", Simulated: true, Sources: w.Sources})
	if err != nil {
		t.Fatal(err)
	}
	w.follow(rec)
	began := time.Now()
	first := began.Truncate(time.Second)
	ticks := int(hours * 3600)
	used := processorTime()
	var quarter, heap, rss float64
	for i := range ticks {
		due := began.Add(time.Duration(i) * time.Second / soakSpeed)
		time.Sleep(time.Until(due)) // the simulation's clock, not a wait for something to happen
		if err := rec.Tick(t.Context(), first.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatalf("tick %d: %v", i, err)
		}
		if i%max(1, ticks/20) == ticks/20-1 || i == ticks-1 {
			heap, rss = memory(t)
			if quarter == 0 && i >= ticks/4 {
				quarter = heap
			}
			t.Logf("after %6.2f h: heap %5.1f MB, RSS %5.1f MB, %.1f s", float64(i+1)/3600, heap, rss, time.Since(began).Seconds())
		}
	}
	info := rec.Info()
	if info.Trouble != "" {
		t.Errorf("trouble: %s", info.Trouble)
	}
	table.row("simulated time", fmt.Sprintf("%.2f h in %.0f s", hours, time.Since(began).Seconds()), "", true)
	table.row("CPU of one tick, simulation and events included", fmt.Sprintf("%.1f ms", float64((processorTime()-used).Microseconds())/1000/float64(ticks)), "", true)
	table.row("heap after the first quarter, and at the end", fmt.Sprintf("%.1f MB, %.1f MB", quarter, heap), fmt.Sprintf("+%.0f MB", soakGrowth), heap-quarter <= soakGrowth)
	table.row("RSS at the end, the simulation included", fmt.Sprintf("%.0f MB", rss), "", true)
	path := info.Path
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func soakRead(t *testing.T, path string, hours float64, table *soakTable) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var r sessions.Reader
	open := best(t, 3, func() error {
		if r != nil {
			r.Close()
		}
		r, err = sessions.Open(path)
		return err
	})
	defer r.Close()
	first, last := r.Bounds()
	ask := func(expr string) float64 {
		res, err := r.Query(t.Context(), expr, last, sessions.Scope{})
		if err != nil || len(res.Vector()) != 1 {
			t.Fatalf("%s: %v, %v", expr, res.Vector(), err)
		}
		return res.Vector()[0].F
	}
	span := strconv.Itoa(int(last.Sub(first).Seconds())+1) + "s"
	// Every source's samples, and the four that the recorder writes about every reading.
	samples := ask("sum(sum_over_time(scrape_samples_scraped["+span+"]))") + 4*ask("sum(count_over_time(up["+span+"]))")
	perSample := float64(st.Size()) / samples
	day := float64(st.Size()) / 1e6 * 24 / hours
	// What a session has once (names, labels, help, the first block) weighs on a short one.
	perSampleBudget, perDayBudget := fmt.Sprintf("%.1f", soakPerSample), fmt.Sprintf("%.0f MB", soakPerDay)
	long := hours >= 1
	if !long {
		perSampleBudget, perDayBudget = "", ""
	}
	table.row("bytes per sample on disk", fmt.Sprintf("%.2f (%.1f million samples)", perSample, samples/1e6), perSampleBudget, perSample <= soakPerSample || !long)
	table.row("size of a day", fmt.Sprintf("%.0f MB", day), perDayBudget, day <= soakPerDay || !long)
	table.row("opening it", open.Round(time.Millisecond).String(), soakOpen.String(), open <= soakOpen)
	step := max(time.Second, last.Sub(first)/300).Truncate(time.Second)
	for _, panel := range [][2]string{
		{"tokens/s", `sum(rate(vllm:generation_tokens_total[$w]))`},
		{"queue", `sum(vllm:num_requests_waiting)`},
		{"TTFT p99", `histogram_quantile(0.99, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[$w])))`},
		{"power", `sum(DCGM_FI_DEV_POWER_USAGE)`},
	} {
		took := best(t, 3, func() error {
			res, err := r.QueryRange(t.Context(), panel[1], first, last, step, sessions.Scope{})
			if err == nil && len(res.Matrix()) != 1 {
				err = fmt.Errorf("%d series", len(res.Matrix()))
			}
			return err
		})
		table.row("a panel over all of it: "+panel[0], took.Round(time.Millisecond).String(), soakPanel.String(), took <= soakPanel)
	}
	soakScrubbing(t, r, table)
}

// soakScrubbing moves the cursor of the screen over the session, in the middle of it, as keys do.
func soakScrubbing(t *testing.T, r sessions.Reader, table *soakTable) {
	t.Helper()
	first, last := r.Bounds()
	for _, window := range []time.Duration{5 * time.Minute, ui.WholeSession} {
		m := ui.New(ui.Options{Reader: r, Replay: &ui.Replay{At: first.Add(last.Sub(first) / 2).Truncate(time.Second), Frozen: true}, Window: window,
			Environ: []string{"TERM=xterm-256color", "LANG=C.UTF-8"}})
		handle(m, tea.WindowSizeMsg{Width: 200, Height: 50})
		opening, ok := m.Init()().(tea.BatchMsg)
		if !ok {
			t.Fatal("the console opens without its screen and its beat")
		}
		follow(m, opening[0]) // the screen's; the beat behind it would go on for ever
		handle(m, tea.KeyPressMsg{Code: tea.KeyRight})
		took := make([]time.Duration, 100)
		shown := m.View().Content
		for i := range took {
			// Nine steps and a page to and fro, so that a short session has room for them.
			step, page := tea.KeyLeft, tea.KeyPgUp
			if i/10%2 == 1 {
				step, page = tea.KeyRight, tea.KeyPgDown
			}
			key := tea.KeyPressMsg{Code: step}
			if i%10 == 9 {
				key = tea.KeyPressMsg{Code: page}
			}
			began := time.Now()
			handle(m, key)
			now := m.View().Content
			took[i] = time.Since(began)
			if now == shown || !strings.Contains(now, "tok/s") {
				t.Fatalf("step %d of the cursor: it drew the same as before, or no number:\n%s", i, ansi.Strip(now))
			}
			shown = now
		}
		slices.Sort(took)
		name := "a step of the cursor, 200x50, " + window.String()
		if window == ui.WholeSession {
			name = "a step of the cursor, 200x50, the whole session"
		}
		table.row(name, fmt.Sprintf("%s, nine of ten ≤ %s", took[50].Round(100*time.Microsecond), took[90].Round(100*time.Microsecond)), soakScrub.String(), took[50] <= soakScrub)
	}
}

// handle gives the console a message, and everything that follows from it.
func handle(m *ui.Model, msg tea.Msg) {
	_, cmd := m.Update(msg)
	follow(m, cmd)
}

// follow runs a command of the console, and every one that follows from it.
func follow(m *ui.Model, cmd tea.Cmd) {
	for queue := []tea.Cmd{cmd}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == nil {
			continue
		}
		switch msg := queue[0]().(type) {
		case tea.BatchMsg:
			queue = append(queue, msg...)
		default:
			_, next := m.Update(msg)
			queue = append(queue, next)
		}
	}
}

func best(t *testing.T, n int, do func() error) time.Duration {
	t.Helper()
	least := time.Duration(1<<63 - 1)
	for range n {
		began := time.Now()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(began))
	}
	return least
}

// memory gives the heap that is in use, and what the process has of the machine's memory, in megabytes.
func memory(t *testing.T) (heap, rss float64) {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			rss, _ = strconv.ParseFloat(f[1], 64)
		}
	}
	return float64(m.HeapAlloc) / 1e6, rss / 1000
}

// soakTable is what was measured, beside its budget.
type soakTable struct {
	t     *testing.T
	lines []string
}

func (s *soakTable) row(what, got, budget string, ok bool) {
	mark := "ok"
	switch {
	case !ok:
		mark = "OVER BUDGET"
		s.t.Errorf("%s: %s, the budget is %s", what, got, budget)
	case budget == "":
		mark = ""
	}
	s.lines = append(s.lines, fmt.Sprintf("  %-56s %-38s %-9s %s", what, got, budget, mark))
}

func (s *soakTable) print() {
	fmt.Println(strings.Join(append([]string{fmt.Sprintf("  %-56s %-38s %s", "", "measured", "budget")}, s.lines...), "\n"))
}

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // it doesn't fail for RUSAGE_SELF
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
