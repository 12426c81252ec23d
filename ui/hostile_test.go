package ui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/ui/capture"
	"pitwall/ui/internal/staged"
	"pitwall/ui/screen"
)

// harmless fails for anything in a stream to the terminal that only text from outside can have brought: a control sequence
// that the renderer never uses, a second window title, a mark that turns the direction of writing, invalid UTF-8.
func harmless(t *testing.T, out []byte) {
	t.Helper()
	for i := 0; i < len(out); {
		r, n := utf8.DecodeRune(out[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			t.Errorf("invalid UTF-8 at %q", near(out, i))
			return
		case r == 0x1b:
			m := sequence(out[i:])
			if m == 0 {
				t.Errorf("a control sequence that is not the renderer's: %q", near(out, i))
				return
			}
			n = m
		case r < 0x20 && r != '\r' && r != '\n' && r != '\b' && r != '\t', r >= 0x7f && r < 0xa0, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			t.Errorf("%q in %q", r, near(out, i))
			return
		}
		i += n
	}
}

// sequence gives the length of one of the sequences that the renderer uses: CSI with its own final letters, and the window's
// title. 0 for all others.
func sequence(b []byte) int {
	if strings.HasPrefix(string(b[:min(len(b), 4)]), "\x1b]2;") {
		for i := 4; i < len(b); i++ {
			if b[i] == 7 {
				return i + 1
			}
			if b[i] < 0x20 || b[i] == 0x7f {
				return 0
			}
		}
		return 0
	}
	if len(b) < 3 || b[1] != '[' {
		if len(b) > 1 && b[1] == 'M' { // one line up
			return 2
		}
		return 0
	}
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9', c == ';', c == ':', c == '?':
		case strings.ContainsRune("mHABCDGdJKXPbLMSTrhlEF@IZ`a", rune(c)):
			return i + 1
		default:
			return 0
		}
	}
	return 0
}

func near(b []byte, i int) string { return string(b[max(0, i-20):min(len(b), i+20)]) }

// listing adds the catalogue of series that a staged session has none of.
type listing struct {
	*staged.Session
	series []sessions.SeriesInfo
}

func (l listing) Series(string) []sessions.SeriesInfo { return l.series }

// TestNothingFromOutsideReachesTheTerminalAsACommand feeds hostile text through every way into the screen and looks at the
// bytes that go to the terminal.
func TestNothingFromOutsideReachesTheTerminalAsACommand(t *testing.T) {
	t.Parallel()
	for i, name := range nasty {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s := staged.Busy(clock, 1+i%2*7)
			for k := range s.FactsNow {
				s.FactsNow[k] = name
			}
			s.FactsNow["engine/127.0.0.1:8000/dialect"] = "vllm"
			s.InfoNow.Name, s.InfoNow.Trouble, s.InfoNow.ID, s.InfoNow.Host, s.InfoNow.Path = name, name, name, name, filepath.Join(string(filepath.Separator), name)
			s.TargetsNow[0].Up, s.TargetsNow[0].Err, s.TargetsNow[0].Instance = false, name, name
			for _, k := range []string{"DCGM_FI_DEV_GPU_UTIL", "engine:running", "engine:waiting", "up"} {
				s.AbsentNow[k] = name
			}
			for _, kind := range []string{probes.KindMark, probes.KindEngineState, "gpu.xid", name} {
				s.EventsAll = append(s.EventsAll, probes.Event{Time: clock.Add(-time.Second), Kind: kind, Subject: name, Severity: probes.Critical, Title: name,
					Attrs: map[string]string{"reason": name, "cause": name, "expr": name, "value": name, "threshold": name, "phase": "began", "state": name}})
			}
			reader := listing{s, []sessions.SeriesInfo{{Labels: map[string]string{"__name__": name, "l": name, name: "x"}, Help: name, Type: name}, {Labels: map[string]string{"__name__": "ok", "l": name}, Help: name, Type: "gauge"}}}
			m := console(t, s, 160, 45, func(o *Options) {
				o.Reader, o.Tried, o.Version, o.Actions = reader, []string{name}, name, &failing{name}
			})
			x := newWire(160, 45, colorprofile.TrueColor)
			send := func(where string) {
				harmless(t, x.send(m.View()))
				fits(t, shown(m), 160, 45)
				if t.Failed() {
					t.Fatalf("name %d, %s", i, where)
				}
			}
			send("at first")
			for _, keys := range [][]string{{"2"}, {"esc"}, {"4"}, {"5"}, {"6"}, {"esc", "?"}, {"esc", "esc", "e"}, {"esc", "v"}, {"esc", "esc", "/"}, {"enter"}, {"enter"}, {"space"}, {"y"}, {"esc", "esc", "S"}, {"esc", "B"}, {"R"}, {"space"}, {"t"}, {"esc", "x"}, {"n"}} {
				press(t, m, keys...)
				send("after " + strings.Join(keys, " "))
			}
			m.Update(screen.Say{Text: name, Bad: true})
			send("what is said")
			press(t, m, "m")
			m.Update(tea.PasteMsg{Content: name})
			send("what is pasted")
			press(t, m, "esc", "/")
			m.Update(tea.PasteMsg{Content: name})
			send("what is pasted into the filter")
			press(t, m, "esc", "esc", "S")
			m.Update(tea.PasteMsg{Content: name})
			send("what is pasted as a file's name")
			s.Err = fmt.Errorf("query %s: %s", name, name)
			press(t, m, "esc", "2")
			settle(m, m.pass())
			send("the error of a query")
		})
	}
}

// failing is a recorder whose every answer is an error in hostile words.
type failing struct{ words string }

func (f *failing) Mark(context.Context, string) error { return fmt.Errorf("%s", f.words) }
func (f *failing) HandOver(context.Context) (sessions.Reader, error) {
	return nil, fmt.Errorf("%s", f.words)
}
func (f *failing) TakeOver(context.Context) (sessions.Reader, error) {
	return nil, fmt.Errorf("%s", f.words)
}

// TestWhatIsCopiedIsText looks at what y gives to the clipboard: the sequence that carries it is base64, and what it
// carries has no control character but line ends and tabs.
func TestWhatIsCopiedIsText(t *testing.T) {
	for i, name := range nasty {
		s := staged.Busy(clock, 1)
		for k := range s.FactsNow {
			if strings.HasSuffix(k, "/cache_dtype") || strings.HasSuffix(k, "/name") {
				s.FactsNow[k] = name
			}
		}
		m := console(t, s, 160, 45)
		press(t, m, "4")
		text := copied(t, m)
		if !strings.HasPrefix(text, "# KV cache\t127.0.0.1:8000") || !strings.Contains(text, "\nrow\tvalue\t") {
			t.Fatalf("name %d: copied %q", i, text[:min(len(text), 200)])
		}
		for _, r := range text {
			if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
				t.Fatalf("name %d: %q is copied", i, r)
			}
		}
		if len(text) > capture.ClipboardLimit {
			t.Fatalf("name %d: %d bytes", i, len(text))
		}
	}
}

// copied presses y and gives what goes to the clipboard.
func copied(t *testing.T, m *Model) string {
	t.Helper()
	_, cmd := m.Update(key("y"))
	batch, ok := cmd().(tea.BatchMsg)
	if !ok {
		t.Fatal("y does nothing")
	}
	for _, c := range batch {
		// Bubble Tea's own message type is not exported; it is a string.
		if msg := c(); fmt.Sprintf("%T", msg) == "tea.setClipboardMsg" {
			return fmt.Sprint(msg)
		}
	}
	t.Fatal("nothing goes to the clipboard")
	return ""
}

func TestTheScreenIsSavedAsItStands(t *testing.T) {
	dir := t.TempDir()
	s := staged.Busy(clock, 1)
	s.InfoNow.Path = filepath.Join(dir, "s.pitwall")
	m := console(t, s, 160, 45)
	before := shown(m)
	press(t, m, "S", "tab", "tab", "enter") // SVG, PNG, text
	files, err := filepath.Glob(filepath.Join(dir, "pitwall-20261124-231800-7f3a-*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("saved %v (%v)", files, err)
	}
	if got := read(t, files[0]); got != trimmed(before) {
		t.Errorf("saved\n%s\nwant\n%s", got, trimmed(before))
	}
	if !strings.Contains(shown(m), "saved "+dir) {
		t.Errorf("it isn't said where:\n%s", shown(m))
	}
	press(t, m, "S", "tab", "tab", "enter")
	if !strings.Contains(shown(m), "is there already") {
		t.Errorf("a second one isn't refused:\n%s", shown(m))
	}
}

func TestALongMessageIsReadToItsEnd(t *testing.T) {
	m := console(t, staged.Busy(clock, 1), 80, 24)
	long := "hand over the recording: " + strings.Repeat("the background recorder did not answer; ", 6) + "its log is recorder.log"
	m.Update(screen.Say{Text: long, Bad: true})
	if !strings.Contains(shown(m), "recorder.log") {
		t.Errorf("the end is not on the screen:\n%s", shown(m))
	}
	fits(t, shown(m), 80, 24)
	m.Update(screen.Say{Text: strings.Repeat("endless ", 2000), Bad: true})
	fits(t, shown(m), 80, 24)
	if !strings.Contains(shown(m), "…") || !strings.Contains(shown(m), "pitwall") {
		t.Errorf("an endless message:\n%s", shown(m))
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// trimmed gives a picture with no blanks at the ends of its lines, and a line end at its own.
func trimmed(pic string) string {
	lines := strings.Split(pic, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}
