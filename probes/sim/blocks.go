package sim

import "fmt"

// DefaultBlockSize is the number of tokens in a KV block, vLLM's default on CUDA.
const DefaultBlockSize = 16

// pool is the KV cache: blocks that are held by requests, and free ones in the order in which they will be taken. A free
// block keeps its content's name until it is taken, so a later prompt with the same start can have it back: that is the
// prefix cache. Block 0 is never handed out, as in vLLM, and serves as the head of the free list.
type pool struct {
	refs       []int32  // by block: how many requests hold it
	name       []uint64 // by block: the hash of its content and all before it; 0 = none
	prev, next []int32  // the free list, a ring through block 0
	free       int
	cached     map[uint64]int32
}

func newPool(blocks int) *pool {
	p := &pool{
		refs: make([]int32, blocks), name: make([]uint64, blocks),
		prev: make([]int32, blocks), next: make([]int32, blocks),
		cached: make(map[uint64]int32),
	}
	for b := 1; b < blocks; b++ {
		p.pushFree(int32(b))
	}
	return p
}

// usable is how many blocks requests can hold: all but the reserved one.
func (p *pool) usable() int { return len(p.refs) - 1 }

// usage is the fraction of the usable blocks that requests hold, as vllm:kv_cache_usage_perc counts it: a block that is
// only cached is free.
func (p *pool) usage() float64 {
	return float64(p.usable()-p.free) / float64(p.usable())
}

func (p *pool) pushFree(b int32) {
	last := p.prev[0]
	p.next[last], p.prev[b] = b, last
	p.next[b], p.prev[0] = 0, b
	p.free++
}

func (p *pool) unlink(b int32) {
	p.next[p.prev[b]] = p.next[b]
	p.prev[p.next[b]] = p.prev[b]
	p.free--
}

// match gives the blocks of the longest run of cached content from block 0 of a sequence, at most limit blocks, and how
// many of them nobody holds. It takes none.
func (p *pool) match(hash func(int) uint64, limit int, into []int32) (hits []int32, idle int) {
	hits = into[:0]
	for i := range limit {
		b, ok := p.cached[hash(i)]
		if !ok {
			break
		}
		if p.refs[b] == 0 {
			idle++
		}
		hits = append(hits, b)
	}
	return hits, idle
}

// hold takes blocks that match found.
func (p *pool) hold(blocks []int32) {
	for _, b := range blocks {
		if p.refs[b] == 0 {
			p.unlink(b)
		}
		p.refs[b]++
	}
}

// take gives the free block that was not used for longest, and forgets what was in it. ok is false when none is free.
func (p *pool) take() (b int32, ok bool) {
	b = p.next[0]
	if b == 0 {
		return 0, false
	}
	p.unlink(b)
	p.refs[b] = 1
	if n := p.name[b]; n != 0 {
		delete(p.cached, n)
		p.name[b] = 0
	}
	return b, true
}

// remember names the content of a full block, so that others find it. The first block with a content keeps the name.
func (p *pool) remember(b int32, hash uint64) {
	if hash == 0 || p.name[b] != 0 {
		return
	}
	if _, taken := p.cached[hash]; taken {
		return
	}
	p.name[b] = hash
	p.cached[hash] = b
}

// release gives blocks of a sequence back, its end first, so that the end is also reused first and the start, which others
// are more likely to share, stays longest.
func (p *pool) release(blocks []int32) {
	for i := len(blocks) - 1; i >= 0; i-- {
		b := blocks[i]
		p.refs[b]--
		if p.refs[b] == 0 {
			p.pushFree(b)
		}
	}
}

// check walks everything and tells what does not add up; nil when all is well.
func (p *pool) check() error {
	held := 0
	for b := 1; b < len(p.refs); b++ {
		switch {
		case p.refs[b] < 0:
			return fmt.Errorf("block %d has %d holders", b, p.refs[b])
		case p.refs[b] > 0:
			held++
		}
	}
	walked := 0
	for b := p.next[0]; b != 0; b = p.next[b] {
		if p.refs[b] != 0 {
			return fmt.Errorf("block %d is free and held", b)
		}
		if walked++; walked > len(p.refs) {
			return fmt.Errorf("the free list does not end")
		}
	}
	if walked != p.free || held+p.free != p.usable() {
		return fmt.Errorf("%d held + %d free (%d in the list) of %d", held, p.free, walked, p.usable())
	}
	for h, b := range p.cached {
		if p.name[b] != h {
			return fmt.Errorf("block %d is cached under another name", b)
		}
	}
	return nil
}
