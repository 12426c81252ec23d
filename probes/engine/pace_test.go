package engine

import (
	"testing"
	"time"
)

func TestTheIntervalKeepsScrapesBelowAHundredthOfTheTime(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0:                       time.Second,
		4 * time.Millisecond:    time.Second,
		10 * time.Millisecond:   time.Second,
		10_100_000:              2 * time.Second,
		25 * time.Millisecond:   3 * time.Second,
		50 * time.Millisecond:   5 * time.Second,
		140 * time.Millisecond:  5 * time.Second,
		1900 * time.Millisecond: 5 * time.Second,
	} {
		var p pace
		p.took(time.Unix(0, 0), took)
		if p.interval() != want {
			t.Errorf("a scrape of %v leads to %v, want %v", took, p.interval(), want)
		}
	}
}

func TestThePace(t *testing.T) {
	type scrapes struct {
		n    int
		took time.Duration
	}
	cases := []struct {
		what string
		in   []scrapes // a second apart
		want time.Duration
	}{
		{"nothing scraped yet: one second", nil, time.Second},
		{"one slow scrape among fast ones moves it up no more than its weight does", []scrapes{{20, 4 * time.Millisecond}, {1, 40 * time.Millisecond}}, 2 * time.Second},
		{"lasting load moves it up within a few scrapes", []scrapes{{20, 4 * time.Millisecond}, {10, 140 * time.Millisecond}}, 5 * time.Second},
		{"it stays up while the average is only just low enough", []scrapes{{1, 25 * time.Millisecond}, {300, 19 * time.Millisecond}}, 3 * time.Second},
		{"it does not come down at once", []scrapes{{1, 25 * time.Millisecond}, {25, time.Millisecond}}, 3 * time.Second},
		{"it comes down a second after half a minute", []scrapes{{1, 25 * time.Millisecond}, {45, time.Millisecond}}, 2 * time.Second},
		{"it comes all the way down", []scrapes{{1, time.Second}, {300, time.Millisecond}}, time.Second},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			var p pace
			now := time.Unix(1e9, 0)
			for _, s := range c.in {
				for range s.n {
					now = now.Add(time.Second)
					p.took(now, s.took)
				}
			}
			if p.interval() != c.want {
				t.Errorf("interval %v, want %v (average %v)", p.interval(), c.want, p.average)
			}
		})
	}
}

func TestAScoredRunIsScrapedEveryFiveSeconds(t *testing.T) {
	var p pace
	p.took(time.Unix(1, 0), time.Millisecond)
	p.scored = true
	if p.interval() != 5*time.Second {
		t.Errorf("interval %v", p.interval())
	}
	if p.scored = false; p.interval() != time.Second {
		t.Errorf("afterwards %v", p.interval())
	}
}

func TestALoadThatComesAndGoesDoesNotMakeTheIntervalSwing(t *testing.T) {
	var p pace
	now := time.Unix(1e9, 0)
	changes, last := 0, p.interval()
	for i := range 600 {
		now = now.Add(time.Second)
		took := 5 * time.Millisecond
		if i/5%2 == 0 {
			took = 25 * time.Millisecond
		}
		p.took(now, took)
		if i > 30 && p.interval() != last {
			changes++
		}
		last = p.interval()
	}
	if changes > 2 {
		t.Errorf("%d changes in ten minutes", changes)
	}
}
