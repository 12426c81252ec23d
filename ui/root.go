package ui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"pitwall/ui/capture"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/keys"
	"pitwall/ui/line"
	"pitwall/ui/live"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// Model is the root: it keeps the size, the time, the theme, and the boxes on top of its screen.
type Model struct {
	opts   Options
	env    environ
	now    func() time.Time
	screen screen.Screen
	boxes  []screen.Overlay

	w, h    int
	at      time.Time
	profile colorprofile.Profile
	dark    bool
	theme   *theme.Theme

	said      screen.Say
	saidUntil time.Time

	// line tells how much the terminal takes; thrifty is whether it had to be spared the last time the theme was made.
	line    *line.Meter
	thrifty bool
	// leaving is the message to quit or to suspend while the terminal still owes an answer; left that it may go through.
	leaving tea.Msg
	left    bool

	// revision counts what could change the picture. View is called after every message, also after those that change
	// nothing, so the picture is kept for as long as the revision stands.
	revision uint64
	picture  struct {
		revision uint64
		text     string
	}
}

// New makes a console with the live screen on it. It is a tea.Model.
func New(o Options) *Model {
	m := &Model{opts: o, env: newEnviron(o.Environ), now: o.Now, dark: o.Config.Theme != "light", profile: colorprofile.TrueColor, revision: 1}
	if m.now == nil {
		m.now = time.Now
	}
	m.at = m.now()
	m.line = line.New(false, 0, m.now)
	m.opts.Config.ASCII = o.Config.ASCII || m.env.asciiOnly()
	m.opts.Config.NoColor = o.Config.NoColor || m.env.noColor()
	m.screen = live.New(live.Options{Reader: o.Reader, Actions: o.Actions, Engine: o.Engine, Window: o.Window, Replay: o.Replay, Tried: o.Tried, Version: o.Version, Now: m.at,
		Book: o.Panels, Page: o.Page, Notice: o.Notice, Load: o.Load, Presets: o.Presets})
	m.restyle()
	return m
}

func (m *Model) restyle() {
	p := m.profile
	if m.opts.Config.NoColor {
		p = colorprofile.ASCII
	}
	if m.thrifty = m.line.Slow() > 0; m.thrifty && p > colorprofile.ANSI {
		p = colorprofile.ANSI // a colour of sixteen takes five bytes, one of all of them nineteen
	}
	m.theme = theme.New(theme.Options{Dark: m.dark, Profile: p})
	m.revision++
}

// beat is the root's clock.
type beat struct{}

// nextBeat comes after a second, or later where the line to the terminal needs it.
func (m *Model) nextBeat() tea.Cmd {
	return tea.Tick(m.line.Beat(), func(time.Time) tea.Msg { return beat{} })
}

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.screen.Init(), m.nextBeat()}
	if t := m.opts.Config.Theme; (t == "" || t == "auto") && !m.opts.Config.NoColor && m.env.answers() {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	if m.env.overSSH() && m.env.answers() && !m.opts.Config.NoSync {
		// Bubble Tea doesn't even ask for synchronized output over SSH. Terminals that don't know the mode ignore it.
		cmds = append(cmds, func() tea.Msg { return tea.ModeReportMsg{Mode: ansi.ModeSynchronizedOutput, Value: ansi.ModeReset} })
	}
	if m.env.overSSH() && m.env.answers() && !m.opts.Config.NoColor {
		// SSH doesn't forward COLORTERM: ask the terminal itself whether it has all colours.
		cmds = append(cmds, tea.RequestCapability("RGB"), tea.RequestCapability("Tc"))
	}
	return tea.Batch(cmds...)
}

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.w, m.h = msg.Width, msg.Height
		m.revision++
		return m, m.tell(screen.Size{W: m.w, H: m.h})
	case tea.ColorProfileMsg:
		if m.profile != msg.Profile {
			m.profile = msg.Profile
			m.restyle()
		}
		return m, nil
	case tea.BackgroundColorMsg:
		if t := m.opts.Config.Theme; (t == "" || t == "auto") && m.dark != msg.IsDark() {
			m.dark = msg.IsDark()
			m.restyle()
		}
		return m, nil
	case beat:
		return m, tea.Batch(m.nextBeat(), m.pass())
	case tea.ResumeMsg:
		m.line.Unmute()
		m.left = false
		m.at = m.now()
		m.revision++
		return m, m.screen.Update(screen.Resumed{Now: m.at})
	case screen.Open:
		m.boxes = append(m.boxes, msg.Overlay)
		m.revision++
		if l, ok := msg.Overlay.(screen.Listener); ok {
			return m, l.Init()
		}
		return m, nil
	case screen.Save:
		c := grid.New(m.w, m.h)
		m.screen.Draw(c.Pane(), m.frame())
		sheet := capture.Sheet{Canvas: c, Theme: m.theme, ASCII: m.opts.Config.ASCII, Title: m.screen.Title()}
		m.boxes = append(m.boxes, capture.NewSave(sheet, msg.Path))
		m.revision++
		return m, nil
	case uv.PrimaryDeviceAttributesEvent:
		m.line.Answered()
		return m, m.goes()
	case owing:
		m.leaving = msg.then
		return m, tea.Tick(msg.patience, func(time.Time) tea.Msg { return unanswered{} })
	case unanswered:
		return m, m.goes()
	case screen.Mouse:
		m.opts.Config.Mouse = !m.opts.Config.Mouse
		text := "mouse off"
		if m.opts.Config.Mouse {
			text = "mouse on: click or drag in a chart, click an event or a title; the wheel zooms time; select text with shift"
		}
		m.said, m.saidUntil = screen.Say{Text: text}, m.at.Add(5*time.Second)
		m.revision++
		return m, nil
	case screen.Say:
		m.said, m.saidUntil = msg, m.at.Add(5*time.Second)
		if msg.Bad {
			m.saidUntil = m.at.Add(15 * time.Second)
		}
		m.revision++
		return m, nil
	case tea.KeyPressMsg:
		m.revision++
		return m, m.key(msg)
	case tea.PasteMsg:
		if n := len(m.boxes); n > 0 {
			m.revision++
			return m, m.box(msg)
		}
		return m, nil
	case tea.MouseClickMsg:
		if msg.Button != tea.MouseLeft || len(m.boxes) > 0 {
			return m, nil
		}
		m.revision++
		return m, m.screen.Click(msg.X, msg.Y)
	case tea.MouseMotionMsg:
		if d, ok := m.screen.(screen.Dragger); ok && msg.Button == tea.MouseLeft && len(m.boxes) == 0 {
			if cmd, used := d.Drag(msg.X, msg.Y); used {
				m.revision++
				return m, cmd
			}
		}
		return m, nil
	case tea.MouseWheelMsg:
		if w, ok := m.screen.(screen.Wheeler); ok && len(m.boxes) == 0 {
			by := 1
			if msg.Button == tea.MouseWheelUp {
				by = -1
			}
			if cmd, used := w.Wheel(msg.X, msg.Y, by); used {
				m.revision++
				return m, cmd
			}
		}
		k := tea.KeyPressMsg{Code: tea.KeyDown}
		if msg.Button == tea.MouseWheelUp {
			k.Code = tea.KeyUp
		}
		m.revision++
		return m, m.key(k)
	case tea.EnvMsg, tea.ModeReportMsg, tea.CapabilityMsg, tea.KeyReleaseMsg, tea.MouseReleaseMsg, tea.FocusMsg, tea.BlurMsg:
		return m, nil
	}
	m.revision++
	return m, m.tell(msg)
}

// pass lets the time go on to now.
func (m *Model) pass() tea.Cmd {
	m.at = m.now()
	m.revision++
	if slow := m.line.Slow() > 0; slow && !m.thrifty {
		m.restyle() // not back again: that would cost a whole picture
	}
	return m.tell(screen.Tick{Now: m.at})
}

// owing stands for a message that would give the terminal back while it still owes an answer.
type owing struct {
	then     tea.Msg
	patience time.Duration
}

// unanswered says that the answer was waited for long enough.
type unanswered struct{}

// hold is Bubble Tea's filter: it holds what gives the terminal back until the terminal owes no answer, because that would
// be typed into the shell.
func (m *Model) hold(_ tea.Model, msg tea.Msg) tea.Msg {
	switch msg.(type) {
	case tea.QuitMsg, tea.SuspendMsg:
		if patience := m.line.Mute(); patience > 0 && !m.left {
			return owing{msg, patience}
		}
	}
	return msg
}

// goes lets the message go that was held.
func (m *Model) goes() tea.Cmd {
	then := m.leaving
	if then == nil {
		return nil
	}
	m.leaving, m.left = nil, true
	return func() tea.Msg { return then }
}

// tell gives a message to the screen and to the boxes that listen.
func (m *Model) tell(msg tea.Msg) tea.Cmd {
	cmds := []tea.Cmd{m.screen.Update(msg)}
	for _, b := range m.boxes {
		if l, ok := b.(screen.Listener); ok {
			cmds = append(cmds, l.Update(msg))
		}
	}
	return tea.Batch(cmds...)
}

// key gives a key to the topmost box, or does what the screen's bindings say.
func (m *Model) key(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case len(m.boxes) > 0:
		return m.box(msg)
	}
	m.said = screen.Say{}
	b, ok := keys.Find(m.screen.Keys(), name)
	if !ok {
		return nil
	}
	if why := b.Reason(); why != "" {
		m.said, m.saidUntil = screen.Say{Text: b.Label() + ": not now, " + why}, m.at.Add(5*time.Second)
		return nil
	}
	return b.Run(name)
}

// box gives a message to the topmost box.
func (m *Model) box(msg tea.Msg) tea.Cmd {
	n := len(m.boxes) - 1
	cmd, closed := m.boxes[n].Key(msg)
	if closed {
		m.boxes = m.boxes[:n]
	}
	return cmd
}

// View implements tea.Model.
func (m *Model) View() tea.View {
	// While the last picture is still on its way over a slow line another one would only stand behind it. What comes then
	// is drawn when it has arrived: its answer is a message, and after each message this is called.
	if m.picture.revision != m.revision && (m.picture.text == "" || !m.line.Busy()) {
		m.picture.revision, m.picture.text = m.revision, m.draw()
	}
	v := tea.NewView(m.picture.text)
	v.AltScreen = true
	v.WindowTitle = grid.Clean(m.screen.Title())
	if m.opts.Config.Mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	return v
}

func (m *Model) frame() screen.Frame {
	return screen.Frame{Now: m.at, Theme: m.theme, ASCII: m.opts.Config.ASCII}
}

// draw makes the picture.
func (m *Model) draw() string {
	if m.w <= 0 || m.h <= 0 {
		return ""
	}
	c := grid.New(m.w, m.h)
	f := m.frame()
	p := c.Pane()
	m.screen.Draw(p, f)
	slow := m.line.Slow()
	for i, b := range m.boxes {
		if d, ok := b.(screen.Docked); ok {
			x, y, w, h := d.Dock(m.w, m.h)
			b.Draw(p.Sub(x, y, w, h), f)
			continue
		}
		if i == 0 && slow == 0 { // fading what is below writes all of it again
			c.Fade(theme.Faint)
		}
		w, h := b.Size(m.w, m.h)
		w, h = min(max(w, 10), m.w), min(max(h, 3), m.h)
		b.Draw(p.Sub((m.w-w)/2, (m.h-h)/2, w, h), f)
	}
	if n := len(m.boxes); n > 0 {
		m.hint(p, m.boxes[n-1])
	}
	if slow > 0 {
		p.Right(m.w-2, m.h-2, theme.Notice, " slow line: drawing every "+figure.Ago(slow)+" ")
	}
	if m.said.Text != "" && m.at.Before(m.saidUntil) {
		m.toast(p)
	}
	return c.String(m.theme, m.opts.Config.ASCII)
}

// toastLines is how many lines what is said may take; the rest of it is cut.
const toastLines = 5

// toast writes what is said on the last line, and on those above it as far as it needs them. Over a box it stands above
// the box's keys.
func (m *Model) toast(p grid.Pane) {
	ink := theme.Badge
	if m.said.Bad {
		ink = theme.Alarm
	}
	last := m.h - 1
	if len(m.boxes) > 0 {
		last--
	}
	room := m.w - 6
	text := strings.Join(strings.Fields(grid.Clean(m.said.Text)), " ")
	lines := grid.Wrap(text, room)
	if most := min(toastLines, last+1); len(lines) > most {
		lines = lines[:max(most, 0)]
		if most > 0 {
			lines[most-1] = grid.Cut(lines[most-1]+"…", room)
		}
	}
	width := 0
	for _, l := range lines {
		width = max(width, grid.Width(l))
	}
	for i, l := range lines {
		p.Text(2, last-len(lines)+1+i, ink, " "+grid.Pad(l, width)+" ")
	}
	// Half a key beside it would be read as one.
	for x := 4 + width; x < m.w-2 && len(lines) > 0; x++ {
		a, _ := p.At(x, last)
		b, _ := p.At(x+1, last)
		if a == ' ' && b == ' ' || a == '─' {
			break
		}
		p.Rune(x, last, theme.Plain, ' ')
	}
}

// hint writes the topmost box's keys on the last line. Where there is no room for all the last one stays, which leads back.
func (m *Model) hint(p grid.Pane, b screen.Overlay) {
	p.Line(0, m.h-1, m.w, theme.Plain, ' ')
	list := slices.Clone(b.Hint())
	width := func() int {
		n := 2
		for _, h := range list {
			n += grid.Width(h[0]) + grid.Width(h[1]) + 3
		}
		return n
	}
	for n := len(list); n > 1 && width() > m.w+1; n-- {
		list = slices.Delete(list, n-2, n-1)
	}
	x := 2
	for _, h := range list {
		x = p.Text(x, m.h-1, theme.Key, h[0])
		x = p.Text(x, m.h-1, theme.Dim, " "+h[1]) + 2
	}
}
