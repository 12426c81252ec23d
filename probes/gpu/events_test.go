package gpu

import (
	"testing"
	"testing/synctest"
	"time"

	"pitwall/probes"
)

func TestXIDsAreEventsAndTheLastOneASeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(2, nil)
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		synctest.Wait()
		r := newReader(t, c)
		if got, _ := r.read(); got["DCGM_FI_DEV_XID_ERRORS 1"] != 0 || len(r.events) != 0 {
			t.Errorf("before: %v", r.events)
		}
		for _, x := range []XID{{1, 13, 2}, {-1, 999, -1}} {
			b.xids <- x
			synctest.Wait()
		}
		if got, _ := r.read(); got["DCGM_FI_DEV_XID_ERRORS 1"] != 13 || got["DCGM_FI_DEV_XID_ERRORS 0"] != 0 {
			t.Errorf("values: %v", got)
		}
		if len(r.events) != 2 {
			t.Fatalf("events: %v", r.events)
		}
		e := r.events[0]
		if e.Subject != "gpu/1" || e.Attrs["xid"] != "13" || e.Attrs["instance"] != "2" || e.Severity != probes.Warning ||
			e.Attrs["meaning"] == "" || e.Time.IsZero() {
			t.Errorf("first event: %+v", e)
		}
		if e := r.events[1]; e.Subject != "gpu" || e.Title != "XID 999: see NVIDIA's list of XID errors" {
			t.Errorf("second event: %+v", e)
		}
	})
}

func TestThrottlingIsAnEventWhenItBeginsAndWhenItHasCalmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(1, nil)
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		r := newReader(t, c)
		set := func(mask uint64) {
			b.gpus[0].mu.Lock()
			b.gpus[0].reasons = mask
			b.gpus[0].mu.Unlock()
		}
		time.Sleep(10*time.Second + time.Millisecond) // under a power cap, which is none
		for range 5 {                                 // the sampled bit comes and goes
			set(0x20)
			time.Sleep(2 * time.Second)
			set(0)
			time.Sleep(2 * time.Second)
		}
		r.read()
		if ts := r.titles("gpu.throttle"); len(ts) != 1 ||
			ts[0] != "GPU 0: the driver slows it down, because GPU or memory is too hot" {
			t.Errorf("events: %q", ts)
		}
		time.Sleep(15 * time.Second)
		r.read()
		if ts := r.titles("gpu.throttle"); len(ts) != 2 || r.events[1].Attrs["lasted"] != "17s" || r.events[1].Attrs["over"] != "true" {
			t.Errorf("events: %v", r.events)
		}
	})
}

func TestEventsThatNobodyTakesAreDroppedAndCounted(t *testing.T) {
	c := Nothing("no driver")
	defer c.Close()
	for range maxEvents + 7 {
		c.event(probes.Event{Kind: "gpu.xid"})
	}
	es := c.Events()
	if last := es[len(es)-1]; len(es) != maxEvents+1 || last.Attrs["dropped"] != "7" {
		t.Errorf("%d events, the last %+v", len(es), last)
	}
	if len(c.Events()) != 0 {
		t.Error("Events must empty what it gives")
	}
}
