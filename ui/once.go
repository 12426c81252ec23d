package ui

import (
	"context"
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// onceSteps bounds how many messages a picture may take.
const onceSteps = 1000

// Once gives one picture of the console as text, w by h cells, without a terminal: what the screen shows when its first
// questions are answered.
func Once(ctx context.Context, o Options, w, h int) (string, error) {
	m := New(o)
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	queue := []tea.Cmd{m.screen.Init()}
	for n := 0; len(queue) > 0; n++ {
		cmd := queue[0]
		queue = queue[1:]
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case n > onceSteps:
			return "", errors.New("the screen doesn't come to rest")
		case cmd == nil:
			continue
		}
		switch msg := cmd().(type) {
		case tea.BatchMsg:
			queue = append(queue, msg...)
		case tea.QuitMsg:
		default:
			_, next := m.Update(msg)
			queue = append(queue, next)
		}
	}
	lines := strings.Split(ansi.Strip(m.View().Content), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n") + "\n", nil
}
