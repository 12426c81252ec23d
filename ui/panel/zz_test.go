package panel

import ("testing";"os";"path/filepath";"fmt")

func TestZZ(t *testing.T) {
	fs, _ := filepath.Glob("testdata/boards/*.json")
	for _, f := range fs {
		d, _ := os.ReadFile(f)
		im, err := FromGrafana(filepath.Base(f), d)
		if err != nil { t.Error(f, err); continue }
		fmt.Println("==", f, len(im.Panels), "panels", len(im.Pages), "pages")
		for _, r := range im.Left { fmt.Println("  LEFT", r) }
		for _, r := range im.Notes { fmt.Println("  NOTE", r) }
		y, err := im.YAML("x")
		if err != nil { t.Error(err) }
		_, faults := Parse("x.yaml", y)
		for _, x := range faults { fmt.Println("  FAULT", x, "|", x.Hint) }
		if f == "testdata/boards/dcgm_exporter.json" || f=="testdata/boards/vllm_grafana.json" { fmt.Println(string(y)[:min(len(y),3000)]) }
	}
}
