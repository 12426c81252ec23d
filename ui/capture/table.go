package capture

import (
	"strconv"
	"strings"
	"time"

	"pitwall/ui/grid"
)

// ClipboardLimit is how much text a terminal takes with one OSC 52, in bytes: many read at most 100,000 characters, which
// carry this much in base64.
const ClipboardLimit = 74_994

// Table is the numbers of one panel.
type Table struct {
	// Title is the panel's, Of what it is about (engine, session), At the moment that it shows.
	Title, Of string
	At        time.Time
	// Columns name the fields of each of Rows.
	Columns []string
	Rows    [][]string
	// Notes stand below: where the numbers come from.
	Notes []string
}

// TSV gives the table as text with one tab between fields, as spreadsheets and awk take it: first lines with title and
// moment, then the columns' names, the rows, the notes.
func (t Table) TSV() string {
	var b strings.Builder
	line := func(fields ...string) {
		for i, f := range fields {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(field(f))
		}
		b.WriteByte('\n')
	}
	line("# "+t.Title, t.Of, t.At.Format(time.RFC3339))
	line(t.Columns...)
	for _, r := range t.Rows {
		line(r...)
	}
	for _, n := range t.Notes {
		line("# " + n)
	}
	return b.String()
}

// field makes text from outside harmless: no control characters, and nothing that a spreadsheet would take for a formula.
func field(s string) string {
	s = strings.TrimSpace(grid.Clean(s))
	if s == "" {
		return s
	}
	if strings.ContainsRune("=+@", rune(s[0])) || s[0] == '-' && !strings.ContainsRune("0123456789.", rune((s + " ")[1])) {
		return "'" + s
	}
	return s
}

// Fit cuts text at the end of a line so that it fits the clipboard; cut tells that something was left out.
func Fit(text string) (fitting string, cut bool) {
	if len(text) <= ClipboardLimit {
		return text, false
	}
	const rest = "# the rest did not fit the clipboard\n"
	text = text[:ClipboardLimit-len(rest)]
	return text[:strings.LastIndexByte(text, '\n')+1] + rest, true
}

// Copied says that so many rows went to the clipboard, and what may have kept them from it: no terminal answers.
func Copied(rows int, cut bool) string {
	text := strconv.Itoa(rows) + " rows sent to the terminal's clipboard (OSC 52"
	if cut {
		text = "sent to the terminal's clipboard as far as it takes them (" + strconv.Itoa(rows) + " rows asked, OSC 52"
	}
	return text + "; inside tmux: set -g set-clipboard on)"
}
