package archtest

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// Skips finds tests that are skipped: what a test needs is installed, or the test fails and says how.
func (t *Tree) Skips() []string {
	var findings []string
	for _, f := range t.Files {
		f.walk(func(_ *ast.FuncDecl, call *ast.CallExpr) {
			on, name := method(call)
			if slices.Contains([]string{"t", "b", "f", "tb"}, on) && strings.HasPrefix(name, "Skip") || on == "testing" && name == "Short" {
				findings = append(findings, t.at(call, "%s.%s: a test is run or fails, and says what is missing", on, name))
			}
		})
	}
	return findings
}

// Sleeps finds tests that wait by the clock. A file that uses testing/synctest may: its clock is not the
// real one. A benchmark may: there the sleep stands for the work of another machine. allowed lists files
// with a reason of their own.
func (t *Tree) Sleeps(allowed ...string) []string {
	var findings []string
	for _, f := range t.Files {
		if !f.Test || f.uses("testing/synctest") || slices.Contains(allowed, f.Path) {
			continue
		}
		f.walk(func(in *ast.FuncDecl, call *ast.CallExpr) {
			if on, name := method(call); on == "time" && name == "Sleep" && !isBenchmark(in) {
				findings = append(findings, t.at(call, "time.Sleep: wait for the condition itself, with a deadline, or use testing/synctest"))
			}
		})
	}
	return findings
}

// Undocumented finds packages without a doc comment.
func (t *Tree) Undocumented() []string {
	documented := map[string]bool{}
	for _, f := range t.Files {
		if !f.Test {
			documented[f.Dir] = documented[f.Dir] || f.Syntax.Doc != nil
		}
	}
	return missing(documented, "no file has a package comment: write doc.go")
}

// Unguarded finds packages whose tests do not look for leaked goroutines when they end.
func (t *Tree) Unguarded() []string {
	guarded := map[string]bool{}
	for _, f := range t.Files {
		if !f.Test {
			continue
		}
		guarded[f.Dir] = guarded[f.Dir] || false
		f.walk(func(in *ast.FuncDecl, call *ast.CallExpr) {
			on, name := method(call)
			if in != nil && in.Name.Name == "TestMain" && (on == "leaktest" && name == "Main" || on == "goleak" && name == "VerifyTestMain") {
				guarded[f.Dir] = true
			}
		})
	}
	return missing(guarded, "no leak check: func TestMain(m *testing.M) { leaktest.Main(m) }")
}

// machinePath matches an absolute path of somebody's machine; a URL (ipc:///…) is none.
var machinePath = regexp.MustCompile(`(^|[^/\w.:*-])/(work|tmp|root|home)/\w[^\s"'` + "`" + `]*`)

// MachinePaths finds paths that exist on one machine only.
func (t *Tree) MachinePaths() []string {
	var findings []string
	for _, text := range t.Texts {
		for i, line := range strings.Split(text.Source, "\n") {
			if found := machinePath.FindString(line); found != "" {
				findings = append(findings, fmt.Sprintf("%s:%d: %s: a path of one machine", text.Path, i+1, strings.TrimSpace(found)))
			}
		}
	}
	return findings
}

func (f File) uses(name string) bool {
	for imported := range f.imports {
		if imported == name {
			return true
		}
	}
	return false
}

// method gives the two words of a call on.name(…), and empty words of any other call.
func method(call *ast.CallExpr) (on, name string) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	ident, ok := selector.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return ident.Name, selector.Sel.Name
}

func isBenchmark(in *ast.FuncDecl) bool {
	return in != nil && strings.HasPrefix(in.Name.Name, "Benchmark")
}

func missing(has map[string]bool, what string) []string {
	var findings []string
	for dir, ok := range has {
		if !ok {
			findings = append(findings, dir+": "+what)
		}
	}
	slices.Sort(findings)
	return findings
}
