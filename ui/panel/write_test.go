package panel_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pitwall/ui/panel"
)

func added(t *testing.T, old string) (*panel.Book, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sub", "panels.yaml")
	if old != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, _ := panel.Parse(path, []byte(old))
	b, _ := panel.NewBook(path, f)
	return b, path
}

func TestAddWritesThePanelIntoTheUsersFile(t *testing.T) {
	one := panel.Spec{Title: "My series", Unit: "none", Draw: panel.DrawLine, Queries: []panel.Query{{ID: "q1", Expr: "rate(x_total{$sel}[$w])"}}}
	for _, tc := range []struct{ name, old, page, want string }{
		{"a file that is not there is made", "", "own", "panels:\n  - id: my-series\n    title: My series\n    unit: none\n    draw: line\n    queries:\n      - id: q1\n        expr: rate(x_total{$sel}[$w])\npages:\n  - name: own\n    add: [my-series]\n"},
		{"comments and order are kept", "# mine\npages:\n  # the first\n  - name: own\n    panels: [queue] # only this\npanels:\n  - id: a # a\n    unit: s\n    queries: up\n", "own",
			"# mine\npages:\n  # the first\n  - name: own\n    panels: [queue, my-series] # only this\npanels:\n  - id: a # a\n    unit: s\n    queries: up\n  - id: my-series\n    title: My series\n    unit: none\n    draw: line\n    queries:\n      - id: q1\n        expr: rate(x_total{$sel}[$w])\n"},
		{"a built-in page is added to, not replaced", "panels:\n", "KV", "panels:\n  - id: my-series\n    title: My series\n    unit: none\n    draw: line\n    queries:\n      - id: q1\n        expr: rate(x_total{$sel}[$w])\npages:\n  - name: KV\n    add: [my-series]\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, path := added(t, tc.old)
			version := b.Version()
			if err := b.Add(tc.page, one); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != tc.want {
				t.Errorf("%v, got\n%s\nwant\n%s", err, got, tc.want)
			}
			mode := os.FileMode(0o600)
			if tc.old != "" {
				mode = 0o644 // the user's own
			}
			if st, _ := os.Stat(path); st.Mode().Perm() != mode {
				t.Errorf("mode %v", st.Mode())
			}
			if p := page(b, tc.page); !strings.Contains(p, "my-series") {
				t.Errorf("on the page: %s", p)
			}
			if b.Version() == version {
				t.Error("the version did not grow")
			}
			// Again: the id is taken.
			if err := b.Add(tc.page, one); err != nil {
				t.Fatal(err)
			}
			if p := page(b, tc.page); !strings.Contains(p, "my-series my-series-2") {
				t.Errorf("on the page: %s", p)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("a file that is no YAML is left alone", func(t *testing.T) {
		b, path := added(t, "panels: [\n")
		if err := b.Add("own", one); err == nil {
			t.Error("no error")
		}
		if got, _ := os.ReadFile(path); string(got) != "panels: [\n" {
			t.Errorf("%s", got)
		}
	})
	t.Run("a panel with a fault is not written", func(t *testing.T) {
		b, path := added(t, "")
		if err := b.Add("own", panel.Spec{Title: "x", Unit: "s", Queries: []panel.Query{{Expr: "sum("}}}); err == nil {
			t.Error("no error")
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
	t.Run("without a file there is an error that says so", func(t *testing.T) {
		b, _ := panel.NewBook("")
		if err := b.Add("own", one); !errors.Is(err, panel.ErrNoFile) {
			t.Error(err)
		}
	})
	t.Run("what was written by hand since stays, with its id", func(t *testing.T) {
		b, path := added(t, "panels: []\n")
		if err := os.WriteFile(path, []byte("panels:\n  - {id: my-series, unit: s, queries: up}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Add("own", one); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); !strings.Contains(string(got), "{id: my-series, unit: s, queries: up}") || !strings.Contains(string(got), "id: my-series-2") {
			t.Errorf("%s", got)
		}
		if p := page(b, "own"); !strings.Contains(p, "my-series-2") {
			t.Errorf("on the page: %s", p)
		}
	})
	t.Run("a file that may not be written is left alone", func(t *testing.T) {
		b, path := added(t, "# fixed\n")
		if err := os.Chmod(path, 0o444); err != nil {
			t.Fatal(err)
		}
		if err := b.Add("own", one); err == nil || !strings.Contains(err.Error(), "may not be written") {
			t.Errorf("%v", err)
		}
		if got, _ := os.ReadFile(path); string(got) != "# fixed\n" {
			t.Errorf("%s", got)
		}
	})
	t.Run("of many that add at once none loses its panel", func(t *testing.T) {
		_, path := added(t, "# here\n")
		var wg sync.WaitGroup
		const n = 12
		for i := range n {
			wg.Go(func() {
				b, _ := panel.NewBook(path) // a console of its own, some with two additions under way
				s := one
				s.Title = "series " + strconv.Itoa(i)
				for range 2 {
					wg.Go(func() {
						if err := b.Add("own", s); err != nil {
							t.Error(err)
						}
					})
				}
			})
		}
		wg.Wait()
		f, faults := panel.Read(path)
		if len(f.Panels) != 2*n || panel.Faulty(faults) {
			t.Errorf("%d panels of %d, %v", len(f.Panels), 2*n, faults)
		}
	})
	t.Run("a link's target is written", func(t *testing.T) {
		_, path := added(t, "# here\n")
		link := filepath.Join(t.TempDir(), "link.yaml")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		b, _ := panel.NewBook(link)
		if err := b.Add("own", one); err != nil {
			t.Fatal(err)
		}
		if st, _ := os.Lstat(link); st.Mode()&os.ModeSymlink == 0 {
			t.Error("the link is gone")
		}
		if got, _ := os.ReadFile(path); !strings.Contains(string(got), "# here") || !strings.Contains(string(got), "my-series") {
			t.Errorf("%s", got)
		}
	})
}
