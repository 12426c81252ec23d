package engine

import (
	"bytes"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

const (
	textType = "text/plain; version=0.0.4; charset=utf-8"
	openType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

func fixture(t testing.TB, file string) (contentType string, body []byte) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".openmetrics") {
		return openType, body
	}
	return textType, body
}

func byText(samples []probes.Sample) map[string]float64 {
	out := map[string]float64{}
	for _, s := range samples {
		out[s.Labels.String()] = s.Value
	}
	return out
}

func TestParse(t *testing.T) {
	cases := []struct {
		what, typ, page string
		want            map[string]float64
	}{
		{"an empty page is a page", textType, "", map[string]float64{}},
		{"a page without a content type is text", "", "a 1\n", map[string]float64{`{__name__="a"}`: 1}},
		{"vLLM 0.32's content type is text", "text/plain; version=1.0.0; charset=utf-8", "a 1\n", map[string]float64{`{__name__="a"}`: 1}},
		{"a last line without an end counts", textType, "a 1", map[string]float64{`{__name__="a"}`: 1}},
		{"integer bucket bounds get Prometheus 3's form", textType, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n",
			map[string]float64{`{__name__="h_bucket", le="1.0"}`: 2, `{__name__="h_bucket", le="+Inf"}`: 2, `{__name__="h_sum"}`: 1, `{__name__="h_count"}`: 2}},
		{"the creation time of a counter is left out", textType, "# TYPE c_total counter\nc_total 1\n# TYPE c_created gauge\nc_created 1.7e9\n",
			map[string]float64{`{__name__="c_total"}`: 1}},
		{"the creation time of a histogram is left out, although it is called _total_created", textType,
			"# TYPE i_total histogram\ni_total_bucket{le=\"+Inf\"} 1\ni_total_sum 1\ni_total_count 1\n# TYPE i_total_created gauge\ni_total_created 1.7e9\n",
			map[string]float64{`{__name__="i_total_bucket", le="+Inf"}`: 1, `{__name__="i_total_sum"}`: 1, `{__name__="i_total_count"}`: 1}},
		{"a gauge that is only called _created stays", textType, "# TYPE kube_pod_created gauge\nkube_pod_created 5\n", map[string]float64{`{__name__="kube_pod_created"}`: 5}},
		{"of two equal series the first counts", textType, "a{x=\"1\",y=\"2\"} 1\na{x=\"1\",y=\"2\"} 2\n", map[string]float64{`{__name__="a", x="1", y="2"}`: 1}},
		{"of two equal series with labels in another order the first counts", textType, "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", map[string]float64{`{__name__="a", x="1", y="2"}`: 1}},
		{"an OpenMetrics counter keeps its series' name", openType, "# TYPE c counter\nc_total 3\nc_created 1.7e9\n# EOF\n", map[string]float64{`{__name__="c_total"}`: 3}},
		{"timestamps are ignored", textType, "a 1 1700000000000\n", map[string]float64{`{__name__="a"}`: 1}},
		{"infinity is a number", textType, "a +Inf\n", map[string]float64{`{__name__="a"}`: math.Inf(1)}},
		{"control characters in a label stay as they are", textType, "a{x=\"\\n\x1b[31m\"} 1\n", map[string]float64{`{__name__="a", x="\n\x1b[31m"}`: 1}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			samples, _, err := Parse(c.typ, []byte(c.page))
			if err != nil {
				t.Fatal(err)
			}
			got := byText(samples)
			if len(samples) != len(c.want) || !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestParseUsesNothingOfABrokenPage(t *testing.T) {
	cases := []struct{ what, typ, page, want string }{
		{"a broken value names its line", textType, "a 1\nb 2\nc three\n", "line 3:"},
		{"a broken label names its line", textType, "# HELP a x\n# TYPE a gauge\na 1\na{x=} 1\nb 1\n", "line 4:"},
		{"a page that is cut names its last line", textType, "a 1\nb{x=\"1", "line 2:"},
		{"a broken OpenMetrics line names its line", openType, "# TYPE a gauge\na 1\na{ 2\n# EOF\n", "line 3:"},
		{"an OpenMetrics page without an end", openType, "# TYPE a gauge\na 1\n", "EOF"},
		{"HTML", "text/html; charset=utf-8", "<!doctype html><title>Grafana</title>", `no page of metrics but a web page, "Grafana"; is it the right port? (content type "text/html; charset=utf-8")`},
		{"HTML that says it is text", textType, "<!doctype html>\n<title>", "line 1:"},
		{"JSON", "application/json", `{"detail":"Not Found"}`, "no page of metrics"},
		{"protobuf", "application/vnd.google.protobuf; proto=x", "\x00", "not read here"},
		{"a content type that is no content type", "text/plain; ;;=", "a 1", "no page of metrics"},
		{"too many bytes", textType, strings.Repeat("#\n", maxPage/2+1), "its answer has 16 MiB, and up to 16 MiB are read"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			samples, meta, err := Parse(c.typ, []byte(c.page))
			if err == nil {
				t.Fatal("no error")
			}
			if samples != nil || meta != nil {
				t.Errorf("something of the page is used: %v", samples)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func TestParseReadsEveryRecordedPage(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*m*")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, path := range files {
		if !strings.HasSuffix(path, ".prom") && !strings.HasSuffix(path, ".openmetrics") {
			continue
		}
		read++
		typ, body := fixture(t, filepath.Base(path))
		samples, meta, err := Parse(typ, body)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		lines := 0
		for line := range strings.Lines(string(body)) {
			if strings.HasPrefix(line, "#") || strings.Contains(line, "_created{") || strings.HasPrefix(line, "http_") && strings.Contains(line, "_created ") {
				continue
			}
			lines++
		}
		if len(samples) != lines {
			t.Errorf("%s: %d samples of %d lines", path, len(samples), lines)
		}
		for _, s := range samples {
			name := s.Labels.Get(model.MetricNameLabel)
			family := name
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				if base, ok := strings.CutSuffix(name, end); ok && meta[base].Type != "" {
					family = base
				}
			}
			if strings.HasPrefix(filepath.Base(path), "vllm-") && (meta[family].Type == "" || meta[family].Help == "") {
				t.Errorf("%s: no type or help for %s", path, name)
			}
		}
	}
	if read < 8 {
		t.Errorf("only %d pages read", read)
	}
}

func TestMetaOfOpenMetricsIsKeyedAsInText(t *testing.T) {
	_, meta, err := Parse(openType, []byte("# HELP c Counted.\n# TYPE c counter\nc_total 3\n# TYPE d counter\n# HELP d Counted too.\n# TYPE e_bytes gauge\n# UNIT e_bytes bytes\ne_bytes 1\n# EOF\n"))
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]probes.Meta{
		"c_total": {Type: model.MetricTypeCounter, Help: "Counted."},
		"d_total": {Type: model.MetricTypeCounter, Help: "Counted too."},
		"e_bytes": {Type: model.MetricTypeGauge, Unit: "bytes"},
	} {
		if meta[k] != want {
			t.Errorf("%s is %+v, want %+v", k, meta[k], want)
		}
	}
}

func TestPagesKeepLabelSetsAndForgetThem(t *testing.T) {
	var p pages
	typ, body := fixture(t, "vllm-0.26.prom")
	first, _, err := p.parse(typ, body)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := p.parse(typ, body)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != len(second) {
		t.Fatalf("%d and %d samples of the same page", len(first), len(second))
	}
	fresh, _, err := Parse(typ, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fresh {
		if !labels.Equal(fresh[i].Labels, second[i].Labels) || fresh[i].Value != second[i].Value {
			t.Fatalf("%v became %v", fresh[i], second[i])
		}
	}
	for range 3 {
		if _, _, err := p.parse(textType, []byte("a 1\n")); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.byText) > 300 {
		t.Errorf("%d series are remembered of a page with one", len(p.byText))
	}
	// A broken page in between loses nothing.
	if _, _, err := p.parse(typ, append(bytes.Clone(body), "broken{\n"...)); err == nil {
		t.Fatal("no error")
	}
	if again, _, err := p.parse(typ, body); err != nil || len(again) != len(first) {
		t.Errorf("%d samples, error %v", len(again), err)
	}
	// A family that changes its type changes its labels' form.
	if _, _, err := p.parse(textType, []byte("# TYPE h gauge\nh_bucket{le=\"1\"} 2\n")); err != nil {
		t.Fatal(err)
	}
	got, _, err := p.parse(textType, []byte("# TYPE h histogram\nh_bucket{le=\"1\"} 2\n"))
	if err != nil || got[0].Labels.Get("le") != "1.0" {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"vllm-0.32-after.prom", "vllm-rust.openmetrics"} {
		typ, body := fixture(f, file)
		f.Add(typ, body[:min(len(body), 4000)])
	}
	f.Add(textType, []byte("# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_created 3\n"))
	f.Add(openType, []byte("# TYPE c counter\nc_total 3 # {a=\"b\"} 1\n# EOF\n"))
	for _, page := range []string{
		"a NaN\nb +Inf\na 2\n", "a{x=\"\xff\"} 1\n", "{\"κ.λ\",x=\"1\"} 1\n", "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", "a 1 99999999999999\n",
		"# TYPE a histogram\na_bucket{le=\"1\"} 1\n# TYPE a gauge\na_bucket{le=\"1\"} 1\n", "<!doctype html><title>x</title>",
	} {
		f.Add(textType, []byte(page))
		f.Add(openType, []byte(page+"# EOF\n"))
	}
	f.Add("application/vnd.google.protobuf", []byte("\x0a\x02"))
	var p pages
	f.Fuzz(func(t *testing.T, typ string, body []byte) {
		samples, meta, err := Parse(typ, body)
		if err != nil && (samples != nil || meta != nil) {
			t.Fatal("something of a broken page is used")
		}
		seen := map[string]bool{}
		for _, s := range samples {
			k := s.Labels.String()
			if seen[k] {
				t.Fatalf("%s is there twice", k)
			}
			seen[k] = true
		}
		// What is remembered changes no result.
		p.allowance, p.kept = allowance{}, 0
		again, _, err2 := p.parse(typ, body)
		if (err == nil) != (err2 == nil) || len(again) != len(samples) {
			t.Fatalf("%d samples and %v, with a memory %d and %v", len(samples), err, len(again), err2)
		}
		for i := range again {
			if !labels.Equal(again[i].Labels, samples[i].Labels) {
				t.Fatalf("%s, with a memory %s", samples[i].Labels, again[i].Labels)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	typ, body := fixture(b, "vllm-0.32-after.prom")
	var p pages
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.parse(typ, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseFirst(b *testing.B) {
	typ, body := fixture(b, "vllm-0.32-after.prom")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(typ, body); err != nil {
			b.Fatal(err)
		}
	}
}
