package engine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// Guest asks one server a few questions for somebody who is about to use it and does not watch it. Its methods are for one
// goroutine at a time. Like a Scraper it says no secret.
type Guest struct{ c *client }

// NewGuest makes a guest of the server at a URL, as an operator types it. Nothing is asked yet.
func NewGuest(url string, a Access) (*Guest, error) {
	p, err := parsePlace(url)
	if err != nil {
		return nil, err
	}
	c, err := newClient(p, a)
	if err != nil {
		return nil, err
	}
	return &Guest{c}, nil
}

// Base is the server's URL without user-info and without /v1, Instance its name among sources.
func (g *Guest) Base() url.URL { return *g.c.place.base }

// Instance is explained at Base.
func (g *Guest) Instance() string { return g.c.place.instance }

// Header is what every request to the server carries: the extra headers, and who asks. It holds secrets.
func (g *Guest) Header() http.Header { return g.c.header() }

// TLS is how connections to the server are made secure, nil for a server without.
func (g *Guest) TLS() *tls.Config {
	if g.c.place.base.Scheme != "https" {
		return nil
	}
	if t := g.c.http.Transport.(*http.Transport).TLSClientConfig; t != nil {
		return t.Clone()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}

// Proxy is the proxy that the environment names for this server, nil if none.
func (g *Guest) Proxy() *url.URL {
	p, err := http.ProxyFromEnvironment(&http.Request{URL: g.c.place.base})
	if err != nil || p == nil {
		return nil
	}
	return &url.URL{Scheme: p.Scheme, Host: p.Host}
}

// Hidden cuts the secrets that are known, and what looks like one, out of a text that comes from outside.
func (g *Guest) Hidden(text string) string { return redact(g.c.hidden(text)) }

// Close drops the connection.
func (g *Guest) Close() { g.c.close() }

// Introduction is what a server says of itself.
type Introduction struct {
	Dialect *dialect.Dialect
	// Version is empty where it doesn't say, Models are in the server's order, adapters too.
	Version string
	Models  []Model
	// MaxModelLen is 0 where it doesn't say; it holds for the models that have none of their own.
	MaxModelLen int
	// Simulated is whether its page says that no model runs, Local whether it is on this host.
	Simulated, Local bool
}

// Model is one that a server lists. Parent is set on an adapter.
type Model struct {
	ID, Root, Parent string
	MaxModelLen      int
}

// Introduce asks a server which engine it is, which version, and what it serves. The error is of one that gave no list of
// models: then it is no engine, or not yet, or wants a key.
func (g *Guest) Introduce(ctx context.Context) (Introduction, error) {
	d, _ := dialect.Named("vllm") // where identifying begins, as for an engine at an address that was given
	in := Introduction{Dialect: d, Local: onThisHost(g.c.place)}
	s, err := newScraper(g.c.place, d, Access{}, nil)
	if err != nil {
		return in, err
	}
	s.c.close()
	s.c = g.c
	if other := s.identify(ctx); other != nil {
		d = other
		in.Dialect, s.d = d, d
	}
	if a, err := g.c.get(ctx, d.Paths.Metrics, acceptMetrics, maxPage); err == nil && a.status == http.StatusOK {
		var p pages
		samples, _, err := p.parse(a.contentType, unquoted(a.body))
		in.Simulated = err == nil && slices.ContainsFunc(samples, func(x probes.Sample) bool {
			return x.Labels.Get(model.MetricNameLabel) == "pitwall_simulated" && x.Value == 1
		})
	}
	path := cmp.Or(d.Paths.Models, "/v1/models")
	a, err := g.c.get(ctx, path, acceptJSON, maxJSON)
	if err != nil {
		return in, g.c.trouble("get", path, err)
	}
	if a.status != http.StatusOK {
		return in, fmt.Errorf("get %s%s: %s", g.c.place, path, g.c.refused(a))
	}
	all, err := modelList(a.body)
	if err != nil {
		return in, fmt.Errorf("get %s%s: not the JSON of a model list: %w", g.c.place, path, err)
	}
	if len(all) == 0 {
		return in, fmt.Errorf("get %s%s: it lists no model", g.c.place, path)
	}
	for _, m := range all {
		in.Models = append(in.Models, Model{m.ID, m.Root, m.Parent, m.MaxModelLen})
	}
	s.ask(ctx)
	in.Version = s.facts["version"]
	in.MaxModelLen, _ = strconv.Atoi(s.facts["max_model_len"]) // 0 where it is not among them
	return in, nil
}

// guestPatience is how long an answer to Ask may take: a server under load makes it on the thread that serves requests.
const guestPatience = 30 * time.Second

// Ask posts a JSON body to a path below the server's URL and gives the answer, of any status. The error is about an answer that
// did not come.
func (g *Guest) Ask(ctx context.Context, path string, body []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, guestPatience)
	defer cancel()
	u := g.Base()
	u.Path += path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	g.c.sign(req)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", acceptJSON)
	resp, err := g.c.http.Do(req)
	if err == nil {
		defer resp.Body.Close()
		answer, err = bodyOf(resp, maxPage)
	}
	if err != nil {
		return 0, nil, g.c.trouble("post", path, &failure{err: err, patience: guestPatience})
	}
	return resp.StatusCode, answer, nil
}

// Refused words an answer that is none of the wanted, with the server's own message.
func (g *Guest) Refused(status int, body []byte) string {
	return g.Hidden(g.c.refused(answer{status: status, body: body}))
}
