package events

import (
	"strings"

	"pitwall/probes"
)

// The kinds of the events that a run of load leaves, Subject "run/N". It is one episode: from when its shape was asked for to
// when its last request was over.
const (
	runBegan = "run.began"
	runCut   = "run.cut"
	runEnded = "run.ended"
)

func isRun(kind string) bool { return kind == runBegan || kind == runCut || kind == runEnded }

// run takes one of them. What its end says is the episode's cause; a cut alone is not worth a line.
func (f *folder) run(e probes.Event) {
	key := "run\x00" + e.Subject
	switch e.Kind {
	case runBegan:
		x := episodeOf(e)
		x.Title, x.Cause = strings.Replace(e.Title, " began: ", ": ", 1), ""
		f.begin(key, x)
	case runEnded:
		x := f.end(key, e.Time)
		if x == nil {
			f.moment(e.Kind+"\x00"+e.Subject, e) // its beginning is lost
			return
		}
		x.Severity = max(x.Severity, e.Severity)
		said := strings.TrimPrefix(e.Title, strings.Replace(e.Subject, "/", " ", 1)+" ")
		x.Cause = strings.TrimPrefix(strings.TrimPrefix(said, "ended: "), "is ")
	}
}
