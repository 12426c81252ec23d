package moment

import (
	"strings"
	"testing"
	"time"
)

func session(first, last string, zone *time.Location) Session {
	at := func(s string) time.Time {
		t, err := time.ParseInLocation("2006-01-02 15:04:05", s, zone)
		if err != nil {
			panic(err)
		}
		return t
	}
	return Session{First: at(first), Last: at(last), Zone: zone}
}

func TestWhatIsTyped(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	afternoon := session("2026-11-24 13:30:00", "2026-11-24 14:30:00", time.UTC)
	night := session("2026-11-23 23:30:00", "2026-11-24 01:30:00", time.UTC)
	// At 03:00 summer time clocks went back to 02:00.
	twice := session("2026-10-25 01:30:00", "2026-10-25 04:00:00", berlin)
	for _, tc := range []struct {
		name, text string
		s          Session
		want       string // in UTC
		how        string
	}{
		{"-10m is before the end", "-10m", afternoon, "2026-11-24 14:20:00", "10m0s before the end"},
		{"a bare number after the minus is seconds", "-90", afternoon, "2026-11-24 14:28:30", "1m30s before the end"},
		{"days have no fixed form in Go and are read all the same", "-1d2h", afternoon, "2026-11-23 12:30:00", "26h0m0s before the end"},
		{"00:16:45 is into the session", "00:16:45", afternoon, "2026-11-24 13:46:45", "16m45s into the session (for the time of day add the date)"},
		{"@ is always into the session", "@16:45", afternoon, "2026-11-24 13:46:45", "16m45s into the session"},
		{"+ too, with a length of time", "+1h", afternoon, "2026-11-24 14:30:00", "1h0m0s into the session"},
		{"14:02 is the time of day", "14:02", afternoon, "2026-11-24 14:02:00", "time of day"},
		{"14:02:05 too", "14:02:05", afternoon, "2026-11-24 14:02:05", "time of day"},
		{"a time of day that is still to come is yesterday's", "15:00", afternoon, "2026-11-23 15:00:00", "time of day"},
		{"after midnight 23:45 is the evening before", "23:45", night, "2026-11-23 23:45:00", "time of day"},
		{"01:10:00 in a session of two hours that has that time of day is the time of day", "01:10:00", night, "2026-11-24 01:10:00", "time of day"},
		{"00:16:45 in a session around midnight is still into it", "00:16:45", night, "2026-11-23 23:46:45", "16m45s into the session (for the time of day add the date)"},
		{"00:16 is the time of day", "00:16", night, "2026-11-24 00:16:00", "time of day"},
		{"with the date it is the time of day", "2026-11-24 00:16:45", night, "2026-11-24 00:16:45", "that day"},
		{"a zone is taken as it stands", "2026-11-24T15:00:00+01:00", afternoon, "2026-11-24 14:00:00", "that day"},
		{"as the screen writes another day", "Nov 23 23:40:00", night, "2026-11-23 23:40:00", "that day"},
		{"Unix seconds", "1795530600", afternoon, "2026-11-24 14:30:00", "Unix seconds"},
		{"end", "end", afternoon, "2026-11-24 14:30:00", "the session's last tick"},
		{"start", "Start", afternoon, "2026-11-24 13:30:00", "the session's first tick"},
		{"of an hour that clocks go through twice the later one", "02:30", twice, "2026-10-25 01:30:00", "time of day"},
		{"a length of time before the change counts real hours", "-2h", twice, "2026-10-25 01:00:00", "2h0m0s before the end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse(tc.text, tc.s)
			if err != nil {
				t.Fatal(err)
			}
			if at := got.At.UTC().Format("2006-01-02 15:04:05"); at != tc.want || got.How != tc.how {
				t.Errorf("%s, %s; want %s, %s", at, got.How, tc.want, tc.how)
			}
		})
	}
}

func TestWhatIsNoTime(t *testing.T) {
	s := session("2026-11-24 13:30:00", "2026-11-24 14:30:00", time.UTC)
	for text, want := range map[string]string{
		"": "no time was typed", "  ": "no time was typed", "yesterday": "is no time", "25:00": "is no time", "14:60": "is no time", "1:2": "is no time", "-": "no length of time", "-x": "no length of time",
		"+": "no length of time", "@1:99": "no length of time", "10": "-10 is so many seconds before the end", "-1e99": "no length of time", strings.Repeat("1", 65): "at most 64 characters", "--5m": "no length of time", "NaN": "seconds before the end",
	} {
		if _, err := Parse(text, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Parse("-10m", Session{}); err == nil || !strings.Contains(err.Error(), "holds nothing yet") {
		t.Errorf("an empty session: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"-10m", "14:02", "14:02:05", "00:16:45", "@16:45", "+1h", "2026-11-24 14:02", "Nov 24 14:02:05", "1795530600", "now", "−5m", "-1d2h", "\x1b[2J", "+9999999999h", "-1e300", "0:00:00"} {
		f.Add(s)
	}
	s := session("2026-11-24 13:30:00", "2026-11-24 14:30:00", time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text, s)
		if err != nil {
			if got != (Moment{}) {
				t.Errorf("%q gives %v with an error", text, got)
			}
			return
		}
		if got.How == "" {
			t.Errorf("%q is not explained", text)
		}
		if strings.ContainsAny(got.How, "\x1b\n\r") {
			t.Errorf("%q is explained by %q", text, got.How)
		}
		// What was understood can be typed again as RFC 3339, to the nanosecond.
		if y := got.At.UTC().Year(); y >= 0 && y <= 9999 {
			again, err := Parse(got.At.UTC().Format(time.RFC3339Nano), s)
			if err != nil || !again.At.Equal(got.At) {
				t.Errorf("%q is %v; typed again %v, %v", text, got.At, again.At, err)
			}
		}
	})
}
