// Package sessions keeps what happened: it records the readings of probes on one clock, answers PromQL about them, and
// stores them as one file a session.
//
// In go probes.Sources, pulled once a tick; out come answers through Reader, the same for a session that is being
// recorded here, one that another process records, and a saved one. Names stay as the sources gave them, every tick has one
// timestamp, and what is missing stays missing (a series that stops gets Prometheus's staleness marker). This package opens
// no connection to an engine or a GPU, draws nothing, and never changes a file that it only reads.
//
// From the outside in:
//
//	reader.go    the questions that one can ask (Reader)
//	recorder.go  sessions that are recorded here (Record, Resume); options.go: what and where to; pull.go: asking the
//	             sources; writer.go: storing
//	saved.go     sessions that others recorded or are recording (Open)
//	library.go   the directory of sessions (List, Running, Prune)
//	export.go    copies (Export), also of a damaged session
//	query.go     PromQL over a view: expansion, windows, limits
//	view.go      memory and file as one storage.Queryable
//	head.go      the newest chunks, in memory
//	ledger.go    facts, reasons and events with their times
//	file.go      the SQLite file: schema and writing; archive.go, load.go: reading
//	clock.go     time that only goes forward; stepped clocks and suspended machines are told
//	damage.go    what of a file can't be read, and the gap that it leaves; check.go: looking for it
//	rescue.go    a file that is removed, replaced or damaged under its recorder
//	bound.go     how much one source may bring
//	filesystem.go where a session may be kept
//	journal.go   a tick as a journal row; block.go: finished chunks as a row
//	run.go       a run of load; runs.go: putting, keeping and loading runs
//	requests.go  putting requests; join.go: small rows made one; requestwalk.go: reading them
//	rows.go      requests as a row; fields.go, column.go, gap.go: what of a request stands how in it
package sessions

import "time"

// Tick is the time between two timestamps of a session. Sources may be pulled less often, never between ticks.
const Tick = time.Second

// blockSpan is the stretch of time, in milliseconds, whose chunks are finished and stored together. 120 samples a chunk is
// Prometheus's convention (tsdb/head.go); at a tick of one second that is two minutes.
const blockSpan = 120_000

// lateness is how many milliseconds after its tick a reading may still arrive and be stored under that tick. A slow
// scrape therefore may put a sample into the block after its own; whoever looks for a block allows for it.
const lateness = 30_000

// blockOf gives the start of the block that a time falls in.
func blockOf(t int64) int64 { return t - t%blockSpan }

func msOf(t time.Time) int64 { return t.UnixMilli() }

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
