package sessions

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// The copy of a damaged session opens, holds what can be read of the other, no wrong number, and says what is missing.
func TestTheCopyOfADamagedSessionHoldsWhatCanBeRead(t *testing.T) {
	n, salvaged, incomplete := 30, 0, 0
	if raced {
		n = 9
	}
	for _, ended := range []bool{true, false} {
		whole := wholeSession(t, ended)
		rng := rand.New(rand.NewPCG(3, 5))
		dir := t.TempDir()
		for i := range n {
			b := append([]byte(nil), whole...)
			switch i % 3 {
			case 0: // a page is zero
				at := (1 + rng.IntN(len(b)/4096-1)) * 4096
				clear(b[at : at+4096])
			case 1: // it is cut short
				b = b[:len(b)/4+rng.IntN(len(b)*3/4)]
			case 2: // noise
				at := 4096 + rng.IntN(len(b)-4096-100)
				for j := range 100 {
					b[at+j] = byte(rng.Uint32())
				}
			}
			from, to := filepath.Join(dir, "from"+Extension), filepath.Join(dir, "to"+Extension)
			must(t, os.WriteFile(from, b, 0o600))
			there, err := examine(t, from)
			if err != nil {
				if Export(context.Background(), from, to) == nil {
					t.Errorf("damage %d: what can't be opened was copied", i)
				}
			} else {
				info, _, err := Check(context.Background(), from)
				must(t, err)
				switch err := Export(context.Background(), from, to); {
				case err == nil && info.Trouble != "":
					t.Errorf("damage %d: %s, and the copy is said to be whole", i, info.Trouble)
				case err != nil && !errors.Is(err, ErrIncomplete):
					t.Errorf("damage %d: %v", i, err)
				case err != nil:
					incomplete++
				}
				a, err := openArchive(from)
				must(t, err)
				if isDamage(copyInto(context.Background(), a.db, to+".x", func() {})) {
					salvaged++
				}
				a.db.Close()
				inCopy, err := examine(t, to)
				if err != nil || inCopy != there {
					t.Errorf("damage %d, ended %v: of %d readings %d are in the copy, %v", i, ended, there, inCopy, err)
				}
				if g := glance(to); g.Ended.IsZero() || (g.Trouble != "") != (copied(metaAt(t, to)) != "") || g.Name != glance(from).Name {
					t.Errorf("damage %d: the copy says of itself %+v", i, g)
				}
			}
			for _, f := range []string{from, to, to + ".x"} {
				must(t, removeIfThere(f))
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Fatalf("damage %d: left behind: %v, %v", i, left, err)
			}
		}
	}
	t.Logf("%d copies are incomplete, %d of them SQLite could not make", incomplete, salvaged)
	if salvaged < n/3 || incomplete < salvaged {
		t.Errorf("%d copies are incomplete, %d of them SQLite could not make: that tests nothing", incomplete, salvaged)
	}
}

// metaAt gives what a session says of itself.
func metaAt(t *testing.T, path string) map[string]string {
	t.Helper()
	a, err := openArchive(path)
	must(t, err)
	defer a.db.Close()
	m, err := a.meta()
	must(t, err)
	return m
}

// A copy never takes the place of a file, and one that can't be made leaves nothing.
func TestACopyOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"+Extension), filepath.Join(dir, "to"+Extension)
	must(t, os.WriteFile(from, wholeSession(t, true), 0o600))
	must(t, os.WriteFile(to, []byte("somebody's"), 0o600))
	if err := Export(context.Background(), from, to); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != "somebody's" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	must(t, os.Remove(to))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Export(ctx, from, to); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("left behind: %v, %v", all, err)
	}
}
