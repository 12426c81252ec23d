package capture

import "math"

// arms tells of U+2500 to U+257F how thick a line leaves the middle upwards, right, down and left: 0 none, 1 light,
// 2 heavy, 3 double. Dashes have the arms of the line they are made of; arcs and diagonals are drawn apart.
const arms = "" +
	"0101 0202 1010 2020 0101 0202 1010 2020 0101 0202 1010 2020 0110 0210 0120 0220 " + // 2500
	"0011 0012 0021 0022 1100 1200 2100 2200 1001 1002 2001 2002 1110 1210 2110 1120 " + // 2510
	"2120 2210 1220 2220 1011 1012 2011 1021 2021 2012 1022 2022 0111 0112 0211 0212 " + // 2520
	"0121 0122 0221 0222 1101 1102 1201 1202 2101 2102 2201 2202 1111 1112 1211 1212 " + // 2530
	"2111 1121 2121 2112 2211 1122 1221 2212 1222 2122 2221 2222 0101 0202 1010 2020 " + // 2540
	"0303 3030 0310 0130 0330 0013 0031 0033 1300 3100 3300 1003 3001 3003 1310 3130 " + // 2550
	"3330 1013 3031 3033 0313 0131 0333 1303 3101 3303 1313 3131 3333 0000 0000 0000 " + // 2560
	"0000 0000 0000 0000 0001 1000 0100 0010 0002 2000 0200 0020 0201 1020 0102 2010 " // 2570

const (
	light = 2.0
	heavy = 4.0
	// apart is how far the lines of a double one are from the middle.
	apart = 3.0
)

// dashes gives into how many pieces a line is cut.
func dashes(r rune) int {
	switch {
	case r >= 0x2504 && r <= 0x2507:
		return 3
	case r >= 0x2508 && r <= 0x250b:
		return 4
	case r >= 0x254c && r <= 0x254f:
		return 2
	}
	return 0
}

func boxShapes(r rune) []shape {
	const w, h, cx, cy = cellW, cellH, cellW / 2.0, cellH / 2.0
	switch r {
	case '╭':
		return []shape{ring(w, cy+cx, cx, light, math.Pi, math.Pi*1.5), rect(cx-1, cy+cx, cx+1, h)}
	case '╮':
		return []shape{ring(0, cy+cx, cx, light, math.Pi*1.5, math.Pi*2), rect(cx-1, cy+cx, cx+1, h)}
	case '╯':
		return []shape{ring(0, cy-cx, cx, light, 0, math.Pi*0.5), rect(cx-1, 0, cx+1, cy-cx)}
	case '╰':
		return []shape{ring(w, cy-cx, cx, light, math.Pi*0.5, math.Pi), rect(cx-1, 0, cx+1, cy-cx)}
	case '╱':
		return []shape{stroke(w, 0, 0, h, light)}
	case '╲':
		return []shape{stroke(0, 0, w, h, light)}
	case '╳':
		return []shape{stroke(w, 0, 0, h, light), stroke(0, 0, w, h, light)}
	}
	at := int(r-0x2500) * 5
	var a [4]int
	for i := range a {
		a[i] = int(arms[at+i] - '0')
	}
	if n := dashes(r); n > 0 {
		return dashed(a, n)
	}
	var out []shape
	for dir, kind := range a {
		if kind == 0 {
			continue
		}
		// Neighbours of the arm: the one at its right and at its left, seen along it, and the opposite.
		right, left, opposite := a[(dir+1)%4], a[(dir+3)%4], a[(dir+2)%4]
		if kind == 3 {
			out = append(out, arm(dir, apart, light, inner(right, left)), arm(dir, -apart, light, inner(left, right)))
			continue
		}
		from := 0.0
		switch {
		case right == 3 && left == 3 && opposite == 0:
			from = apart
		case right == 3 || left == 3:
			from = -apart
		}
		thick := light
		if kind == 2 {
			thick = heavy
		}
		// Over the middle by half of what crosses it, so that corners are full.
		cross := light / 2
		if right == 2 || left == 2 {
			cross = heavy / 2
		}
		out = append(out, arm(dir, 0, thick, from-cross))
	}
	return out
}

// inner is where a line of a double arm begins, from the middle: at the inner corner where a double arm turns off on its
// own side, at the outer one where it turns off on the other side only.
func inner(own, other int) float64 {
	switch {
	case own == 3:
		return apart - light/2
	case other == 3:
		return -apart - light/2
	}
	return -light / 2
}

// arm is a line from near the middle to the edge: up, right, down or left, aside to its right by some pixels.
func arm(dir int, aside, thick, from float64) shape {
	const w, h, cx, cy = cellW, cellH, cellW / 2.0, cellH / 2.0
	t := thick / 2
	switch dir {
	case 0:
		return rect(cx+aside-t, 0, cx+aside+t, cy-from)
	case 1:
		return rect(cx+from, cy+aside-t, w, cy+aside+t)
	case 2:
		return rect(cx-aside-t, cy+from, cx-aside+t, h)
	}
	return rect(0, cy-aside-t, cx-from, cy-aside+t)
}

// dashed is a line across the whole cell in n pieces.
func dashed(a [4]int, n int) []shape {
	var out []shape
	upright := a[0] > 0
	length, thick := float64(cellW), light
	if upright {
		length = cellH
	}
	if max(a[0], a[1]) == 2 {
		thick = heavy
	}
	step := length / float64(n)
	for i := range n {
		from, to := float64(i)*step+step/5, float64(i+1)*step-step/5
		if upright {
			out = append(out, rect(cellW/2-thick/2, from, cellW/2+thick/2, to))
		} else {
			out = append(out, rect(from, cellH/2-thick/2, to, cellH/2+thick/2))
		}
	}
	return out
}
