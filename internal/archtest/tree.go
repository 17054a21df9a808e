package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Tree is a module: its parsed Go files, and its other files that people read.
type Tree struct {
	Module string // its import path
	Files  []File
	Texts  []Text
	fset   *token.FileSet
}

// Text is a file, of Go or not, as it is written.
type Text struct {
	Path   string // below the root of the module
	Source string
}

// File is one Go file.
type File struct {
	Path   string // below the root of the module
	Dir    string // "." for the root
	Test   bool   // its name ends in _test.go
	Syntax *ast.File
}

// Read parses the module whose root is fsys.
func Read(fsys fs.FS) (*Tree, error) {
	module, err := modulePath(fsys)
	if err != nil {
		return nil, err
	}
	t := &Tree{Module: module, fset: token.NewFileSet()}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skipDir(fsys, name)
		case !isText(name):
			return nil
		}
		return t.add(fsys, name)
	})
	return t, err
}

func modulePath(fsys fs.FS) (string, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mod)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("archtest: go.mod names no module")
}

// skipDir leaves out what the go command leaves out, and modules of their own.
func skipDir(fsys fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// isText tells the files that people write, by their names.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".js", ".mjs", ".ts", ".py", ".sh", ".lua", ".html", ".css", ".yml", ".yaml":
		return true
	}
	return path.Base(name) == "Makefile" || path.Dir(name) == "scripts"
}

func (t *Tree) add(fsys fs.FS, name string) error {
	source, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	t.Texts = append(t.Texts, Text{Path: name, Source: string(source)})
	if path.Ext(name) != ".go" {
		return nil
	}
	syntax, err := parser.ParseFile(t.fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.Files = append(t.Files, File{
		Path: name, Dir: path.Dir(name), Test: strings.HasSuffix(name, "_test.go"), Syntax: syntax,
	})
	return nil
}

func (t *Tree) at(node ast.Node, format string, args ...any) string {
	position := t.fset.Position(node.Pos())
	return fmt.Sprintf("%s:%d: %s", position.Filename, position.Line, fmt.Sprintf(format, args...))
}

// imports gives the import paths of f with the place of each.
func (f File) imports(yield func(string, ast.Node) bool) {
	for _, spec := range f.Syntax.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil && !yield(name, spec) {
			return
		}
	}
}
