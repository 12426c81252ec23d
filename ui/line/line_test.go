package line_test

import (
	"testing"
	"time"

	"pitwall/ui/line"
)

// lane is a terminal at the end of a line of so many bytes a second, on a clock that only it moves.
type lane struct {
	m      *line.Meter
	at     time.Time
	rate   float64
	free   time.Time // when all that was written has been shown
	answer time.Time
	mute   bool
}

func newLane(rate float64, asks bool) *lane {
	l := &lane{at: time.Unix(1_800_000_000, 0), rate: rate}
	l.m = line.New(asks, 0, func() time.Time { return l.at })
	l.free = l.at
	return l
}

func (l *lane) write(n int) {
	if l.free.Before(l.at) {
		l.free = l.at
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	if l.m.Wrote(n, 0) != "" && !l.mute {
		l.answer = l.free.Add(30 * time.Millisecond)
	}
}

// pass lets time go by in steps of 10 ms and brings answers when they are due.
func (l *lane) pass(d time.Duration) {
	for end := l.at.Add(d); l.at.Before(end); l.at = l.at.Add(10 * time.Millisecond) {
		if !l.answer.IsZero() && !l.at.Before(l.answer) {
			l.answer = time.Time{}
			l.m.Answered()
		}
	}
}

// run draws as the console does: a picture of so many bytes each period, unless the last one is on its way.
func (l *lane) run(seconds int, picture int) (worst time.Duration) {
	for end := l.at.Add(time.Duration(seconds) * time.Second); l.at.Before(end); {
		if !l.m.Busy() {
			l.write(picture)
		}
		worst = max(worst, l.free.Sub(l.at))
		l.pass(l.m.Beat())
	}
	return worst
}

func TestPeriod(t *testing.T) {
	for _, tc := range []struct {
		name    string
		rate    float64
		picture int
		want    time.Duration // 0: every second
	}{
		{"a fast line is drawn on every second", 1e6, 3000, 0},
		{"9,600 baud has 1,000 bytes every five seconds", 960, 1000, 5 * time.Second},
		{"9,600 baud has large pictures every ten", 960, 3000, 10 * time.Second},
		{"1,200 baud has them every thirty", 120, 1000, 30 * time.Second},
		{"115,200 baud needs nothing", 11_520, 3000, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLane(tc.rate, true)
			l.write(40)
			l.pass(time.Second)
			l.run(120, tc.picture)
			if got := l.m.Slow(); got != tc.want {
				t.Errorf("%v between two pictures (at %.0f bytes/s), want %v", got, l.m.Rate(), tc.want)
			}
		})
	}
}

func TestWhatIsOnItsWayIsNeverMoreThanOnePicture(t *testing.T) {
	l := newLane(960, true)
	l.write(40)
	l.pass(time.Second)
	if worst := l.run(300, 1500); worst > 1600*time.Millisecond {
		t.Errorf("%v of text were on their way, want at most one picture of 1.6 s", worst)
	}
}

func TestAFasterLineIsUsedAgain(t *testing.T) {
	l := newLane(960, true)
	l.write(40)
	l.pass(time.Second)
	l.run(60, 1500)
	if l.m.Slow() == 0 {
		t.Fatal("a slow line isn't noticed")
	}
	l.rate = 1e6
	l.run(300, 1500)
	if s := l.m.Slow(); s != 0 {
		t.Errorf("still %v between two pictures", s)
	}
}

func TestATerminalThatNeverAnswersIsNotWaitedFor(t *testing.T) {
	l := newLane(1e6, true)
	l.mute = true
	for range 50 {
		l.write(1000)
		if l.m.Busy() {
			t.Fatal("a picture waits for an answer that never came before")
		}
		l.pass(time.Second)
	}
}

func TestALostAnswerHoldsPicturesForSecondsOnly(t *testing.T) {
	l := newLane(1e6, true)
	l.write(40)
	l.pass(time.Second)
	l.mute = true
	l.write(1000)
	if !l.m.Busy() {
		t.Fatal("it isn't waited for")
	}
	l.pass(11 * time.Second)
	if l.m.Busy() {
		t.Error("it is still waited for after eleven seconds")
	}
}

func TestWhereItMayNotAskWritesAreTimed(t *testing.T) {
	m := line.New(false, 0, nil)
	for range 10 {
		if m.Wrote(2000, 2*time.Second) != "" {
			t.Fatal("it asks")
		}
		m.Beat()
	}
	if m.Slow() == 0 {
		t.Error("writes of two seconds are no slow line")
	}
}

func TestASerialLinesSpeedIsKnownBeforeTheFirstPicture(t *testing.T) {
	if m := line.New(true, 9600, nil); m.Slow() != 5*time.Second {
		t.Errorf("%v between two pictures at 9,600 baud, want 5 s", m.Slow())
	}
}
