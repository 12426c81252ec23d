package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/ui"
	"pitwall/ui/panel"
)

func (p *program) panels() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "panels",
		Short: "Panels of one's own: list, check, show, import",
		Long: para(`The console's panels, built-in and one's own, have one form: YAML with a title, a unit, PromQL and how to draw it. A file of
panels adds to the built-in ones, changes, orders and hides them. It is panels.yaml beside the configuration file, or what panels:
or --panels name.`),
		Example: "pitwall panels show queue ttft-heat\npitwall panels check panels.yaml\npitwall panels import board.json -o panels.yaml",
		Args:    noArgs,
		RunE:    p.run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(p.panelsList(), p.panelsCheck(), p.panelsShow(), p.panelsImport())
	return cmd
}

// book joins the files of panels that are in force. The faults are of all of them.
func (p *program) book(c *config.Config) (*panel.Book, []*panel.Fault) {
	var files []*panel.File
	var faults []*panel.Fault
	read := func(path string, required bool) {
		f, bad := panel.Read(path)
		if !required {
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return
			}
		}
		files, faults = append(files, f), append(faults, bad...)
	}
	user := p.ownPanels
	switch {
	case len(c.Panels) > 0:
		for _, path := range c.Panels {
			// A path in the configuration file counts from there, as that file may be used from anywhere.
			read(p.panelPath(path), true)
		}
		user = p.panelPath(c.Panels[len(c.Panels)-1])
	case user != "":
		read(user, false)
	}
	if c.PanelsSection != nil {
		f, bad := panel.ParseNode(c.PanelsFile, c.PanelsSection)
		files, faults = append(files, f), append(faults, bad...)
	}
	b, bad := panel.NewBook(user, files...)
	return b, append(faults, bad...)
}

// panelPath gives the place of a file of panels: beside the configuration file where it is not here.
func (p *program) panelPath(path string) string {
	if filepath.IsAbs(path) || p.ownPanels == "" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, _ := p.env("HOME"); home != "" {
			return filepath.Join(home, rest)
		}
	}
	if _, err := os.Stat(path); err == nil {
		return absolute(path)
	}
	beside := filepath.Join(filepath.Dir(p.ownPanels), path)
	if _, err := os.Stat(beside); err == nil {
		return beside
	}
	return path
}

// addPanels gives a screen its panels. Faults don't keep it from being shown: each stands in its own panel, and the first
// is said at the beginning.
func (p *program) addPanels(c *config.Config, o *ui.Options) {
	b, faults := p.book(c)
	o.Panels = b
	faults = slices.DeleteFunc(faults, func(f *panel.Fault) bool { return f.Warning })
	if len(faults) == 0 {
		return
	}
	o.Notice = faults[0].Error()
	if n := len(faults) - 1; n > 0 {
		o.Notice += fmt.Sprintf(" (and %s more: pitwall panels check)", counted(n, "fault"))
	}
}

func (p *program) panelsList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The pages and their panels",
		Args:  noArgs,
		RunE: p.run(func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.settings(cmd)
			if err != nil {
				return err
			}
			b, faults := p.book(c)
			p.printFaults(faults, false)
			type line struct {
				Page  string `json:"page"`
				Panel string `json:"panel"`
				Title string `json:"title"`
				Draw  string `json:"draw"`
				Scope string `json:"scope"`
				Unit  string `json:"unit"`
				From  string `json:"from"`
				Fault string `json:"fault,omitempty"`
			}
			var lines []line
			for _, page := range b.Pages() {
				for _, id := range page.Panels {
					s, _ := b.Panel(id)
					from := s.File
					if s.Line > 0 && from != panel.BuiltinName {
						from = fmt.Sprintf("%s:%d", from, s.Line)
					}
					lines = append(lines, line{page.Name, id, s.Title, s.Drawing(), string(s.ScopeOf()), s.Unit, from, s.Broken()})
				}
			}
			if asJSON {
				return printJSON(p.stdout, lines)
			}
			rows := [][]string{{"PAGE", "PANEL", "TITLE", "DRAW", "SCOPE", "UNIT", "FROM"}}
			last := ""
			for _, l := range lines {
				page := l.Page
				if page == last {
					page = ""
				}
				last = l.Page
				rows = append(rows, []string{page, l.Panel, l.Title, l.Draw, l.Scope, l.Unit, l.From})
			}
			return table(p.stdout, rows)
		}),
	}
	flags(cmd, []string{"panels"})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printFaults prints faults with their places, warnings apart from errors, and gives how many of each there are.
func (p *program) printFaults(faults []*panel.Fault, warnings bool) (bad, doubts int) {
	for _, f := range faults {
		if f.Warning {
			doubts++
			if warnings {
				fmt.Fprintf(p.stderr, "pitwall: warning: %s\n", clean(f.Error()))
			}
			continue
		}
		bad++
		p.complain(f.Error(), f.Hint)
	}
	return bad, doubts
}

func (p *program) panelsCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Name line and reason of each fault in a file of panels",
		Long: para(`Reads a file of panels as the console would and names every fault: what is no YAML, keys that are unknown, PromQL that does not
parse with the character where it stops, engine: names that no dialect knows, pages with panels that nobody has. A panel without a
unit is a warning. Without FILE it is what the console would read.`),
		Example: "pitwall panels check panels.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			c, _, err := p.settings(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				c.Panels, c.PanelsSection = []string{absolute(args[0])}, nil
			}
			b, faults := p.book(c)
			if len(args) == 1 { // the place as it was typed
				for _, f := range faults {
					if f.File == absolute(args[0]) {
						f.File = args[0]
					}
				}
			}
			bad, doubts := p.printFaults(faults, true)
			own := 0
			for _, s := range b.Panels() {
				if s.File != panel.BuiltinName {
					own++
				}
			}
			said := fmt.Sprintf("%s of one's own, %s", counted(own, "panel"), counted(len(b.Pages()), "page"))
			if doubts > 0 {
				said += ", " + counted(doubts, "warning")
			}
			if bad > 0 {
				fmt.Fprintf(p.stdout, "%s, %s\n", said, counted(bad, "fault"))
				return exit(exitUsage)
			}
			fmt.Fprintf(p.stdout, "%s, no fault\n", said)
			return nil
		}),
	}
	flags(cmd, []string{"panels"})
	return cmd
}

func (p *program) panelsShow() *cobra.Command {
	var page string
	cmd := &cobra.Command{
		Use:   "show [PANEL]...",
		Short: "Print panels in the form that a file of panels has",
		Long: para(`Prints the panels and pages in force, built-in ones with what files change, as YAML. A panel copied into a file of one's own may be
changed there; what a copy leaves out stays as it is.`),
		Example: "pitwall panels show\npitwall panels show kv-use\npitwall panels show --page latency",
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			c, _, err := p.settings(cmd)
			if err != nil {
				return err
			}
			b, faults := p.book(c)
			p.printFaults(faults, false)
			pages := b.Pages()
			var specs []panel.Spec
			switch {
			case page != "":
				i := slices.IndexFunc(pages, func(x panel.Page) bool { return x.Name == page })
				if i < 0 {
					return fail(exitUsage, "pitwall panels list shows the pages", "no page %q", page)
				}
				pages = pages[i : i+1]
				args = pages[0].Panels
				fallthrough
			case len(args) > 0:
				if page == "" {
					pages = nil
				}
				for _, id := range args {
					s, ok := b.Panel(id)
					if !ok {
						var ids []string
						for _, x := range b.Panels() {
							ids = append(ids, x.ID)
						}
						hint := "pitwall panels list shows them"
						if near := config.Nearest(id, ids); near != "" {
							hint = "did you mean " + near + "?"
						}
						return fail(exitUsage, hint, "no panel %q", id)
					}
					specs = append(specs, s)
				}
			default:
				specs = b.Panels()
			}
			text, err := panel.YAML("", specs, pages)
			if err != nil {
				return fmt.Errorf("writing panels: %w", err)
			}
			_, err = p.stdout.Write(text)
			return err
		}),
	}
	flags(cmd, []string{"panels"})
	cmd.Flags().StringVar(&page, "page", "", "the panels of one page")
	return cmd
}

func (p *program) panelsImport() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "import BOARD.json",
		Short: "Take the panels out of a Grafana board",
		Long: para(`Reads a Grafana board (classic JSON, as it is exported or as its API gives it; - is the standard input) and writes its panels as a
file of panels. Template variables that choose an engine become the engine that is chosen on the screen. What could not be taken,
and what is different here, is said with its reason.`),
		Example: "pitwall panels import grafana.json > ~/.config/pitwall/panels.yaml\npitwall panels import grafana.json -o board.yaml && pitwall --panels board.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fail(exitUsage, "pitwall panels import grafana.json", "one board is needed, and %d were given", len(args))
			}
			return nil
		},
		RunE: p.run(func(_ *cobra.Command, args []string) error { return p.importBoard(args[0], out) }),
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (default the standard output); one that exists is not written over")
	return cmd
}

func (p *program) importBoard(path, out string) error {
	in := io.Reader(p.stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fail(exitUsage, "a board is exported in Grafana under Share, Export", "%w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, 64<<20))
	if err != nil {
		return fmt.Errorf("reading the board: %w", err)
	}
	im, err := panel.FromGrafana(filepath.Base(path), data)
	if err != nil {
		return fail(exitUsage, "a board is exported in Grafana under Share, Export, as JSON", "%s: %w", path, err)
	}
	for _, r := range im.Left {
		fmt.Fprintf(p.stderr, "not taken: %s: %s\n", clean(r.Panel), clean(r.What))
	}
	for _, r := range im.Notes {
		fmt.Fprintf(p.stderr, "different: %s: %s\n", clean(r.Panel), clean(r.What))
	}
	fmt.Fprintf(p.stderr, "%s on %s taken, %s of the board not\n", counted(len(im.Panels), "panel"), counted(len(im.Pages), "page"), counted(len(im.Left), "part"))
	text, err := im.YAML(filepath.Base(path))
	if err != nil {
		return fmt.Errorf("writing the panels: %w", err)
	}
	if out == "" || out == "-" {
		_, err := io.Copy(p.stdout, bytes.NewReader(text))
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fail(exitUsage, "choose another name, or remove it", "%s exists already", out)
	}
	if err != nil {
		return fmt.Errorf("writing the panels: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
