package sessions

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
)

// damageTicks is how long the session is that the tests below damage: seven blocks, and a journal where it wasn't ended.
const damageTicks = 800

// wholeSession gives the bytes of a session of damageTicks, ended, or left by a recorder that died. They are in testdata, so
// that a damaged byte is the same one every time, and so that a format that can't be read any more is noticed.
func wholeSession(t testing.TB, ended bool) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", map[bool]string{true: "ended", false: "died"}[ended]+".db"))
	must(t, err)
	return b
}

// TestWriteWholeSessions makes those files anew, for a new format: PITWALL_WRITE_TESTDATA=1.
func TestWriteWholeSessions(t *testing.T) {
	if os.Getenv("PITWALL_WRITE_TESTDATA") == "" {
		for _, ended := range []bool{true, false} {
			path := filepath.Join(t.TempDir(), "x"+Extension)
			must(t, os.WriteFile(path, wholeSession(t, ended), 0o600))
			if there, err := examine(t, path); err != nil || there != damageTicks {
				t.Errorf("ended %v: %d of %d readings, %v", ended, there, damageTicks, err)
			}
		}
		return
	}
	for _, end := range []bool{true, false} {
		src := engine()
		r := newTestRecorder(t, Options{Dir: t.TempDir(), Name: "whole", Host: "box", Sources: func() []probes.Source { return []probes.Source{src} }})
		driveLoad(t, r)
		must(t, r.Mark("a note"))
		to := filepath.Join("testdata", map[bool]string{true: "ended", false: "died"}[end]+".db")
		os.Remove(to)
		if end {
			must(t, r.Close())
			must(t, os.Rename(r.path, to))
			continue
		}
		must(t, r.Detach())
		w, err := openWriter(r.path)
		must(t, err)
		must(t, w.copyTo(context.Background(), to))
		must(t, w.close(true))
	}
}

// examine opens what may be a session and asks it everything: no number may be another than the one that was recorded, what
// is missing must be told, and times are in order. It gives how many of the ticks are there, and the error of opening.
func examine(t testing.TB, path string) (there int, err error) {
	t.Helper()
	glance(path)
	s, err := open(path)
	if err != nil {
		if err.Error() == "" {
			t.Error("it can't be opened, and nobody says why")
		}
		return 0, err
	}
	defer s.Close()
	verified := s.verify(context.Background(), func() {})
	first, last := s.Bounds()
	if first.After(last) {
		t.Errorf("it goes from %s to %s", first, last)
	}
	ctx := context.Background()
	res, qerr := s.QueryRange(ctx, "last_over_time(now[1s])", at(0), at(damageTicks), time.Second, Scope{})
	if qerr == nil {
		for _, series := range res.Matrix() {
			if series.Metric.Get("job") != "vllm" {
				continue
			}
			for _, p := range series.Floats {
				there++
				if want := float64(p.T-msOf(t0)) / 1000; p.F != want {
					t.Fatalf("now at tick %v is %v", want, p.F)
				}
			}
		}
	}
	for _, expr := range []string{"histogram_count(lat)", `{job="vllm"}`, "rate(tokens_total[1m])"} {
		s.Query(ctx, expr, at(500), Scope{}) //nolint:errcheck // it must not panic
	}
	s.Targets(at(500))
	s.Facts(at(500))
	s.Absent(at(500))
	s.Events(time.Time{}, at(damageTicks))
	s.Series("")
	examineRequests(t, s, verified == nil)
	// The newest tick of a session that wasn't ended may be missing: nobody knows that there was one.
	if there < damageTicks-1 && qerr == nil && verified == nil && s.Info().Trouble == "" {
		t.Errorf("%d of %d readings are there, and nobody says that some are missing", there, damageTicks)
	}
	return there, nil
}

// What is damaged at random places is left out and told, and no number is wrong.
func TestDamageAtRandomPlacesMakesNoWrongNumber(t *testing.T) {
	n := 60
	if raced { // reading is slow then, and the same
		n = 20
	}
	if s := os.Getenv("PITWALL_DAMAGES"); s != "" {
		n, _ = strconv.Atoi(s) // 0 where it is no number: then the test says so
	}
	if n == 0 {
		t.Fatal("PITWALL_DAMAGES wants a number")
	}
	kinds := map[string]func(rng *rand.Rand, b []byte) []byte{
		"one bit is turned over": func(rng *rand.Rand, b []byte) []byte {
			i := rng.IntN(len(b))
			b[i] ^= 1 << rng.IntN(8)
			return b
		},
		"a page is zero": func(rng *rand.Rand, b []byte) []byte {
			i := rng.IntN(len(b)/4096) * 4096
			clear(b[i : i+4096])
			return b
		},
		"a page is another one": func(rng *rand.Rand, b []byte) []byte {
			i, j := rng.IntN(len(b)/4096)*4096, rng.IntN(len(b)/4096)*4096
			copy(b[i:i+4096], b[j:j+4096])
			return b
		},
		"a hundred bytes are noise": func(rng *rand.Rand, b []byte) []byte {
			i := rng.IntN(len(b) - 100)
			for j := range 100 {
				b[i+j] = byte(rng.Uint32())
			}
			return b
		},
		"it is cut short": func(rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(len(b))] },
	}
	for kind, damage := range kinds {
		for _, ended := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, ended %v", kind, ended), func(t *testing.T) {
				t.Parallel()
				whole := wholeSession(t, ended)
				rng := rand.New(rand.NewPCG(7, 11))
				dir := t.TempDir()
				opened, readings := 0, 0
				for i := range n {
					b := damage(rng, append([]byte(nil), whole...))
					path := filepath.Join(dir, fmt.Sprint(i)+Extension)
					must(t, os.WriteFile(path, b, 0o600))
					there, err := examine(t, path)
					if t.Failed() {
						t.Fatalf("damage %d", i)
					}
					if err == nil {
						opened++
						readings += there
					}
					os.Remove(path)
				}
				t.Logf("%d of %d open, with %.1f %% of their readings", opened, n, 100*float64(readings)/float64(max(1, opened*damageTicks)))
				if kind == "one bit is turned over" && (opened < n*8/10 || readings < opened*damageTicks*8/10) {
					t.Errorf("only %d of %d can be opened, with %d readings", opened, n, readings)
				}
			})
		}
	}
}

// A page of readings is gone: all others are there, a gap is where it was, and it is told what and when.
func TestAGapInTheFileIsAGapOnTheScreen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x"+Extension)
	must(t, os.WriteFile(path, wholeSession(t, true), 0o600))
	w, err := openWriter(path)
	must(t, err)
	id := int64(-1)
	must(t, w.db.QueryRow("SELECT id FROM names WHERE name='now'").Scan(&id))
	block := blockOf(msOf(at(400)))
	_, err = w.db.Exec("UPDATE blocks SET data=x'00' WHERE key=?", blockKey(uint32(id), block))
	must(t, err)
	must(t, w.close(true))

	s, err := open(path)
	must(t, err)
	defer s.Close()
	before := s.Version()
	must(t, s.verify(context.Background(), func() {}))
	if s.Version() == before {
		t.Error("damage that is found is not drawn: the version is the same")
	}
	if tr := s.Info().Trouble; tr != "damaged, and left out: blocks of readings (1)" {
		t.Errorf("trouble %q", tr)
	}
	from := int(time.UnixMilli(block).Sub(t0) / time.Second)
	one(t, s, "now", at(from-1))
	none(t, s, "now", at(from)) // at once, not after the lookback
	none(t, s, "now", at(from+119))
	one(t, s, "now", at(from+120))
	one(t, s, "tokens_total", at(from+60)) // the others are there
	var told []probes.Event
	for _, e := range s.Events(time.Time{}, at(damageTicks)) {
		if e.Kind == KindDamage {
			told = append(told, e)
		}
	}
	if len(told) != 1 || !told[0].Time.Equal(time.UnixMilli(block)) || told[0].Attrs["lasted"] != "2m0s" || told[0].Attrs["cause"] != "now" {
		t.Errorf("told %+v", told)
	}
	for i, want := range map[int]string{from - 1: "", from: "the session's file is damaged here", from + 119: "the session's file is damaged here", from + 120: ""} {
		if got := s.Absent(at(i))["now"]; got != want {
			t.Errorf("absent at tick %d: %q, want %q", i, got, want)
		}
	}
	info, events, err := Check(context.Background(), path)
	if err != nil || info.Trouble == "" || len(events) != 1 {
		t.Errorf("a check says %+v, %v, %v", info, events, err)
	}
}

// What is no session says in words what it is instead.
func TestWhatIsNoSessionSaysWhatItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"a directory":  {func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "it is a directory"},
		"an empty one": {func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) }, "it is empty"},
		"a text": {func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("a log, not a session\n", 300)), 0o600))
		}, "it is no SQLite database"},
		"another program's database": {func(t *testing.T, path string) {
			b := append([]byte(nil), wholeSession(t, true)...)
			binary.BigEndian.PutUint32(b[68:], 0x12345678) // application_id (sqlite.org/fileformat)
			must(t, os.WriteFile(path, b, 0o600))
		}, "its application_id is 0x12345678"},
		"one of a newer pitwall": {func(t *testing.T, path string) {
			b := append([]byte(nil), wholeSession(t, true)...)
			binary.BigEndian.PutUint32(b[60:], schemaVersion+1) // user_version
			must(t, os.WriteFile(path, b, 0o600))
		}, "use the pitwall that wrote it"},
		"one whose first page is gone": {func(t *testing.T, path string) {
			b := append([]byte(nil), wholeSession(t, true)...)
			clear(b[100:4096])
			must(t, os.WriteFile(path, b, 0o600))
		}, "its first page is damaged"},
		"nothing at all": {func(*testing.T, string) {}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x"+Extension)
			tt.make(t, path)
			if _, err := Open(path); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("opening says %v, want %q", err, tt.want)
			}
			if _, err := Resume(context.Background(), path, Options{}); err == nil {
				t.Error("somebody goes on recording into it")
			}
			all, err := List(dir)
			if st, statErr := os.Stat(path); statErr != nil || st.IsDir() {
				return // not in the list
			}
			if err != nil || len(all) != 1 || !strings.Contains(all[0].Trouble, tt.want) {
				t.Errorf("the list says %+v, %v", all, err)
			}
		})
	}
}

// FuzzOpen damages a session as the input says: pairs of position and value.
func FuzzOpen(f *testing.F) {
	f.Add(true, uint32(0), []byte{0, 0, 100, 1})
	f.Add(false, uint32(0), []byte{0, 0, 68, 0xff, 0, 2, 3, 4})
	f.Add(true, uint32(5000), []byte{})
	f.Add(false, uint32(70000), []byte{1, 0, 0, 7})
	f.Fuzz(func(t *testing.T, ended bool, length uint32, changes []byte) {
		b := append([]byte(nil), wholeSession(t, ended)...)
		for i := 0; i+4 <= len(changes) && i < 400; i += 4 {
			at := int(binary.BigEndian.Uint32(append([]byte{0}, changes[i:i+3]...))) % len(b)
			b[at] ^= changes[i+3]
		}
		if length > 0 {
			b = b[:int(length)%len(b)]
		}
		path := filepath.Join(t.TempDir(), "x"+Extension)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		examine(t, path) //nolint:errcheck // it looks for wrong numbers itself
	})
}
