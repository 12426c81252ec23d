package main

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchingNeedsOneProcessorAndLoadGetsAll(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	for _, c := range []struct {
		name   string
		before func(*processors) // before the start is over
		after  func(*processors)
		want   int
	}{
		{"watching", func(*processors) {}, func(*processors) {}, 1},
		{"load that came later", func(*processors) {}, (*processors).load, all},
		{"load that was there from the start", (*processors).load, func(*processors) {}, all},
	} {
		synctest.Test(t, func(t *testing.T) {
			runtime.GOMAXPROCS(all)
			var p processors
			p.watch()
			c.before(&p)
			time.Sleep(narrowAfter) // in a bubble: nobody waits
			synctest.Wait()
			c.after(&p)
			if got := runtime.GOMAXPROCS(0); got != c.want {
				t.Errorf("%s: %d processors, want %d", c.name, got, c.want)
			}
		})
	}
}

func TestTheNumberOfProcessorsThatWasAskedForStands(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	t.Setenv("GOMAXPROCS", "7")
	synctest.Test(t, func(t *testing.T) {
		var p processors
		p.watch()
		time.Sleep(narrowAfter) // in a bubble: nobody waits
		synctest.Wait()
		p.load()
	})
	if got := runtime.GOMAXPROCS(0); got != all {
		t.Errorf("%d processors, want the %d from before", got, all)
	}
}
