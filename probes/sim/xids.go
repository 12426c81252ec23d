package sim

import (
	"time"

	"pitwall/probes/gpu"
)

// Watch gives the XIDs that faults make from now on.
func (l *library) Watch([]gpu.Device) (gpu.Watch, error) {
	d := l.s.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	return &xidWatch{s: l.s, seen: len(d.xids)}, nil
}

type xidWatch struct {
	s    *Server
	seen int
}

func (w *xidWatch) Next(timeout time.Duration) (gpu.XID, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		d := w.s.driver
		d.mu.Lock()
		if w.seen < len(d.xids) {
			x := d.xids[w.seen]
			w.seen++
			d.mu.Unlock()
			return x, nil
		}
		bell := d.bell
		d.mu.Unlock()
		select {
		case <-bell:
		case <-w.s.stopped:
			return gpu.XID{}, gpu.ErrClosed
		case <-timer.C:
			return gpu.XID{}, gpu.ErrTimeout
		}
	}
}

func (w *xidWatch) Close() error { return nil }
