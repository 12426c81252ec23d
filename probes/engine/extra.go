package engine

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

// page is the source of any other page of metrics. It is as gentle as with an engine: 1 to 5 s, by what a page takes.
type page struct {
	job, instance string
	c             *client
	path          string
	every         atomic.Int64
	lastOK        atomic.Pointer[time.Time] // with its monotonic reading: the wall clock may be set meanwhile

	// What follows belongs to Read.
	pages pages
	pace  pace
}

// newPage makes the source of the page at an address; /metrics where it has no path.
func newPage(job, address string, a Access) (*page, error) {
	in := strings.TrimSpace(address)
	if !strings.Contains(in, "://") {
		in = "http://" + in
	}
	u, err := url.Parse(in)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("page address %q is no http address", withoutUser(address))
	}
	path := u.Path
	if path == "" || path == "/" {
		path = "/metrics"
	}
	p := &page{job: job, instance: hostPort(u), path: path}
	if path != "/metrics" {
		p.instance += path
	}
	if u.RawQuery != "" {
		p.path += "?" + u.RawQuery
	}
	// An engine's key and headers are not for others.
	p.c, err = newClient(place{base: &url.URL{Scheme: u.Scheme, Host: u.Host}, user: u.User, instance: p.instance},
		Access{CAFile: a.CAFile, Timeout: a.Timeout})
	if err != nil {
		return nil, err
	}
	p.c.page = true
	p.every.Store(int64(minInterval))
	return p, nil
}

// Target gives the job and host:port, with the path where that is not /metrics.
func (p *page) Target() (job, instance string) { return p.job, p.instance }

// Every is between 1 and 5 s.
func (p *page) Every() time.Duration { return time.Duration(p.every.Load()) }

// Read gets the page once.
func (p *page) Read(ctx context.Context) probes.Reading {
	now := time.Now()
	p.pages.allowance.refill(now)
	a, err := p.c.get(ctx, p.path, acceptMetrics, maxPage)
	r := probes.Reading{Took: a.total}
	shown, _, _ := strings.Cut(p.path, "?") // a query may hold a token
	what := "scrape " + p.c.place.String() + shown
	defer func() { p.every.Store(int64(p.pace.interval())) }()
	if err != nil {
		t := p.c.trouble("scrape", shown, err)
		if r.Err = t; t.late {
			p.pace.struggled(now)
		}
		p.c.waited(a.total, t.late)
		return r
	}
	p.c.waited(a.total, false)
	if a.status != http.StatusOK {
		if a.status == http.StatusTooManyRequests {
			p.pace.struggled(now)
		}
		r.Err = fmt.Errorf("%s: %s", what, p.c.refused(a))
		return r
	}
	p.pace.took(now, a.total-a.connect)
	if r.Samples, r.Meta, err = p.pages.parse(a.contentType, a.body); err != nil {
		r.Err = fmt.Errorf("%s: %s", what, shortened(err.Error(), maxReason))
		return r
	}
	if n := p.pages.lost(); n > 0 {
		r.Absent = p.pages.reasons()
		r.Samples = append(r.Samples, probes.Sample{Labels: labels.FromStrings(model.MetricNameLabel, droppedMetric), Value: float64(n)})
		r.Meta[droppedMetric] = droppedMeta
	}
	p.lastOK.Store(&now)
	return r
}

// exporter is another program's page that is tried on this host without being asked for.
type exporter struct {
	job, address, prefix string
}

// exporters by their registered default ports (Prometheus wiki, "Default port allocations").
func exporters() []exporter {
	return []exporter{
		{job: "dcgm-exporter", address: "http://127.0.0.1:9400/metrics", prefix: "DCGM_FI_"},
		{job: "node-exporter", address: "http://127.0.0.1:9100/metrics", prefix: "node_"},
	}
}

// tryExporter gives a source if the exporter is there. What else may listen on its port is left alone, without a word.
func tryExporter(ctx context.Context, e exporter) (*page, bool) {
	p, err := newPage(e.job, e.address, Access{Timeout: 2 * time.Second})
	if err != nil {
		return nil, false
	}
	r := p.Read(ctx)
	if r.Err == nil {
		for _, s := range r.Samples {
			if strings.HasPrefix(s.Labels.Get(model.MetricNameLabel), e.prefix) {
				return p, true
			}
		}
	}
	p.c.close()
	return nil, false
}
