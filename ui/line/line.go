// Package line watches how fast a terminal takes what is written to it, so that the console can draw less over a slow one.
//
// In go the bytes that Bubble Tea writes, and the terminal's answers to a question that is put behind them; out come how
// long to wait between two pictures and whether the last one has arrived. A write that returns says nothing: a pseudo
// terminal, sshd and the network hold a minute of a slow line's text in their buffers. So the terminal itself is asked,
// with the device attributes query that every one of them answers: its answer comes when all before it has been shown. A
// terminal that never answers is judged by how long writes take. The package draws nothing and never delays a write.
package line

import (
	"os"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
)

const (
	// question is asked behind what is to be measured.
	question = ansi.RequestPrimaryDeviceAttributes
	// askAfter is how many bytes are worth a question.
	askAfter = 256
	// givenUp is how long an answer is waited for at least before the terminal counts as one that doesn't answer.
	givenUp = 10 * time.Second
	// share is the part of a slow line's time that pictures may fill, so that a key's answer finds it free: a third.
	share = 3
)

// periods are the times between two pictures that there are.
var periods = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// Meter measures one terminal. It is safe for use by several goroutines.
type Meter struct {
	now  func() time.Time
	asks bool

	mu       sync.Mutex // guards the rest
	written  int        // bytes since the last question
	pending  int        // bytes that the question under way stands behind
	asked    time.Time  // when it was put; zero: none is under way
	answered bool       // it has answered once
	round    time.Duration
	rate     float64 // bytes a second; 0 while it is fast enough not to be known
	picture  float64 // bytes of a usual picture
	beat     int     // bytes since the last beat
	slow     time.Duration
	quick    int // beats in a row that would have allowed a shorter period
	total    int64
	muted    bool
}

// New makes a meter. asks says whether the terminal may be asked questions; now is the clock, nil for time.Now. baud is
// the speed that a serial line is set to, 0 if it is none.
func New(asks bool, baud int, now func() time.Time) *Meter {
	if now == nil {
		now = time.Now
	}
	m := &Meter{now: now, asks: asks, slow: periods[0]}
	if baud > 0 && baud <= 57_600 {
		// Known before the first byte: ten bits a byte, and a full picture is some thousand bytes.
		m.rate, m.picture = float64(baud)/10, 1500
		m.choose(true)
	}
	return m
}

// Wrote counts what was written and how long that took, and gives what is to be written behind it: a question, or "".
func (m *Meter) Wrote(n int, took time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written += n
	m.beat += n
	m.total += int64(n)
	if took > 300*time.Millisecond && n > 0 {
		m.learn(float64(n) / took.Seconds())
	}
	if !m.asks || m.muted || !m.asked.IsZero() || m.written < askAfter && m.answered {
		return ""
	}
	m.pending, m.written, m.asked = m.written, 0, m.now()
	return question
}

// Answered takes the terminal's answer.
func (m *Meter) Answered() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked.IsZero() {
		return
	}
	took := m.now().Sub(m.asked)
	m.asked = time.Time{}
	if !m.answered {
		// The first question stands behind little: the way there and back.
		m.answered, m.round = true, took
	}
	m.round = min(m.round, took)
	if d := took - m.round; d > 250*time.Millisecond && m.pending >= askAfter {
		m.learn(float64(m.pending) / d.Seconds())
	} else if m.pending >= askAfter && m.rate > 0 {
		m.learn(float64(m.pending) / max(d, 20*time.Millisecond).Seconds())
	}
}

// Mute stops the questions, because the terminal is about to be given back: an answer that came later would be typed into
// the shell. It gives how long the answer to the last one may still take, 0 if none is waited for.
func (m *Meter) Mute() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.muted = true
	if m.asked.IsZero() || !m.answered && m.now().Sub(m.asked) > time.Second {
		return 0
	}
	return min(max(4*m.round, 100*time.Millisecond)+m.now().Sub(m.asked), 2*time.Second)
}

// Unmute allows questions again: the terminal is the program's.
func (m *Meter) Unmute() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.muted, m.asked = false, time.Time{}
}

// learn takes a measurement of the line's speed, in bytes a second.
func (m *Meter) learn(rate float64) {
	if m.rate == 0 {
		m.rate = rate
		return
	}
	// A fast answer may be that of a busy machine's good moment, and so may a slow one be of its bad one.
	m.rate += (rate - m.rate) / 3
}

// Busy tells whether the last picture is still on its way: another one would only stand in its queue.
func (m *Meter) Busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked.IsZero() || !m.answered {
		return false
	}
	wait := givenUp
	if m.rate > 0 {
		wait = max(wait, time.Duration(4*float64(m.pending)/m.rate*float64(time.Second)))
	}
	if m.now().Sub(m.asked) > wait {
		m.asked = time.Time{} // the answer was lost
		return false
	}
	return true
}

// Beat is told that a period has gone by, and gives the next one: a second, or more on a line that needs it.
func (m *Meter) Beat() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.beat > 0 {
		if m.picture == 0 {
			m.picture = float64(m.beat)
		}
		m.picture += (float64(m.beat) - m.picture) / 4
		m.beat = 0
	}
	m.choose(false)
	return m.slow
}

// choose finds the shortest period in which a usual picture takes no more than its share of the line's time. It gets
// longer at once, and shorter only when that has held for a while.
func (m *Meter) choose(first bool) {
	want := periods[0]
	if m.rate > 0 {
		need := time.Duration(share * m.picture / m.rate * float64(time.Second))
		want = periods[len(periods)-1]
		for _, p := range periods {
			if p >= need {
				want = p
				break
			}
		}
	}
	switch {
	case want >= m.slow || first:
		m.slow, m.quick = max(want, periods[0]), 0
	default:
		if m.quick++; m.quick >= 3 {
			m.slow, m.quick = want, 0
		}
	}
}

// Slow gives the time between two pictures if the line needs more than a second, 0 if it doesn't.
func (m *Meter) Slow() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slow <= periods[0] {
		return 0
	}
	return m.slow
}

// Rate is the line's speed in bytes a second, 0 while it was never slow enough to be measured.
func (m *Meter) Rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rate
}

// Total is how many bytes have been written.
func (m *Meter) Total() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// File is a terminal whose writes are measured. It is what Bubble Tea takes for a terminal.
type File struct {
	*os.File
	Meter *Meter
}

// Write writes to the terminal, and asks it whether it keeps up.
func (f File) Write(b []byte) (int, error) {
	began := time.Now()
	n, err := f.File.Write(b)
	if err != nil {
		return n, err
	}
	if q := f.Meter.Wrote(n, time.Since(began)); q != "" {
		if _, err := f.File.WriteString(q); err != nil {
			return n, err
		}
	}
	return n, nil
}
