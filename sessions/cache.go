package sessions

import "sync"

// blockCache keeps decoded block rows in two generations: when the young one is full it becomes the old one, and what is
// asked for again moves up. That forgets in the order of use with two maps and no list.
type blockCache struct{ *blockCacheState }

type blockCacheState struct {
	mu         sync.Mutex // guards everything below
	young, old map[int64]cachedBlock
	bytes      int
}

type cachedBlock struct {
	parts []seriesChunks
	bytes int
}

// cacheBytes is the size of a generation: the two together hold a few minutes of every series of a large engine.
const cacheBytes = 4 << 20

func newBlockCache() blockCache {
	return blockCache{&blockCacheState{young: map[int64]cachedBlock{}}}
}

func (c blockCache) get(key int64) ([]seriesChunks, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.young[key]; ok {
		return b.parts, true
	}
	b, ok := c.old[key]
	if ok {
		c.putLocked(key, b)
	}
	return b.parts, ok
}

func (c blockCache) put(key int64, parts []seriesChunks, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(key, cachedBlock{parts, bytes})
}

func (c blockCache) putLocked(key int64, b cachedBlock) {
	if c.bytes += b.bytes; c.bytes > cacheBytes {
		c.old, c.young, c.bytes = c.young, map[int64]cachedBlock{}, b.bytes
	}
	c.young[key] = b
}
