package lint

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// leaks lists the exported declarations of a package that mention a type of
// internal/*, which importers of the package could not name.
func leaks(pkg *types.Package) []string {
	l := leak{pkg: pkg, seen: map[types.Object]bool{}}
	for _, name := range pkg.Scope().Names() {
		if obj := pkg.Scope().Lookup(name); obj.Exported() {
			l.object(name, obj)
		}
	}
	return l.complaints
}

// leak walks what can be reached from a package's exported declarations.
type leak struct {
	pkg        *types.Package
	seen       map[types.Object]bool
	complaints []string
}

// object walks a declaration. For a type these are its definition and its
// exported methods, promoted ones included.
func (l *leak) object(name string, obj types.Object) {
	if l.seen[obj] {
		return
	}
	l.seen[obj] = true
	decl, ok := obj.(*types.TypeName)
	if !ok {
		l.typ(name, obj.Type())
		return
	}
	if alias, ok := decl.Type().(*types.Alias); ok {
		l.params(name, alias.TypeParams())
		l.typ(name, alias.Rhs())
		return
	}
	named := decl.Type().(*types.Named)
	l.params(name, named.TypeParams())
	l.typ(name, named.Underlying())
	if types.IsInterface(named) {
		return // typ has walked its methods
	}
	for method := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		if method.Obj().Exported() {
			l.typ(name+"."+method.Obj().Name(), method.Type())
		}
	}
}

// typ walks a type expression in the declaration called name.
func (l *leak) typ(name string, t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		l.mention(name, t.Obj(), t.TypeArgs())
	case *types.Named:
		l.mention(name, t.Obj(), t.TypeArgs())
	case *types.Pointer:
		l.typ(name, t.Elem())
	case *types.Slice:
		l.typ(name, t.Elem())
	case *types.Array:
		l.typ(name, t.Elem())
	case *types.Chan:
		l.typ(name, t.Elem())
	case *types.Map:
		l.typ(name, t.Key())
		l.typ(name, t.Elem())
	case *types.Signature:
		l.params(name, t.TypeParams())
		for v := range t.Params().Variables() {
			l.typ(name, v.Type())
		}
		for v := range t.Results().Variables() {
			l.typ(name, v.Type())
		}
	case *types.Struct:
		for field := range t.Fields() {
			if field.Exported() {
				l.typ(name+"."+field.Name(), field.Type())
			}
		}
	case *types.Interface:
		for method := range t.ExplicitMethods() {
			if method.Exported() {
				l.typ(name+"."+method.Name(), method.Type())
			}
		}
		for embedded := range t.EmbeddedTypes() {
			l.typ(name, embedded)
		}
	case *types.Union:
		for term := range t.Terms() {
			l.typ(name, term.Type())
		}
	}
}

func (l *leak) params(name string, list *types.TypeParamList) {
	for param := range list.TypeParams() {
		l.typ(name, param.Constraint())
	}
}

// mention complains about a named type of internal/*. An unexported type of
// the package itself is walked in turn: its exported methods can be called.
func (l *leak) mention(name string, obj *types.TypeName, args *types.TypeList) {
	for arg := range args.Types() {
		l.typ(name, arg)
	}
	switch {
	case obj.Pkg() == nil: // error, comparable, any
	case strings.HasPrefix(obj.Pkg().Path(), module+"/internal/"):
		l.complaints = append(l.complaints, fmt.Sprintf("%s: %s mentions %s.%s",
			strings.TrimPrefix(l.pkg.Path(), module+"/"), name, strings.TrimPrefix(obj.Pkg().Path(), module+"/"), obj.Name()))
	case obj.Pkg() == l.pkg && !obj.Exported():
		l.object(obj.Name(), obj)
	}
}

// TestAPI reads the packages as the compiler exports them.
func TestAPI(t *testing.T) {
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Name}}\t{{.Export}}", "./...")
	list.Dir = testenv.Root()
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var public []string
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		path, name, file := fields[0], fields[1], fields[2]
		exports[path] = file
		if own, ok := strings.CutPrefix(path, module+"/"); ok && name != "main" && !strings.HasPrefix(own, "internal/") {
			public = append(public, path)
		}
	}
	compiled := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	for _, path := range public {
		pkg, err := compiled.Import(path)
		if err != nil {
			t.Error(err)
			continue
		}
		report(t, leaks(pkg))
	}
}

// one is an importer that knows one package.
type one struct{ pkg *types.Package }

func (o one) Import(string) (*types.Package, error) { return o.pkg, nil }

func TestAPIComplains(t *testing.T) {
	check := func(path, source string, imports types.Importer) *types.Package {
		t.Helper()
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "a.go", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		conf := types.Config{Importer: imports}
		pkg, err := conf.Check(path, fset, []*ast.File{file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return pkg
	}
	hidden := one{check(module+"/internal/hidden", "package hidden\ntype T struct{}\nfunc (T) M() {}\ntype G[A any] struct{}\ntype I interface{ M() }", nil)}

	tests := []struct {
		source, want string // want: the declaration complained about
	}{
		{"func f(hidden.T) {}", ""},
		{"type A struct{ t hidden.T }", ""},
		{"type A struct{}\nfunc (A) f(hidden.T) {}", ""},
		{"func F() { var t hidden.T; t.M() }", ""},
		{"func F(hidden.T) {}", "F"},
		{"func F() []hidden.T { return nil }", "F"},
		{"func F(func(map[string]*hidden.T)) {}", "F"},
		{"func F() chan [2]hidden.T { return nil }", "F"},
		{"func F[P hidden.I](P) {}", "F"},
		{"var V hidden.T", "V"},
		{"type A = hidden.T", "A"},
		{"type A struct{ Field hidden.T }", "A.Field"},
		{"type A struct{ hidden.T }", "A.T"},
		{"type A struct{}\nfunc (*A) Method(hidden.T) {}", "A.Method"},
		{"type A interface{ Method() hidden.T }", "A.Method"},
		{"type A interface{ hidden.I }", "A"},
		{"type A[P hidden.I] struct{}", "A"},
		{"type g[P any] struct{}\nvar V g[hidden.T]", "V"},
		{"type a struct{}\nfunc (a) Method() hidden.T { return hidden.T{} }\nfunc F() a { return a{} }", "a.Method"},
	}
	for _, tt := range tests {
		t.Run(tt.source, func(t *testing.T) {
			pkg := check(module+"/api", "package api\nimport \""+module+"/internal/hidden\"\nvar _ hidden.T\n"+tt.source, hidden)
			got := leaks(pkg)
			switch {
			case tt.want == "":
				expect(t, got, "")
			case len(got) != 1 || !strings.HasPrefix(got[0], "api: "+tt.want+" mentions internal/hidden."):
				t.Errorf("got complaints %q, want %s alone", got, tt.want)
			}
		})
	}
}
