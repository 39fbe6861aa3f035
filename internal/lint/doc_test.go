package lint

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// packageDocs checks that each package has a doc.go whose comment begins with
// "Package name", or "Command folder" for a command.
func packageDocs(files []goFile) []string {
	begins := map[string]string{} // folder of a package → how its comment must begin
	doc := map[string]string{}
	for _, f := range files {
		name := f.ast.Name.Name
		switch {
		case f.test() && strings.HasSuffix(name, "_test"):
		case name == "main":
			begins[f.dir()] = "Command " + path.Base(f.dir())
		default:
			begins[f.dir()] = "Package " + name
		}
		if f.name() == "doc.go" {
			doc[f.dir()] = f.ast.Doc.Text()
		}
	}
	var complaints []string
	for dir, want := range begins {
		comment, exists := doc[dir]
		switch {
		case !exists:
			complaints = append(complaints, fmt.Sprintf("%s: no doc.go", dir))
		case !strings.HasPrefix(comment, want+" "):
			first, _, _ := strings.Cut(comment, "\n")
			complaints = append(complaints, fmt.Sprintf("%s/doc.go: comment begins %q, want %q", dir, first, want))
		}
	}
	slices.Sort(complaints)
	return complaints
}

func TestPackageDocs(t *testing.T) {
	files, err := goFiles(os.DirFS(testenv.Root()))
	if err != nil {
		t.Fatal(err)
	}
	report(t, packageDocs(files))
}

func TestPackageDocsComplains(t *testing.T) {
	tests := []struct {
		name, path, source, want string
	}{
		{"package", "graph/doc.go", "// Package graph is\n// a thing.\npackage graph", ""},
		{"command", "cmd/anomaly/doc.go", "// Command anomaly finds.\npackage main", ""},
		{"none", "graph/graph.go", "// Package graph is in the wrong file.\npackage graph", "graph: no doc.go"},
		{"tests alone", "graph/graph_test.go", "package graph", "graph: no doc.go"},
		{"detached", "graph/doc.go", "// Package graph floats.\n\npackage graph", `graph/doc.go: comment begins "", want "Package graph"`},
		{"another name", "graph/doc.go", "// Package graphs is.\npackage graph", `graph/doc.go: comment begins "Package graphs is.", want "Package graph"`},
		{"command as package", "cmd/anomaly/doc.go", "// Package main is.\npackage main", `cmd/anomaly/doc.go: comment begins "Package main is.", want "Command anomaly"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, err := goFiles(source(tt.path, tt.source))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, packageDocs(files), tt.want)
		})
	}
}
