//go:build !linux

package truth

import "time"

// alarm waits until a moment or until it is rung.
type alarm struct{ rung chan struct{} }

func newAlarm() (*alarm, error) { return &alarm{make(chan struct{}, 1)}, nil }

func (a *alarm) wait(d time.Duration) {
	if d < 0 {
		<-a.rung
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-a.rung:
	case <-t.C:
	}
}

func (a *alarm) ring() {
	select {
	case a.rung <- struct{}{}:
	default:
	}
}

func (a *alarm) close() {}
