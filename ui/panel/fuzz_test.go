package panel_test

import (
	"testing"

	"pitwall/ui/panel"
)

// FuzzParse holds that any text gives faults or panels, never a panic, and that what is read can be joined, drawn, written
// and read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"panels:\n- id: a\n  unit: s\n  queries: up\n", "pages: [{name: x, panels: [queue, {title: y, queries: [up]}]}]", "hide: [queue]\norder: [KV]", "panels: &a [*a]", "a: &a [*a, *a]\npanels: *a",
		"panels: [{id: q, draw: heat, thresholds: [{from: .nan, level: bad}], min: .inf, queries: [{expr: 'x[$w]'}]}]", "panels:\n- id: a\n  queries:\n  - expr: |\n      sum(\n      $x", "pages: [{name: KV, add: [], weights: [0], columns: -1}]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, faults := panel.Parse("f.yaml", data)
		for _, x := range faults {
			if x.What == "" || x.Line < 0 {
				t.Errorf("a fault without a reason: %+v", x)
			}
		}
		b, _ := panel.NewBook("", file)
		for _, s := range file.Panels {
			s, ok := b.Panel(s.ID)
			if !ok {
				t.Fatalf("panel %q is lost", s.ID)
			}
			drawn(scene{spec: s, data: panel.Data{Answers: []panel.Answer{answer(series(wave(20, 2, 1, 0), "le", "1"))}}}, 40, 6, false)
		}
		text, err := panel.YAML("", file.Panels, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, bad := panel.Parse("again.yaml", text); len(again.Panels) != len(file.Panels) {
			t.Errorf("%d panels were written and %d read: %v\n%s", len(file.Panels), len(again.Panels), bad, text)
		}
	})
}

// FuzzFromGrafana holds that any JSON gives an error or panels that can be written and read again without a fault.
func FuzzFromGrafana(f *testing.F) {
	for _, panel := range []string{
		`{"type":"graph","title":"GPU","stack":false,"yaxes":[{"format":"celsius","min":null}],"targets":[{"expr":"DCGM_FI_DEV_GPU_TEMP{instance=~\"$instance\", gpu=~\"$gpu\"}","legendFormat":"GPU {{gpu}}","refId":"A"}]}`,
		`{"type":"heatmap","title":"H","options":{"calculate":false,"yAxis":{"unit":"none"}},"targets":[{"expr":"sum by(le) (increase(vllm:request_prompt_tokens_bucket{model_name=\"$model_name\"}[$__rate_interval]))","format":"heatmap","legendFormat":"{{le}}"}]}`,
		`{"type":"row","title":"R","collapsed":true,"panels":[{"type":"timeseries","title":"T","fieldConfig":{"defaults":{"unit":"s","custom":{"stacking":{"mode":"normal"}}},"overrides":[{}]},"targets":[{"refId":"A","expr":"rate(x[$__interval])"}]}]}`,
		`{"type":"stat","title":"S","transformations":[{"id":"reduce"}],"datasource":{"type":"loki"},"targets":[{"refId":"C","type":"math","expression":"$A"}]}`,
	} {
		f.Add([]byte(a(panel)))
	}
	f.Add([]byte(a(`{"type":"stat","title":"P\n# x: y","targets":[{"expr":"x{a=\"$b\"}"}]}`)))
	f.Add([]byte(`{"rows":[{"title":3,"panels":[{"type":"graph","yaxes":[{"format":null}],"targets":[{"expr":"rate(x[$__interval])"}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := panel.FromGrafana("b.json", data)
		if err != nil {
			return
		}
		text, err := im.YAML("b.json")
		if err != nil {
			t.Fatal(err)
		}
		file, faults := panel.Parse("f.yaml", text)
		for _, x := range faults {
			if !x.Warning && len(im.Panels) <= 500 {
				t.Errorf("%v in\n%s", x, text)
			}
		}
		if len(file.Panels) != min(len(im.Panels), 500) {
			t.Errorf("%d panels were taken and %d read", len(im.Panels), len(file.Panels))
		}
	})
}

// FuzzCheckExpr holds that any expression is judged, and that faults lie inside of it.
func FuzzCheckExpr(f *testing.F) {
	for _, s := range []string{"up", "sum(rate(x{$sel}[$w]))", "x[", "$foo", "engine:running[5m]", "rate(engine:running[5m])", "\"a\"", "x{a=\"$1\"}", "sum by (le)(x", "${__rate_interval}", "é + ü)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		for _, x := range panel.CheckExpr(expr) {
			if x.At > len(expr) || x.What == "" {
				t.Errorf("%q: %+v", expr, x)
			}
		}
	})
}
