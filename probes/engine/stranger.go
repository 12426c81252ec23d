package engine

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes"
)

// strangerAgain is how often a page that has nothing of an engine's own is questioned.
const strangerAgain = 10 * time.Second

// stranger says that what answers is no engine; empty if it is one, or may be. A page of metrics alone does not make an
// engine: an exporter on the wrong port has one as well. An engine without statistics has a page without metrics of its
// own, too, but it has models.
func (s *Scraper) stranger(ctx context.Context, now time.Time, page []probes.Sample) string {
	path := s.d.Paths.Models
	if path == "" {
		return ""
	}
	if !s.doubted.IsZero() && now.Sub(s.doubted) < strangerAgain {
		return s.doubt
	}
	a, err := s.c.get(ctx, path, acceptJSON, maxJSON)
	if err != nil {
		return s.doubt // nothing is known anew
	}
	s.doubted, s.doubt = now, ""
	why := ""
	switch {
	case a.status == http.StatusOK:
		if list, err := modelList(a.body); err == nil && list != nil {
			return ""
		}
		why = "what it gives there is none"
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
		why = fmt.Sprintf("HTTP %d", a.status)
	default:
		return "" // a key is wanted, or it is in trouble: something is there
	}
	has := "its page of metrics is empty"
	if len(page) > 0 {
		has = fmt.Sprintf("it has metrics like %s", shortened(page[0].Labels.Get(model.MetricNameLabel), 60))
	}
	s.doubt = fmt.Sprintf("not an engine, is it the right port? %s, none of %s's, and no list of models at %s (%s)", has, s.d.Title, path, why)
	return s.doubt
}
