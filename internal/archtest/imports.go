package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// Imports checks every file but the tests against places and returns what breaks a rule, a line each.
func (t *Tree) Imports(places []Place) []string {
	var findings []string
	unplaced := map[string]bool{}
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		place, ok := placeOf(places, f.Dir)
		if !ok {
			if !unplaced[f.Dir] {
				unplaced[f.Dir] = true
				findings = append(findings, fmt.Sprintf("%s: the package has no place in the house: put it into internal/archtest/places.go", f.Dir))
			}
			continue
		}
		for name, node := range f.imports {
			if why := t.refuse(places, place, name); why != "" {
				findings = append(findings, t.at(node, "%s must not import %s: %s", f.Dir, t.short(name), why))
			}
		}
	}
	return findings
}

// refuse says why a package of place from must not import name; empty means that it may.
func (t *Tree) refuse(places []Place, from Place, name string) string {
	dir, ours := strings.CutPrefix(name, t.Module+"/")
	switch {
	case name == t.Module:
		return "the root of the module is no package"
	case !ours && isStandard(name):
		return ""
	case !ours:
		return refuseForeign(places, from, name)
	}
	to, placed := placeOf(places, dir)
	switch {
	case !placed:
		return "it has no place in the house"
	case from.Floor == forTests, to.Dir == from.Dir && to.together():
		return ""
	case to.Floor == forTests:
		return "it is made for tests"
	case from.Alone:
		return "it imports no package of the module"
	case to.Floor == from.Floor:
		return fmt.Sprintf("both stand on floor %d, and siblings do not know one another", to.Floor)
	case to.Floor > from.Floor:
		return fmt.Sprintf("floor %d does not know floor %d", from.Floor, to.Floor)
	case to.For != nil && !slices.Contains(to.For, from.Dir):
		return "only " + strings.Join(to.For, " and ") + " may"
	}
	return ""
}

func refuseForeign(places []Place, from Place, name string) string {
	if name == "C" {
		return "the mesh is built without cgo"
	}
	if from.owns(name) {
		return ""
	}
	var owners []string
	for _, p := range places {
		if p.owns(name) {
			owners = append(owners, p.Dir)
		}
	}
	if owners == nil {
		return "nobody owns that module"
	}
	return "it belongs to " + strings.Join(owners, ", ")
}

// isStandard tells the packages of the standard library: they have no dot in their first element.
func isStandard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".") && name != "C"
}

func (t *Tree) short(name string) string { return strings.TrimPrefix(name, t.Module+"/") }

// walk calls visit for every call of the file, with the function it stands in.
func (f File) walk(visit func(in *ast.FuncDecl, call *ast.CallExpr)) {
	for _, decl := range f.Syntax.Decls {
		in, _ := decl.(*ast.FuncDecl)
		ast.Inspect(decl, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				visit(in, call)
			}
			return true
		})
	}
}
