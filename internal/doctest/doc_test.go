package doctest_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/telemetry"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const root = "../.."

// pages gives every Markdown page by its path below the root.
var pages = sync.OnceValues(func() (map[string]string, error) {
	found := map[string]string{}
	top := os.DirFS(root)
	err := fs.WalkDir(top, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if base := path.Base(name); base == "node_modules" || base == "testdata" || len(base) > 1 && base[0] == '.' {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".md":
			return nil
		}
		text, err := fs.ReadFile(top, name)
		found[name] = string(text)
		return err
	})
	return found, err
})

func allPages(t *testing.T) map[string]string {
	t.Helper()
	found, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "docs/protocol.md", "docs/operations.md"} {
		if found[name] == "" {
			t.Fatalf("%s is missing", name)
		}
	}
	return found
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	anchor  = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

// TestLinks: every relative link of a page leads to a file, and its fragment to a heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := allPages(t)
	for name, text := range all {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target := found[1] + found[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, fragment, _ := strings.Cut(target, "#")
			to := name
			if file != "" {
				to = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, target)
				continue
			}
			if fragment != "" && !headings(all[to])[fragment] {
				t.Errorf("%s links to %s, but %s has no such heading", name, target, to)
			}
		}
	}
}

// headings gives the fragments that GitHub makes of the headings of a page.
func headings(text string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		plain := anchor.ReplaceAllString(strings.ToLower(h[1]), "")
		found[strings.ReplaceAll(strings.TrimSpace(plain), " ", "-")] = true
	}
	return found
}

// TestReadmeShowsExamples: the README's code is that of the examples, byte for byte, so it compiles.
func TestReadmeShowsExamples(t *testing.T) {
	t.Parallel()
	readme := allPages(t)["README.md"]
	for file, language := range map[string]string{"examples/chat/main.go": "go", "examples/dealer.py": "python"} {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(readme, "```"+language+"\n"+string(source)+"```\n") {
			t.Errorf("README.md does not show %s as it is", file)
		}
	}
}

// TestReadmeListsExamples: every example is in the README's table.
func TestReadmeListsExamples(t *testing.T) {
	t.Parallel()
	all := allPages(t)
	entries, err := os.ReadDir(filepath.Join(root, "examples"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.Contains(all["README.md"], "| ["+e.Name()+"](examples/"+e.Name()+"/main.go) |") {
			t.Errorf("README.md does not list examples/%s", e.Name())
		}
	}
}

// program builds the command once and gives its path.
func program(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "agentmesh")
	if out, err := exec.Command("go", "build", "-o", bin, root+"/cmd/agentmesh").CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	return bin
}

var (
	command = regexp.MustCompile(`\bagentmesh (serve|session|send|listen|router|broker|keys)\b(.*)`)
	flag    = regexp.MustCompile(`(?:^|[\s` + "`" + `(])(--[a-z][a-z-]*)`)
	listed  = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z][a-z-]*)`)
	sub     = regexp.MustCompile(`^ (create|revoke|list|show)\b`)
)

// TestFlags: every flag that a page names is one of the command it stands behind, or of any command when it
// stands alone; and the tables of flags are what --help prints.
func TestFlags(t *testing.T) {
	t.Parallel()
	bin := program(t)
	known, help := map[string]map[string]bool{"": {}}, map[string]string{}
	for _, c := range []string{"serve", "session", "session create", "session revoke", "session list", "send", "listen",
		"router", "broker", "keys", "keys create", "keys show"} {
		out, err := exec.Command(bin, append(strings.Fields(c), "--help")...).Output()
		if err != nil {
			t.Fatalf("%s --help: %v", c, err)
		}
		help[c], known[c] = string(out), map[string]bool{}
		for _, f := range listed.FindAllStringSubmatch(help[c], -1) {
			known[c][f[1]], known[""][f[1]] = true, true
		}
	}
	if len(known["serve"]) < 10 {
		t.Fatalf("read only %d flags of serve from:\n%s", len(known["serve"]), help["serve"])
	}
	all := allPages(t)
	for name, text := range all {
		if name != "README.md" && !strings.HasPrefix(name, "docs/") {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			of, rest := "", line
			if found := command.FindStringSubmatch(line); found != nil {
				of, rest = found[1], found[2]
				if s := sub.FindStringSubmatch(rest); (of == "session" || of == "keys") && s != nil {
					of += " " + s[1]
				}
			}
			for _, f := range flag.FindAllStringSubmatch(rest, -1) {
				if !known[of][f[1]] && !foreignLine(line) {
					t.Errorf("%s:%d: agentmesh %s has no flag %s", name, i+1, of, f[1])
				}
			}
		}
	}
	for _, c := range []string{"serve", "router", "broker"} {
		if table := table(help[c]); !strings.Contains(all["docs/operations.md"], table) {
			t.Errorf("docs/operations.md does not show the flags of %s as --help does; want:\n%s", c, table)
		}
	}
}

// foreignLine tells a line that runs another program.
func foreignLine(line string) bool {
	return regexp.MustCompile(`\b(redis-server|redis-cli|git|apt-get|curl)\b`).MatchString(line)
}

var row = regexp.MustCompile(`(?m)^ +--([a-z-]+) *(string|strings|int|float|duration)?  +(.*?)(?: \(default (.+)\))?$`)

// table makes the Markdown table of a command's flags from its help.
func table(help string) string {
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	for _, f := range row.FindAllStringSubmatch(help, -1) {
		name, value, meaning := f[1], strings.Trim(f[4], `"`), f[3]
		switch {
		case name == "name":
			value = "the host's name"
		case value != "":
			value = "`" + value + "`"
		}
		b.WriteString("| `--" + name + "` | " + value + " | " + meaning + " |\n")
	}
	return b.String()
}

// TestMetrics: docs/operations.md shows every metric that an agent exports, as telemetry.Table has it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	if want := telemetry.Markdown(); !strings.Contains(allPages(t)["docs/operations.md"], want) {
		t.Errorf("docs/operations.md does not show the table of metrics; want:\n%s", want)
	}
}
