package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"pitwall/probes"
)

// Parse reads one page of metrics in the Prometheus text format or in OpenMetrics, as its content type says; an empty type
// is taken for text. Names are kept as they are; le and quantile come in Prometheus 3's form (1.0, not 1); _created series
// of the page's own counters and histograms are left out; timestamps and exemplars are ignored. Of two series with equal
// labels the first counts. Meta is keyed as in the text format: an OpenMetrics counter x is there as x_total. When a line is
// broken nothing of the page is used, and the error names the line. Of a page with more than 20,000 series whole metrics are
// left out.
func Parse(contentType string, body []byte) ([]probes.Sample, map[string]probes.Meta, error) {
	var p pages
	return p.parse(contentType, body)
}

// pages parses page after page of one source and keeps the label sets of one for the next, by the bytes of the series as
// they stand on the page. The zero value is ready.
type pages struct {
	byText map[string]*series
	byHash map[uint64][]*series
	meta   map[string]probes.Meta
	turn   uint64
	// What bounds it: how many new series may come, how many the last page had, and how many it lost by metric.
	allowance allowance
	kept      int
	dropped   map[string]int
}

// series is a known label set. turn is that of the last page it was on, which finds duplicates without a second map.
type series struct {
	labels labels.Labels
	typ    model.MetricType
	turn   uint64
	// in is whether it was let in: not one too many.
	in bool
	// Where the name ends in _created: what it would be the creation time of, as a counter or as something else.
	counter, other string
}

func (p *pages) parse(contentType string, body []byte) (out []probes.Sample, meta map[string]probes.Meta, err error) {
	if len(body) > maxPage {
		return nil, nil, tooLarge{int64(len(body)), maxPage}
	}
	// The lexers index by offsets that they have found themselves; a page that gets one out of step must not end the
	// process.
	defer func() {
		if r := recover(); r != nil {
			out, meta, err = nil, nil, fmt.Errorf("parsing the page: %v", r)
			*p = pages{}
		}
	}()
	tp, err := newParser(contentType, body)
	if err != nil {
		return nil, nil, err
	}
	if p.byText == nil {
		p.byText, p.byHash = map[string]*series{}, map[uint64][]*series{}
	}
	p.turn++
	meta = make(map[string]probes.Meta, len(p.meta)+8)
	open := isOpenMetrics(contentType)
	var typ model.MetricType
	key := func(name []byte) string {
		if open && typ == model.MetricTypeCounter {
			return string(name) + "_total"
		}
		return string(name)
	}
	var helpName, help string
	p.dropped = nil
	fresh := newcomers{room: min(maxSeries-p.allowance.used, float64(maxSeries-p.kept))}
	learned := 0
	out = make([]probes.Sample, 0, len(p.byText))
	for {
		entry, err := tp.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.sweep(meta)
			return nil, nil, lineOf(contentType, body, err)
		}
		switch entry {
		case textparse.EntryHelp:
			// HELP comes before TYPE in the text format, and the key depends on the type.
			n, h := tp.Help()
			helpName, help = string(n), string(h)
			if m, ok := meta[key(n)]; ok && m.Help == "" {
				m.Help = help
				meta[key(n)] = m
			}
		case textparse.EntryType:
			n, t := tp.Type()
			typ = t
			out = p.settle(out, &fresh, string(n))
			m := probes.Meta{Type: t}
			if string(n) == helpName {
				m.Help = help
			}
			meta[key(n)] = m
		case textparse.EntryUnit:
			n, u := tp.Unit()
			m := meta[key(n)]
			m.Unit = string(u)
			meta[key(n)] = m
		case textparse.EntrySeries:
			raw, _, v := tp.Series()
			if !fresh.of(raw) {
				out = p.settle(out, &fresh, nameOf(raw))
			}
			s := p.byText[string(raw)]
			if s == nil || s.typ != typ {
				if learned == 2*maxSeries { // creation times, which are learned and not kept
					fresh.over++
					continue
				}
				if fresh.full(raw) {
					continue
				}
				learned++
				s = p.learn(tp, raw, typ)
			}
			if s.turn == p.turn || s.other != "" && s.created(meta) {
				continue
			}
			s.turn = p.turn
			if !s.in {
				fresh.add(len(out), raw)
			}
			out = append(out, probes.Sample{Labels: s.labels, Value: v})
		}
	}
	out = p.settle(out, &fresh, "")
	p.kept = len(out)
	p.sweep(meta)
	return out, meta, nil
}

// nameOf gives the metric name of a series as it stands on a page; empty where it is quoted among the labels.
func nameOf(raw []byte) string {
	name, _, _ := bytes.Cut(raw, []byte("{"))
	return string(name)
}

// settle lets the new series of a family in, or takes all of them out of the samples again, and begins the next family.
func (p *pages) settle(out []probes.Sample, n *newcomers, next string) []probes.Sample {
	defer n.next(next)
	if n.over == 0 {
		for _, raw := range n.raw {
			p.byText[raw].in = true
		}
		p.allowance.used += n.cost
		n.room -= n.cost
		return out
	}
	if p.dropped == nil {
		p.dropped = map[string]int{}
	}
	p.dropped[n.family] += n.over + len(n.at)
	for _, raw := range n.raw {
		s := p.byText[raw]
		delete(p.byText, raw)
		h := s.labels.Hash()
		if p.byHash[h] = slices.DeleteFunc(p.byHash[h], func(o *series) bool { return o == s }); len(p.byHash[h]) == 0 {
			delete(p.byHash, h)
		}
	}
	if len(n.at) == 0 {
		return out
	}
	kept, gone := out[:n.at[0]], n.at
	for i := n.at[0]; i < len(out); i++ {
		if len(gone) > 0 && gone[0] == i {
			gone = gone[1:]
			continue
		}
		kept = append(kept, out[i])
	}
	return kept
}

// unquoted gives the page inside of a JSON string: some builds of one engine have sent it so.
func unquoted(body []byte) []byte {
	if b := bytes.TrimSpace(body); len(b) > 1 && b[0] == '"' {
		var page string
		if json.Unmarshal(b, &page) == nil {
			return []byte(page)
		}
	}
	return body
}

func isOpenMetrics(contentType string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentType)), "application/openmetrics-text")
}

func newParser(contentType string, body []byte) (textparse.Parser, error) {
	if strings.TrimSpace(contentType) == "" {
		contentType = "text/plain"
	}
	if media, _, _ := strings.Cut(contentType, ";"); strings.EqualFold(strings.TrimSpace(media), "application/vnd.google.protobuf") {
		return nil, fmt.Errorf("it answers with protobuf, which is not read here: the text format was asked for (content type %q)", contentType)
	}
	tp, err := textparse.New(body, contentType, nil, textparse.ParserOptions{OpenMetricsSkipSTSeries: true})
	if tp == nil || err != nil {
		return nil, fmt.Errorf("no page of metrics but %s; is it the right port? (content type %q)", instead(body), contentType)
	}
	return tp, nil
}

// title is a web page's.
var title = regexp.MustCompile(`(?is)<title[^>]*>\s*([^<]{1,80})`)

// instead tells a page that is something else by its title, or quotes its first few letters. It stands early in a reason:
// a narrow screen cuts the end.
func instead(body []byte) string {
	const n = 40
	b := bytes.TrimSpace(body)
	if m := title.FindSubmatch(b[:min(len(b), 4096)]); m != nil {
		return fmt.Sprintf("a web page, %q", bytes.TrimSpace(m[1]))
	}
	if len(b) > n {
		return fmt.Sprintf("%q…", b[:n])
	}
	if len(b) == 0 {
		return "nothing at all"
	}
	return fmt.Sprintf("%q", b)
}

// learn builds the label set of a series that was not on the last page, or is of another type now.
func (p *pages) learn(tp textparse.Parser, raw []byte, typ model.MetricType) *series {
	var l labels.Labels
	tp.Labels(&l)
	s := &series{labels: l, typ: typ}
	if base, ok := strings.CutSuffix(l.Get(model.MetricNameLabel), "_created"); ok {
		s.counter, s.other = base+"_total", base
	}
	h := l.Hash()
	for _, o := range p.byHash[h] {
		if o.typ == typ && labels.Equal(o.labels, l) {
			// The same series with its labels in another order, or the second of two on a page.
			p.byText[string(raw)] = o
			return o
		}
	}
	p.byHash[h] = append(p.byHash[h], s)
	p.byText[string(raw)] = s
	return s
}

// created says whether the series is the creation time that client libraries write beside a counter or histogram. The name
// alone is not enough: kube_pod_created is a metric of its own. It depends on the page, so it is not remembered.
func (s *series) created(meta map[string]probes.Meta) bool {
	if meta[s.counter].Type == model.MetricTypeCounter {
		return true
	}
	switch meta[s.other].Type {
	case model.MetricTypeCounter, model.MetricTypeHistogram, model.MetricTypeSummary:
		return true
	}
	return false
}

// sweep forgets series that are no longer on the page once they outnumber those that are.
func (p *pages) sweep(meta map[string]probes.Meta) {
	p.meta = meta
	if len(p.byText) <= 2*p.kept+256 {
		return
	}
	clear(p.byHash)
	for raw, s := range p.byText {
		if s.turn != p.turn {
			delete(p.byText, raw)
			continue
		}
		h := s.labels.Hash()
		p.byHash[h] = append(p.byHash[h], s)
	}
}

// lineOf puts the number of the broken line before an error of the parser, which does not know it. It is found by reading
// the lines one by one, which is slow and happens only here. An error that no line has by itself keeps its text.
func lineOf(contentType string, body []byte, err error) error {
	open := isOpenMetrics(contentType)
	for i, line := range bytes.Split(body, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 && !open {
			continue
		}
		if open && i > 0 && len(line) == 0 {
			continue
		}
		page := append(bytes.Clone(line), '\n')
		if open && !bytes.HasPrefix(line, []byte("# EOF")) {
			page = append(page, "# EOF\n"...)
		}
		tp, perr := newParser(contentType, page)
		if perr != nil {
			return err
		}
		for perr == nil {
			_, perr = tp.Next()
		}
		if !errors.Is(perr, io.EOF) {
			return fmt.Errorf("line %d: %w", i+1, perr)
		}
	}
	return fmt.Errorf("the page is broken: %w", err)
}
