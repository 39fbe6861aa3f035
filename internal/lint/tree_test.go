package lint

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// module is the path in go.mod.
const module = "github.com/anomaly-go/anomaly"

// goFile is a Go file parsed up to its imports, whatever its build constraints.
type goFile struct {
	path string // from the root, with slashes
	ast  *ast.File
}

func (f goFile) dir() string  { return path.Dir(f.path) }
func (f goFile) test() bool   { return strings.HasSuffix(f.path, "_test.go") }
func (f goFile) name() string { return path.Base(f.path) }

func (f goFile) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, "`\""))
	}
	return paths
}

// goFiles parses the module's Go files in lexical order. Like the go command
// it passes over testdata and folders that begin with a dot or an underscore;
// generators that are built by name (//go:build ignore) are no part of a
// package and passed over too.
func goFiles(tree fs.FS) ([]goFile, error) {
	var files []goFile
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if base == "testdata" || name != "." && strings.ContainsAny(base[:1], "._") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(base) != ".go" {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		if !ignored(file) {
			files = append(files, goFile{name, file})
		}
		return nil
	})
	return files, err
}

// ignored reports whether the file's build constraint is the tag ignore.
func ignored(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if comment.Pos() > file.Package {
				return false
			}
			if expr, err := constraint.Parse(comment.Text); err == nil && expr.String() == "ignore" {
				return true
			}
		}
	}
	return false
}

// source makes a tree of the given files: pairs of path and content.
func source(pairs ...string) fstest.MapFS {
	tree := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		tree[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return tree
}

// report fails the test once per complaint.
func report(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

// expect fails the test unless the complaints are the wanted one alone, or
// none where want is empty.
func expect(t *testing.T, complaints []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(complaints) != 0:
		t.Errorf("got complaints %q, want none", complaints)
	case want != "" && (len(complaints) != 1 || complaints[0] != want):
		t.Errorf("got complaints %q, want %q alone", complaints, want)
	}
}
