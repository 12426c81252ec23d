package sessions

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pitwall/probes"
)

func TestADamagedRowOfRequestsIsAGapThatIsTold(t *testing.T) {
	r := newTestRecorder(t, Options{Dir: t.TempDir()})
	all := served(rand.New(rand.NewPCG(1, 4)), 7, 5*rowRequests)
	for i := range 5 {
		must(t, r.PutRequests(all[i*rowRequests:(i+1)*rowRequests]))
		drive(t, r, i, 1)
	}
	must(t, r.PutRun(aRun(7, Done, 0, 10)))
	path := r.path
	must(t, r.Close())
	for name, tt := range map[string]struct {
		sql      string
		from, to int
		why      string
	}{
		"its bytes":    {"UPDATE requests SET data=substr(data,1,500)||x'ff'||substr(data,502) WHERE key=?", 1024, 2048, "checksum"},
		"it is gone":   {"DELETE FROM requests WHERE key=?", 1024, 2048, "nothing is stored"},
		"the last one": {"UPDATE requests SET crc=crc+1 WHERE key=?+3072", 4096, 5120, "checksum"},
		"a page":       {"", 2048, 3072, "page"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(path)
			must(t, err)
			own := filepath.Join(t.TempDir(), "x"+Extension)
			must(t, os.WriteFile(own, b, 0o600))
			w, err := openWriter(own)
			must(t, err)
			if tt.sql != "" {
				_, err = w.db.Exec(tt.sql, requestKey(7, 1024))
				must(t, err)
			}
			must(t, w.close(true))
			if tt.sql == "" { // the first page of the row's content on pages of its own
				b, err := os.ReadFile(own)
				must(t, err)
				at := strings.Index(string(b), string(firstBytes(t, own, requestKey(7, 2048))))
				if at < 0 {
					t.Fatal("the row is not in the file")
				}
				page := at / 4096 * 4096
				clear(b[page : page+4096])
				must(t, os.WriteFile(own, b, 0o600))
			}
			for copied := range 2 {
				s, err := open(own)
				must(t, err)
				got, missing := collect(t, s, 7)
				if tt.sql != "" && (len(missing) != 1 || int(missing[0].From) != tt.from || missing[0].Count != tt.to-tt.from || copied == 0 && !strings.Contains(missing[0].Why, tt.why)) {
					t.Errorf("missing %v, copied %d", missing, copied)
				}
				if len(got) >= len(all) || len(got) == 0 || len(missing) == 0 && copied == 0 {
					t.Errorf("%d requests are there, missing %v, copied %d", len(got), missing, copied)
				}
				for _, one := range got {
					same(t, one, all[one.Seq])
				}
				must(t, s.verify(context.Background(), func() {}))
				if tr := s.Info().Trouble; !strings.Contains(tr, "requests (") {
					t.Errorf("trouble %q, copied %d", tr, copied)
				}
				must(t, s.Close())
				to := filepath.Join(t.TempDir(), "copy"+Extension)
				if err := Export(context.Background(), own, to); !errors.Is(err, ErrIncomplete) {
					t.Errorf("a copy says %v", err)
				}
				own = to
			}
		})
	}
}

// firstBytes gives some bytes of a row that stand on the page where it begins.
func firstBytes(t *testing.T, path string, key int64) []byte {
	t.Helper()
	a, err := openArchive(path)
	must(t, err)
	defer a.db.Close()
	var data []byte
	must(t, a.db.QueryRow("SELECT substr(data, 1, 24) FROM requests WHERE key=?", key).Scan(&data))
	return data
}

// Whatever happens to the file, the runs stay, and so do the requests of the last minutes.
func TestTheFileUnderARunIsLostAndTheRunIsNot(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, path string){
		"it is removed": func(t *testing.T, path string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				must(t, os.Remove(path+suffix))
			}
		},
		"it is emptied": func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			src := engine()
			r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
			all := served(rand.New(rand.NewPCG(1, 4)), 1, 300)
			must(t, r.PutRun(aRun(1, Measuring, 0, 0)))
			for i := range 300 {
				must(t, r.PutRequests(all[i:i+1]))
				if i == 150 {
					do(t, r.path)
				}
				r.Tick(context.Background(), at(i)) //nolint:errcheck // what is there in the end counts
			}
			holds(t, "its recorder", r, 1, all)
			must(t, r.PutRun(aRun(1, Done, 0, 299)))
			path := r.path
			must(t, r.Close())
			s, err := Open(path)
			must(t, err)
			defer s.Close()
			holds(t, "the saved session", s, 1, all)
			if runs := s.Runs(); len(runs) != 1 || runs[0].State != Done {
				t.Errorf("runs %+v", runs)
			}
			if i, _, err := Check(context.Background(), path); err != nil || i.Trouble != "" {
				t.Errorf("a check says %q, %v", i.Trouble, err)
			}
		})
	}
}
