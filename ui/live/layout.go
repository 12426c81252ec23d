package live

import "slices"

// Rect is a rectangle of cells.
type Rect struct{ X, Y, W, H int }

// Shape is what a layout depends on besides the size: what there is to show.
type Shape struct {
	// Engine is whether there is an engine that has ever answered; without one its panels give way to one that says what to do.
	Engine bool
	// GPUs is how many GPUs there are; without any the GPU panel is one line.
	GPUs int
	// Bar is whether the load bar stands below, on whose upper border no time axis has room.
	Bar bool
}

// Box is the inside of a panel; its title stands on the line above it.
type Box struct {
	Rect
	// Panel is the panel's id, or "engine" for the box that takes the engine's panels' place, or "events".
	Panel string
	// Title is where the title may be written: on the border line above.
	TitleX, TitleW int
}

// Plan is where everything goes. It is a pure function of size and shape.
type Plan struct {
	W, H     int
	TooSmall bool
	// Wide says that panels stand in two columns.
	Wide  bool
	Boxes []Box
	// Axes are the lines with the time axis, one per column of panels; X and W are those of its charts.
	Axes []Rect
	// Rows are the lines of horizontal borders, Cuts the vertical border segments.
	Rows []Rect
	Cuts []Rect
	// Left is how many panels of the page found no room.
	Left int
	// Strip is a panel that is only a title, by id: its line and reason go there.
	Strip Box
}

// has tells whether a panel has a box.
func (p Plan) has(panel string) bool {
	return slices.ContainsFunc(p.Boxes, func(b Box) bool { return b.Panel == panel })
}

// The smallest screen that is drawn, and the width from which panels stand side by side.
const (
	MinW, MinH = 60, 15
	wideFrom   = 132
	head       = 2 // the top line and the line of the most important fact
	axisW      = 6
)

// Layout divides a screen.
func Layout(w, h int, s Shape) Plan {
	p := Plan{W: w, H: h}
	if w < MinW || h < MinH {
		p.TooSmall = true
		return p
	}
	if w >= wideFrom {
		p.Wide = true
		p.wide(s)
	} else {
		p.narrow(s)
	}
	return p
}

// wide puts panels in pairs: queue and latency, throughput and KV cache, GPU and host, events below.
func (p *Plan) wide(s Shape) {
	mid := (p.W - 1) / 2
	left, right := Rect{X: 1, W: mid - 1}, Rect{X: mid + 1, W: p.W - mid - 2}
	// Heights: what each band needs at least, and its share of the rest.
	type band struct {
		ids         [2]string
		least, want int
		share       int
	}
	bands := []band{{[2]string{"queue", "latency"}, 3, 7, 24}, {[2]string{"throughput", "cache"}, 3, 7, 22}}
	if !s.Engine {
		bands = []band{{[2]string{"engine", ""}, 6, 15, 46}}
	}
	hostLeast := 4
	if s.GPUs == 0 {
		bands = append(bands, band{[2]string{"host", ""}, 3, 6, 22})
		hostLeast = 3
	} else {
		want := 10
		if s.GPUs > 1 {
			want = max(10, s.GPUs+2)
		}
		bands = append(bands, band{[2]string{"gpu", "host"}, hostLeast, want, 34})
	}
	bands = append(bands, band{[2]string{"events", ""}, 1, 4, 9})
	avail := p.H - head - 1 - len(bands)
	strip := s.GPUs == 0
	if strip {
		avail--
	}
	least, want, share := make([]int, len(bands)), make([]int, len(bands)), make([]int, len(bands))
	for i, b := range bands {
		least[i], want[i], share[i] = b.least, b.want, b.share
	}
	heights := divide(avail, least, want, share)
	y := head
	for i, b := range bands {
		if b.ids[0] == "host" && strip {
			p.Rows = append(p.Rows, Rect{0, y, p.W, 1})
			p.Strip = Box{Rect: Rect{1, y, p.W - 2, 1}, Panel: "gpu", TitleX: 1, TitleW: p.W - 2}
			if s.Engine {
				// The right column's charts end here, and so does the strip: the rest of the line is their time axis.
				p.Strip.W, p.Strip.TitleW = left.W, left.W
				p.Axes = append(p.Axes, Rect{X: right.X, Y: y, W: right.W})
			}
			y++
		}
		p.Rows = append(p.Rows, Rect{0, y, p.W, 1})
		if b.ids[0] == "events" {
			// The line above the events is the time axis of the charts over it.
			p.Axes = append(p.Axes, Rect{X: left.X, Y: y, W: left.W})
			if !strip {
				p.Axes = append(p.Axes, Rect{X: right.X, Y: y, W: right.W})
			}
			p.Boxes = append(p.Boxes, Box{Rect: Rect{1, y + 1, p.W - 2, heights[i]}, Panel: "events", TitleX: 1, TitleW: p.W - 2})
		} else if b.ids[1] == "" {
			p.Boxes = append(p.Boxes, Box{Rect: Rect{1, y + 1, p.W - 2, heights[i]}, Panel: b.ids[0], TitleX: 1, TitleW: p.W - 2})
		} else {
			p.Boxes = append(p.Boxes,
				Box{Rect: Rect{left.X, y + 1, left.W, heights[i]}, Panel: b.ids[0], TitleX: left.X, TitleW: left.W},
				Box{Rect: Rect{right.X, y + 1, right.W, heights[i]}, Panel: b.ids[1], TitleX: right.X, TitleW: right.W})
			p.Cuts = append(p.Cuts, Rect{mid, y, 1, heights[i] + 2})
		}
		y += heights[i] + 1
	}
	p.frame(y)
}

// narrow puts panels below each other and leaves out the least important ones when there are too few lines.
func (p *Plan) narrow(s Shape) {
	type part struct {
		id          string
		least, want int
		share       int
		weight      int // the smaller, the sooner it is left out
	}
	parts := []part{{"queue", 3, 3, 20, 9}, {"latency", 3, 4, 20, 8}, {"throughput", 2, 3, 20, 5}, {"cache", 2, 3, 14, 6}}
	if !s.Engine {
		parts = []part{{"engine", 11, 14, 40, 9}}
	}
	strip := 0
	if s.GPUs > 0 {
		parts = append(parts, part{"gpu", min(2+s.GPUs, 5), 4 + min(s.GPUs, 8), 24, 7})
	} else {
		strip = 1
	}
	parts = append(parts, part{"host", 2, 4, 14, 4}, part{"events", 2, 4, 12, 3})
	// own is a line for the time axis alone, where what stands under the last chart has none for it.
	own := func() int {
		if s.Bar && strip == 0 && charted(parts[len(parts)-1].id, s) {
			return 1
		}
		return 0
	}
	for {
		need := head + 1 + strip + own()
		worst := 0
		for i, x := range parts {
			need += 1 + x.least
			if x.weight < parts[worst].weight {
				worst = i
			}
		}
		if need <= p.H || len(parts) == 1 {
			break
		}
		parts = append(parts[:worst], parts[worst+1:]...)
	}
	least, want, share := make([]int, len(parts)), make([]int, len(parts)), make([]int, len(parts))
	for i, x := range parts {
		least[i], want[i], share[i] = x.least, x.want, x.share
	}
	axis := own()
	heights := divide(p.H-head-1-strip-axis-len(parts), least, want, share)
	y := head
	lastChart := -1
	for i, x := range parts {
		if (x.id == "host" || x.id == "events") && strip == 1 {
			p.Rows = append(p.Rows, Rect{0, y, p.W, 1})
			p.Strip = Box{Rect: Rect{1, y, p.W - 2, 1}, Panel: "gpu", TitleX: 1, TitleW: p.W - 2}
			y++
			strip = 0
		}
		p.Rows = append(p.Rows, Rect{0, y, p.W, 1})
		b := Box{Rect: Rect{1, y + 1, p.W - 2, heights[i]}, Panel: x.id, TitleX: 1, TitleW: p.W - 2}
		// The line under the last chart is the time axis; the title of the panel below stands right of it.
		if lastChart == i-1 && i > 0 && !charted(x.id, s) {
			p.Axes = append(p.Axes, Rect{X: 1, Y: y, W: p.W - 2})
		}
		if charted(x.id, s) {
			lastChart = i
		}
		p.Boxes = append(p.Boxes, b)
		y += heights[i] + 1
	}
	if strip == 1 {
		p.Rows = append(p.Rows, Rect{0, y, p.W, 1})
		p.Strip = Box{Rect: Rect{1, y, p.W - 2, 1}, Panel: "gpu", TitleX: 1, TitleW: p.W - 2}
		y++
	}
	if len(p.Axes) == 0 {
		p.Axes = append(p.Axes, Rect{X: 1, Y: y, W: p.W - 2})
	}
	if axis > 0 {
		p.Rows = append(p.Rows, Rect{0, y, p.W, 1})
		y++
	}
	p.frame(y)
}

// charted tells which panels have a chart in the narrow layout.
func charted(id string, s Shape) bool {
	switch id {
	case "host", "events", "engine":
		return false
	case "gpu":
		return s.GPUs == 1
	}
	return true
}

// frame adds the outer border; its last line is that of the keys.
func (p *Plan) frame(bottom int) {
	p.Rows = append(p.Rows, Rect{0, bottom, p.W, 1})
	p.Cuts = append(p.Cuts, Rect{0, head, 1, bottom - head + 1}, Rect{p.W - 1, head, 1, bottom - head + 1})
}

// divide shares lines out: everyone's least first, then up to what is wanted, one line a turn, then the rest by share.
func divide(avail int, least, want, share []int) []int {
	h := make([]int, len(least))
	rest := avail
	for i := range h {
		h[i] = least[i]
		rest -= least[i]
	}
	for grew := true; grew && rest > 0; {
		grew = false
		for i := range h {
			if rest > 0 && h[i] < want[i] {
				h[i]++
				rest--
				grew = true
			}
		}
	}
	total := 0
	for _, s := range share {
		total += s
	}
	if rest > 0 && total > 0 {
		left := rest
		for i := range h {
			add := rest * share[i] / total
			h[i] += add
			left -= add
		}
		for i := 0; left > 0; i, left = (i+1)%len(h), left-1 {
			h[i]++
		}
	}
	if rest < 0 {
		// Not even the least fits: the last ones give way.
		for i := len(h) - 1; i >= 0 && rest < 0; i-- {
			give := min(h[i], -rest)
			h[i] -= give
			rest += give
		}
	}
	return h
}

// numbersWidth is how wide the numbers beside a chart are.
func numbersWidth(box int) int {
	switch {
	case box >= 140:
		return 60
	case box >= 110:
		return 46
	case box >= 76:
		return 40
	case box >= 64:
		return 38
	case box >= 56:
		return 34
	}
	return max(box*2/5, 16) // of three or more columns
}
