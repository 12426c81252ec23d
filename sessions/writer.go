package sessions

import (
	"context"
	"maps"
	"os"
	"strconv"
	"time"

	"pitwall/probes"
)

func (r *Recorder) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// write stores batches as they come, so that a slow disk never delays a tick.
func (r *Recorder) write(ctx context.Context) {
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
			if retry != nil {
				continue // the disk is in trouble; the batch waits
			}
		case <-retry:
		}
		retry = nil
		if !r.store(ctx) {
			retry = time.After(reopenEvery)
		}
	}
}

// store writes what is pending; what could not be written stays pending. It says whether nothing is left.
func (r *Recorder) store(ctx context.Context) bool {
	if r.opt.Dir == "" && r.path == "" {
		if _, err := r.takeRequests(); err != nil {
			r.setTrouble(err.Error())
		}
		r.mu.Lock()
		r.pending = &batch{meta: map[string]string{}} // memory only: nothing will ever be written
		r.mu.Unlock()
		return true
	}
	r.mu.Lock()
	missing := r.w == nil
	r.mu.Unlock()
	if r.wantAll.Load() {
		return true // the next tick brings what the new file begins with
	}
	if missing {
		if err := r.create(); err != nil {
			r.setTrouble(r.troubleOf(err))
			return false
		}
	} else if !r.keepLock() {
		return true // as above
	}
	r.mu.Lock()
	b := r.pending
	r.pending = &batch{meta: map[string]string{}}
	w := r.w
	r.mu.Unlock()
	var err error
	if b.requests, err = r.takeRequests(); err == nil {
		err = w.commit(ctx, b)
	}
	if err == nil {
		r.tail.wrote(b.requests)
	}
	if err == nil && b.dropJournal {
		err = r.keepWithin(ctx, w)
	} else if err != nil {
		b.requests = nil // they wait where they are
		r.mu.Lock()
		r.pending = b.then(r.pending)
		r.mu.Unlock()
	}
	var marks []probes.Event
	if err == nil {
		marks, err = w.foreign()
	}
	fate, lookErr := w.fate()
	if err == nil {
		err = lookErr
	}
	if fate == "" && isDamage(err) {
		fate = "its file was damaged (" + err.Error() + ")"
	}
	if fate != "" && ctx.Err() == nil {
		if err := r.rescue(ctx, w, fate); err != nil {
			r.setTrouble(fate + ": " + r.troubleOf(err))
			return false
		}
		return true
	}
	if err != nil {
		if ctx.Err() == nil {
			r.setTrouble(r.troubleOf(err))
		}
		return false
	}
	for _, e := range marks {
		r.ledger.addEvent(e)
		r.version.Add(1)
	}
	r.mu.Lock()
	r.trouble, r.bytes = "", fileBytes(r.path)
	r.mu.Unlock()
	return true
}

func (r *Recorder) setTrouble(s string) {
	r.mu.Lock()
	r.trouble = s
	r.mu.Unlock()
	r.version.Add(1)
}

// then joins two batches, the second being the newer.
func (b *batch) then(n *batch) *batch {
	maps.Copy(b.meta, n.meta)
	b.names = append(b.names, n.names...)
	b.series = append(b.series, n.series...)
	b.notes = append(b.notes, n.notes...)
	b.events = append(b.events, n.events...)
	for _, run := range n.runs {
		b.putRun(run)
	}
	b.joinAll = b.joinAll || n.joinAll
	b.blocks = append(b.blocks, n.blocks...)
	if n.dropJournal {
		b.rows, b.dropJournal = nil, true
	}
	b.rows = append(b.rows, n.rows...)
	return b
}

// keepWithin applies the retention: blocks older than KeepAge go, then the oldest until the file is within KeepBytes.
func (r *Recorder) keepWithin(ctx context.Context, w *writer) error {
	first, last := r.Bounds()
	from := first
	if r.opt.KeepAge > 0 {
		if t := last.Add(-r.opt.KeepAge); t.After(from) {
			from = t
		}
	}
	if r.opt.KeepBytes > 0 {
		used, err := w.used()
		if err != nil {
			return err
		}
		if used > r.opt.KeepBytes {
			// What is kept shrinks in proportion; the next block corrects the estimate.
			keep := time.Duration(float64(last.Sub(from)) * float64(r.opt.KeepBytes) / float64(used) * 0.95)
			from = last.Add(-keep)
		}
	}
	before := blockOf(msOf(from))
	r.head.mu.RLock()
	before = min(before, r.head.floor) // never what only memory's bookkeeping says is there
	names := len(r.head.names)
	r.head.mu.RUnlock()
	if before <= blockOf(msOf(first)) {
		return nil
	}
	if err := w.commit(ctx, &batch{meta: map[string]string{}, forget: &retention{names, before}}); err != nil {
		return err
	}
	r.forgot.Store(metaInt(w.meta, metaForgot))
	r.head.mu.Lock()
	r.head.first = before
	r.head.mu.Unlock()
	return w.shrink(ctx)
}

// Detach stops recording without ending the session, so that another process can Resume it.
func (r *Recorder) Detach() error { return r.shut(false) }

// Close stops recording and ends the session; one file is left.
func (r *Recorder) Close() error { return r.shut(true) }

func (r *Recorder) shut(end bool) error {
	r.closing.Do(func() {
		r.stop()
		r.stopped.Wait()
		r.mu.Lock()
		r.over = true
		r.pending.joinAll = true
		r.mu.Unlock()
		if len(r.groups) > 0 || r.wantAll.Load() {
			r.flush()
		}
		if r.wantsFile() {
			r.store(context.Background())
		}
		r.mu.Lock()
		never := r.w == nil
		r.mu.Unlock()
		first, _ := r.Bounds()
		empty := end && !never && first.IsZero()
		if end && !first.IsZero() && !never {
			r.head.mu.Lock()
			for _, s := range r.head.series {
				if s != nil {
					s.finish()
				}
			}
			r.finishBlock()
			last := r.head.last
			r.head.mu.Unlock()
			r.mu.Lock()
			r.ended = last
			r.pending.meta["ended"] = strconv.FormatInt(last, 10)
			r.mu.Unlock()
		}
		if never {
			r.alone.release()
			return
		}
		stored := r.store(context.Background())
		if r.wantAll.Load() { // the file was lost just now
			r.flush()
			stored = r.store(context.Background())
		}
		r.mu.Lock()
		w := r.w
		r.mu.Unlock()
		if !stored || w == nil {
			r.closed = &troubleError{r.path, r.Info().Trouble}
		}
		// The reading side goes first: SQLite leaves WAL mode only when nobody else has the file open.
		if a := r.archive.Load(); a != nil {
			a.db.Close()
		}
		if w == nil {
			r.lock.release()
			r.alone.release()
			return
		}
		if err := w.close(end); err != nil && r.closed == nil {
			r.closed = err
		}
		if empty && r.closed == nil { // ended before its first tick: there is no session
			r.closed = removeFile(r.path)
		}
		r.mu.Lock()
		r.w = nil
		r.mu.Unlock()
		r.lock.release()
		r.alone.release()
	})
	return r.closed
}

// wantsFile says whether the session should have a file and has none.
func (r *Recorder) wantsFile() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w == nil && r.path != ""
}

// troubleError says that a session's end could not be stored.
type troubleError struct{ path, trouble string }

func (e *troubleError) Error() string { return "session " + e.path + " is not complete: " + e.trouble }

// Version implements Reader.
func (r *Recorder) Version() uint64 { return r.version.Load() }

// Info implements Reader.
func (r *Recorder) Info() Info {
	first, last := r.Bounds()
	r.mu.Lock()
	defer r.mu.Unlock()
	i := Info{
		ID: r.id, Name: r.opt.Name, Host: r.opt.Host, Simulated: r.simulated.Load(), Started: first, Last: last, Ended: timeOf(r.ended),
		Recording: RecordingHere, Trouble: r.trouble, PID: os.Getpid(), Dropped: r.dropped.Load(), Bytes: r.bytes,
	}
	if r.w != nil {
		i.Path = r.path
	}
	switch {
	case r.ended != 0:
		i.Recording = Saved
	case r.w == nil || r.trouble != "":
		i.Recording = NotStored
	}
	return i
}

// fileBytes is the size of a session's file with its journal.
func fileBytes(path string) int64 {
	var n int64
	for _, suffix := range []string{"", "-wal"} {
		if st, err := os.Stat(path + suffix); err == nil {
			n += st.Size()
		}
	}
	return n
}
