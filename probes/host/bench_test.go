//go:build linux

package host

import (
	"fmt"
	"testing"
	"time"

	"pitwall/probes"
)

// BenchmarkReading is one pull as the recorder makes it, once a second, of the recorded machine with the real vLLM's
// processes and 400 others. The budget is 2 ms.
func BenchmarkReading(b *testing.B) {
	tr := plant(b)
	for i := range 400 {
		tr.spawn(20000+i, 1, "postgres", float64(i)/10, "postgres: idle", fmt.Sprint(i))
	}
	benchmarkReading(b, tr.options())
}

// BenchmarkReadingThisMachine is the same on the kernel's own /proc, whose files cost more than those of a disk.
func BenchmarkReadingThisMachine(b *testing.B) { benchmarkReading(b, Options{}) }

func benchmarkReading(b *testing.B, o Options) {
	c := New(o)
	now := time.Now()
	c.now = func() time.Time { now = now.Add(time.Second); return now }
	s, err := probes.FromCollector("node", "gpu01", c)
	if err != nil {
		b.Fatal(err)
	}
	s.Read(b.Context()) // the first one reads every process
	samples := 0
	b.ReportAllocs()
	for b.Loop() {
		samples = len(s.Read(b.Context()).Samples)
	}
	if samples < 50 {
		b.Fatalf("%d samples: nothing was read", samples)
	}
	b.ReportMetric(float64(samples), "samples")
}

// BenchmarkFirstLook reads every one of 400 processes, as the first reading and Processes do.
func BenchmarkFirstLook(b *testing.B) {
	tr := plant(b)
	for i := range 400 {
		tr.spawn(20000+i, 1, "postgres", float64(i)/10, "postgres: idle", fmt.Sprint(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := Processes(tr.proc())
		if err != nil || len(p) != 3 {
			b.Fatal(len(p), err)
		}
	}
}
