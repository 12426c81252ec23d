// Floor is the least that a program on pitwall's terminal stack can cost: Bubble Tea, a full screen, one tick a second,
// a screen of text of which one line changes. .ci/cost measures it beside pitwall, so that the difference is pitwall's own.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

type tick time.Time

func every() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tick(t) }) }

type model struct {
	now           time.Time
	width, height int
}

func (m model) Init() tea.Cmd { return every() }

func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		m.now = time.Time(msg)
		return m, every()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, tea.Quit
	}
	return m, nil
}

func (m model) View() tea.View {
	lines := make([]string, max(m.height, 1))
	for i := range lines {
		lines[i] = strings.Repeat("·", m.width)
	}
	lines[0] = "floor " + m.now.Format(time.TimeOnly)
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	return v
}

func main() {
	if _, err := tea.NewProgram(model{now: time.Now()}).Run(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
