package archtest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/agentmesh/agentmesh/internal/archtest"
)

// places are a small house for the tests of the checks.
var places = []archtest.Place{
	{Dir: "ground", Floor: 0, Owns: []string{"example.org/json"}},
	{Dir: "cellar", Floor: 0, For: []string{"top", "tools/..."}},
	{Dir: "stream", Floor: 1, Alone: true},
	{Dir: "left", Floor: 2, Owns: []string{"example.org/redis"}},
	{Dir: "left/inner", Floor: 2},
	{Dir: "right", Floor: 2, Owns: []string{"example.org/redis"}},
	{Dir: "top", Floor: 3},
	{Dir: "tools/...", Floor: 4},
	{Dir: "samples/*", Floor: 4},
	{Dir: "fixture", Floor: 100},
}

func TestImportRulesCanFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, imports string
		want          string // part of the only finding; empty: none
	}{
		"standard library":          {"ground/a.go", "net/http", ""},
		"lower floor":               {"left/a.go", "example.org/mesh/ground", ""},
		"two floors down":           {"top/a.go", "example.org/mesh/stream", ""},
		"own library":               {"left/a.go", "example.org/redis/v9", ""},
		"library of several owners": {"right/a.go", "example.org/redis", ""},
		"within a place":            {"tools/x/a.go", "example.org/mesh/tools/y", ""},
		"fixture imports all":       {"fixture/a.go", "example.org/mesh/top", ""},
		"test file":                 {"ground/a_test.go", "example.org/mesh/top", ""},
		"another module":            {"peers/a.go", "example.org/anything", ""},
		"testdata":                  {"left/testdata/a.go", "example.org/anything", ""},
		"restricted, allowed":       {"tools/x/a.go", "example.org/mesh/cellar", ""},

		"upwards":               {"ground/a.go", "example.org/mesh/top", "ground/a.go:3: ground must not import top: floor 0 does not know floor 3"},
		"sibling":               {"left/a.go", "example.org/mesh/right", "both stand on floor 2"},
		"child is a sibling":    {"left/a.go", "example.org/mesh/left/inner", "both stand on floor 2"},
		"parent is a sibling":   {"left/inner/a.go", "example.org/mesh/left", "both stand on floor 2"},
		"example of an example": {"samples/a/a.go", "example.org/mesh/samples/b", "both stand on floor 4"},
		"alone":                 {"stream/a.go", "example.org/mesh/ground", "imports no package of the module"},
		"restricted":            {"left/a.go", "example.org/mesh/cellar", "only top and tools/... may"},
		"fixture in code":       {"top/a.go", "example.org/mesh/fixture", "made for tests"},
		"library of another":    {"top/a.go", "example.org/redis/v9", "belongs to left, right"},
		"prefix is no owner":    {"left/a.go", "example.org/redisearch", "nobody owns"},
		"library of nobody":     {"left/a.go", "example.org/unknown", "nobody owns"},
		"cgo":                   {"left/a.go", "C", "without cgo"},
		"the root":              {"left/a.go", "example.org/mesh", "no package"},
		"not placed":            {"attic/a.go", "fmt", "attic: the package has no place"},
		"deeper than an entry":  {"samples/a/b/a.go", "fmt", "samples/a/b: the package has no place"},
		"imports the unplaced":  {"top/a.go", "example.org/mesh/attic", "has no place"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(t, c.file, "package p\n\nimport _ \""+c.imports+"\"\n").Imports(places)
			if c.want == "" && len(got) > 0 {
				t.Errorf("%s importing %s: got %q, want nothing", c.file, c.imports, got)
			}
			if c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
				t.Errorf("%s importing %s: got %q, want one finding with %q", c.file, c.imports, got, c.want)
			}
		})
	}
}

func TestHabitsCanFail(t *testing.T) {
	t.Parallel()
	const guarded = "import \"example.org/mesh/leaktest\"\n\nfunc TestMain(m *testing.M) { leaktest.Main(m) }\n"
	slash := "/" // so that this file holds no such path itself
	for name, c := range map[string]struct {
		file, body string
		check      func(*archtest.Tree) []string
		finds      bool
	}{
		"skip":             {"a_test.go", "func TestX(t *testing.T) { t.Skip() }", (*archtest.Tree).Skips, true},
		"skip, formatted":  {"a_test.go", "func TestX(t *testing.T) { t.Run(``, func(t *testing.T) { t.Skipf(``) }) }", (*archtest.Tree).Skips, true},
		"skip in a helper": {"a.go", "func need(tb testing.TB) { tb.SkipNow() }", (*archtest.Tree).Skips, true},
		"short":            {"a_test.go", "func TestX(t *testing.T) { if testing.Short() { return } }", (*archtest.Tree).Skips, true},
		"another skip":     {"a.go", "func f() { reader.Skip(3) }", (*archtest.Tree).Skips, false},

		"sleep":              {"a_test.go", "func TestX(t *testing.T) { time.Sleep(1) }", sleeps, true},
		"sleep in a literal": {"a_test.go", "var wait = func() { time.Sleep(1) }", sleeps, true},
		"sleep in a bubble":  {"a_test.go", "import \"testing/synctest\"\n\nfunc TestX(t *testing.T) { time.Sleep(1) }", sleeps, false},
		"sleep in benchmark": {"a_test.go", "func BenchmarkX(b *testing.B) { time.Sleep(1) }", sleeps, false},
		"sleep, allowed":     {"allowed_test.go", "func TestX(t *testing.T) { time.Sleep(1) }", sleeps, false},
		"sleep in code":      {"a.go", "func f() { time.Sleep(1) }", sleeps, false},

		"no package comment": {"a.go", "", (*archtest.Tree).Undocumented, true},
		"only tests":         {"a_test.go", "", (*archtest.Tree).Undocumented, false},

		"no TestMain":      {"a_test.go", "func TestX(t *testing.T) {}", (*archtest.Tree).Unguarded, true},
		"no leak check":    {"a_test.go", "func TestMain(m *testing.M) { m.Run() }", (*archtest.Tree).Unguarded, true},
		"elsewhere":        {"a_test.go", "func TestX(t *testing.T) { leaktest.Main(nil) }", (*archtest.Tree).Unguarded, true},
		"leak check":       {"a_test.go", guarded, (*archtest.Tree).Unguarded, false},
		"no tests":         {"a.go", "", (*archtest.Tree).Unguarded, false},
		"path":             {"a.go", `var dir = "` + slash + `tmp/x"`, (*archtest.Tree).MachinePaths, true},
		"path, comment":    {"a.go", "// see " + slash + "work/x", (*archtest.Tree).MachinePaths, true},
		"path, manual":     {"a.md", "Put it into " + slash + "home/ann/mesh.", (*archtest.Tree).MachinePaths, true},
		"path, script":     {"scripts/go", "cd " + slash + "root/mesh", (*archtest.Tree).MachinePaths, true},
		"path of a URL":    {"a.go", `var endpoint = "ipc://` + slash + `tmp/feeds"`, (*archtest.Tree).MachinePaths, false},
		"part of an URL":   {"a.go", `var u = "https://example.org` + slash + `work/x"`, (*archtest.Tree).MachinePaths, false},
		"part of a module": {"a.go", `var u = "golang.org/x` + slash + `work/x"`, (*archtest.Tree).MachinePaths, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.check(read(t, c.file, "package p\n\n"+c.body+"\n"))
			if (len(got) > 0) != c.finds {
				t.Errorf("%s: got %q, want a finding: %v", c.body, got, c.finds)
			}
		})
	}
}

func TestPackageCommentMayStandInAnyFile(t *testing.T) {
	t.Parallel()
	tree, err := archtest.Read(fstest.MapFS{
		"go.mod":   {Data: []byte("module example.org/mesh\n")},
		"p/a.go":   {Data: []byte("package p\n")},
		"p/doc.go": {Data: []byte("// Package p is documented.\npackage p\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := tree.Undocumented(); len(got) > 0 {
		t.Errorf("got %q, want nothing", got)
	}
}

// TestHouseIsWellFormed: a floor that nobody can reach, or an entry twice, is a mistake in the table.
func TestHouseIsWellFormed(t *testing.T) {
	t.Parallel()
	var dirs []string
	for _, p := range archtest.House {
		if slices.Contains(dirs, p.Dir) {
			t.Errorf("%s stands twice in the table", p.Dir)
		}
		dirs = append(dirs, p.Dir)
	}
	for _, p := range archtest.House {
		for _, importer := range p.For {
			if !slices.Contains(dirs, importer) {
				t.Errorf("%s is for %s, which has no place", p.Dir, importer)
			}
		}
	}
}

func sleeps(t *archtest.Tree) []string { return t.Sleeps("allowed_test.go") }

// read makes a module of one file and parses it.
func read(t *testing.T, file, source string) *archtest.Tree {
	t.Helper()
	tree, err := archtest.Read(fstest.MapFS{
		"go.mod":       {Data: []byte("module example.org/mesh\n\ngo 1.26\n")},
		"peers/go.mod": {Data: []byte("module example.org/mesh/peers\n")},
		file:           {Data: []byte(source)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
