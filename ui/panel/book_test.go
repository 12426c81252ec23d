package panel_test

import (
	"slices"
	"strings"
	"testing"

	"pitwall/ui/panel"
)

func book(t *testing.T, texts ...string) (*panel.Book, string) {
	t.Helper()
	var files []*panel.File
	for _, text := range texts {
		f, faults := panel.Parse("f.yaml", []byte(text))
		for _, x := range faults {
			if !x.Warning {
				t.Fatal(x)
			}
		}
		files = append(files, f)
	}
	b, faults := panel.NewBook("", files...)
	var said []string
	for _, f := range faults {
		said = append(said, f.Error()+" | "+f.Hint)
	}
	return b, strings.Join(said, "\n")
}

func TestTheBuiltInPanelsHaveNoFault(t *testing.T) {
	b, said := book(t)
	if said != "" {
		t.Error(said)
	}
	if n := len(b.Pages()); n < 5 {
		t.Errorf("%d pages", n)
	}
	for _, s := range b.Panels() {
		if s.Broken() != "" || s.Title == "" || len(s.Queries) == 0 {
			t.Errorf("%s: %q, %q, %d queries", s.ID, s.Title, s.Broken(), len(s.Queries))
		}
		for _, q := range s.Queries {
			for _, f := range panel.CheckExpr(q.Expr) {
				t.Errorf("%s/%s: %s", s.ID, q.ID, f.What)
			}
		}
	}
	// What is printed is what is read.
	text, err := panel.YAML("", b.Panels(), b.Pages())
	if err != nil {
		t.Fatal(err)
	}
	_, faults := panel.Parse("shown.yaml", text)
	for _, f := range faults {
		t.Error(f)
	}
}

func page(b *panel.Book, name string) string {
	for _, p := range b.Pages() {
		if p.Name == name {
			return strings.Join(p.Panels, " ")
		}
	}
	return "no such page"
}

func names(b *panel.Book) string {
	var out []string
	for _, p := range b.Pages() {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestAFileChangesWhatItNames(t *testing.T) {
	t.Run("a title alone: the rest stays, the drawing in Go too", func(t *testing.T) {
		b, said := book(t, "panels: [{id: queue, title: the queue}]")
		s, _ := b.Panel("queue")
		if s.Title != "the queue" || s.Draw != "queue" || len(s.Queries) < 5 || said != "" {
			t.Errorf("%q %q %d %s", s.Title, s.Draw, len(s.Queries), said)
		}
	})
	t.Run("one expression by its query's id", func(t *testing.T) {
		b, _ := book(t, "panels: [{id: queue, queries: [{id: running, expr: 'max(engine:running)'}]}]")
		s, _ := b.Panel("queue")
		q, _ := s.Query("running")
		if q.Expr != "max(engine:running)" || q.Legend != "running" || !q.Chart {
			t.Errorf("%+v", q)
		}
	})
	t.Run("a new expression is not answered by the old one's metric", func(t *testing.T) {
		b, _ := book(t, "panels: [{id: gpu, queries: [{id: gpu_util, expr: my_util}]}]")
		s, _ := b.Panel("gpu")
		if q, _ := s.Query("gpu_util"); q.Metric != "" {
			t.Errorf("metric %q", q.Metric)
		}
	})
	t.Run("another way to draw makes another panel, with the old title", func(t *testing.T) {
		b, said := book(t, "panels: [{id: queue, draw: number, unit: none, queries: up}]")
		s, _ := b.Panel("queue")
		if s.Title != "queue" || len(s.Queries) != 1 || s.Draw != "number" || said != "" {
			t.Errorf("%+v %s", s, said)
		}
	})
	t.Run("hide takes a panel from every page", func(t *testing.T) {
		b, said := book(t, "hide: [host]")
		if got := page(b, "main"); got != "queue latency throughput cache gpu" || said != "" {
			t.Errorf("%s %s", got, said)
		}
	})
	t.Run("a page's panels are replaced, added to and hidden", func(t *testing.T) {
		b, _ := book(t, "pages: [{name: main, panels: [gpu, queue]}, {name: latency, add: [queue], hide: [e2e-heat]}]")
		if got := page(b, "main"); got != "gpu queue" {
			t.Error(got)
		}
		if got := page(b, "latency"); got != "ttft-heat itl-heat phases ttft-parts token-times queue" {
			t.Error(got)
		}
	})
	t.Run("pages are ordered and removed", func(t *testing.T) {
		b, _ := book(t, "order: [KV, main]\npages: [{name: sources, remove: true}]")
		if got := names(b); got != "KV main latency load requests GPUs host" {
			t.Error(got)
		}
	})
	t.Run("panels that no page names get a page of their own", func(t *testing.T) {
		b, _ := book(t, "panels: [{id: a, unit: s, queries: up}, {id: b, unit: s, queries: up}]")
		if got := page(b, "own"); got != "a b" {
			t.Error(got)
		}
	})
	t.Run("a panel may stand in its page", func(t *testing.T) {
		b, _ := book(t, "pages: [{name: mine, panels: [queue, {title: My Panel, unit: s, queries: up}]}]")
		if got := page(b, "mine"); got != "queue my-panel" {
			t.Error(got)
		}
	})
	t.Run("a later file is over an earlier one", func(t *testing.T) {
		b, _ := book(t, "panels: [{id: queue, title: one}]", "panels: [{id: queue, title: two}]")
		if s, _ := b.Panel("queue"); s.Title != "two" {
			t.Error(s.Title)
		}
	})
	t.Run("everything hidden leaves no page, and no panic", func(t *testing.T) {
		var ids []string
		all, _ := book(t)
		for _, s := range all.Panels() {
			ids = append(ids, s.ID)
		}
		b, _ := book(t, "hide: ["+strings.Join(ids, ", ")+"]")
		if len(b.Pages()) != 0 {
			t.Error(names(b))
		}
	})
}

func TestFaultsBetweenFiles(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a page with a panel that nobody has", "pages: [{name: x, panels: [queu]}]", `f.yaml:1: pages[x].panels: no panel "queu" | did you mean queue?`},
		{"a hidden panel that nobody has", "hide: [kv-usee]", `f.yaml: hide: no panel "kv-usee" | did you mean kv-use?`},
		{"an ordered page that is not there", "order: [latenci]", `f.yaml: order: no page "latenci" | did you mean latency?`},
		{"a new panel without queries", "panels: [{id: a, title: A}]", "f.yaml:1: panels[a]: it has no queries | queries: [{expr: up}]"},
		{"a drawing in Go without what it reads", "panels: [{id: a, draw: cache, queries: up}]", `f.yaml:1: panels[a]: drawn as cache it needs a query "kv" | its queries are those of the built-in panel: pitwall panels show cache`},
		{"a query without an expression", "panels: [{id: a, unit: s, queries: [{id: b}]}]", "f.yaml:1: panels[a].queries[b]: no expression | expr: sum(rate(x_total{$sel}[$w]))"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, said := book(t, tc.text); said != tc.want {
				t.Errorf("got\n%s\nwant\n%s", said, tc.want)
			}
		})
	}
}

func TestArrange(t *testing.T) {
	specs := make([]panel.Spec, 8)
	for i := range specs {
		specs[i] = panel.Spec{ID: string(rune('a' + i)), Draw: panel.DrawLine}
	}
	specs[2].Priority = 9
	for _, size := range [][2]int{{60, 10}, {80, 19}, {160, 38}, {240, 60}, {300, 70}, {60, 3}} {
		for _, cols := range []int{0, 1, 2, 3, 4} {
			for n := range len(specs) + 1 {
				places, left := panel.Arrange(panel.Page{Columns: cols, Weights: []int{3, 1}}, specs[:n], size[0], size[1])
				if len(places)+len(left) != n {
					t.Fatalf("%v, %d columns: %d of %d places, %d left", size, cols, len(places), n, len(left))
				}
				for i, a := range places {
					if a.X < 1 || a.Y < 0 || a.W < 1 || a.H < 1 || a.X+a.W > size[0]-1 || a.Y+a.H > size[1] && n > 1 && size[1] > 3 {
						t.Errorf("%v, %d columns, %d panels: %+v is outside", size, cols, n, a)
					}
					for _, b := range places[:i] {
						if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
							t.Errorf("%v, %d columns, %d panels: %+v and %+v overlap", size, cols, n, a, b)
						}
					}
				}
			}
		}
	}
	t.Run("the panel with the highest priority stays last", func(t *testing.T) {
		places, left := panel.Arrange(panel.Page{}, specs, 60, 5)
		if len(places) != 1 || places[0].Panel != 2 || slices.Contains(left, 2) {
			t.Errorf("%+v, left %v", places, left)
		}
	})
}
