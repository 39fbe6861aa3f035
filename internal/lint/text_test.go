package lint

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// unwanted are the hosts of package registries, which only their clients need
// to know, and folders of one machine. Each is written in two parts, so that
// this file does not hold it.
var unwanted = []string{
	"py" + "pi.org",
	"python" + "hosted.org",
	"npm" + "js.",
	"proxy." + "golang.org",
	"sum." + "golang.org",
	"crates" + ".io",
	"repo.maven" + ".apache.org",
	"repo1" + ".maven.org",
	"deb." + "debian.org",
	"nu" + "get.org",
	"/wo" + "rk/",
	"/ro" + "ot/",
	"/ho" + "me/",
}

// words checks the named files, binary ones apart, for unwanted words.
func words(tree fs.FS, names []string) ([]string, error) {
	var complaints []string
	for _, name := range names {
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(content, 0) >= 0 {
			continue
		}
		number := 0
		for line := range strings.Lines(string(content)) {
			number++
			for _, word := range unwanted {
				if strings.Contains(strings.ToLower(line), word) {
					complaints = append(complaints, fmt.Sprintf("%s:%d: mentions %s", name, number, word))
				}
			}
		}
	}
	return complaints, nil
}

// wantedFiles are the documents that every reader looks for.
var wantedFiles = []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}

var (
	code = regexp.MustCompile("(?ms)^ *```.*?^ *```|`[^`\n]*`")
	link = regexp.MustCompile(`(?m)\]\(<?([^)>\s]+)>?(?:\s+"[^"]*")?\)|^ {0,3}\[[^\]]+\]:\s*<?([^>\s]+)`)
)

// documents checks that the wanted files are there and that each link in a
// Markdown file that names no scheme leads to a file or folder of the tree.
func documents(tree fs.FS, names []string) ([]string, error) {
	var complaints []string
	for _, name := range wantedFiles {
		if _, err := fs.Stat(tree, name); err != nil {
			complaints = append(complaints, fmt.Sprintf("%s: missing", name))
		}
	}
	for _, name := range names {
		if path.Ext(name) != ".md" {
			continue
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, err
		}
		for _, groups := range link.FindAllStringSubmatch(code.ReplaceAllString(string(content), ""), -1) {
			target := groups[1] + groups[2]
			file, _, _ := strings.Cut(target, "#")
			if file == "" || strings.Contains(file, ":") {
				continue
			}
			if _, err := fs.Stat(tree, path.Join(path.Dir(name), file)); err != nil {
				complaints = append(complaints, fmt.Sprintf("%s: link to %s, which is no file here", name, target))
			}
		}
	}
	return complaints, nil
}

// tracked lists the files that git tracks or would add.
func tracked(t *testing.T) []string {
	t.Helper()
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	git.Dir = testenv.Root()
	out, err := git.Output()
	if err != nil {
		t.Skipf("no git checkout: %v", err)
	}
	var names []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		// Deleted files stay listed until the deletion is staged; links have no text.
		if info, err := os.Lstat(path.Join(testenv.Root(), name)); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

func TestWords(t *testing.T) {
	complaints, err := words(os.DirFS(testenv.Root()), tracked(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, complaints)
}

func TestWordsComplains(t *testing.T) {
	for _, word := range unwanted {
		tree := source("a.md", "first\nsee https://"+strings.ToUpper(word)+" there\n")
		complaints, err := words(tree, []string{"a.md"})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, complaints, "a.md:2: mentions "+word)
	}
	for _, content := range []string{"pip, npm and git know where\n", "\x00" + unwanted[0]} {
		complaints, err := words(source("a", content), []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, complaints, "")
	}
}

func TestDocuments(t *testing.T) {
	complaints, err := documents(os.DirFS(testenv.Root()), tracked(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, complaints)
}

func TestDocumentsComplains(t *testing.T) {
	tests := []struct {
		name, file, content, want string
	}{
		{"file", "docs/a.md", "[x](../README.md)", ""},
		{"folder", "docs/a.md", "![x](../docs/)", ""},
		{"anchor", "docs/a.md", "[x](#here) [y](../README.md#there)", ""},
		{"elsewhere", "docs/a.md", "[x](https://example.com/a) [y](mailto:a@example.com)", ""},
		{"code", "docs/a.md", "`[x](absent)`\n\n```\n[x](absent)\n```\n", ""},
		{"not Markdown", "docs/a.txt", "[x](absent)", ""},
		{"absent", "docs/a.md", "[x](absent.md)", "docs/a.md: link to absent.md, which is no file here"},
		{"absent with title", "docs/a.md", `[x](absent.md#y "title")`, "docs/a.md: link to absent.md#y, which is no file here"},
		{"after code", "docs/a.md", "```\nx\n```\n[x](absent.md)\n```\ny\n```\n", "docs/a.md: link to absent.md, which is no file here"},
		{"reference", "docs/a.md", "[x]\n\n[x]: absent.md\n", "docs/a.md: link to absent.md, which is no file here"},
		{"outside", "docs/a.md", "[x](../../shared/a.md)", "docs/a.md: link to ../../shared/a.md, which is no file here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := source(tt.file, tt.content)
			for _, name := range wantedFiles {
				tree[name] = tree[tt.file]
			}
			complaints, err := documents(tree, []string{tt.file})
			if err != nil {
				t.Fatal(err)
			}
			expect(t, complaints, tt.want)
		})
	}
	for i, name := range wantedFiles {
		tree := source()
		for _, other := range append(append([]string{}, wantedFiles[:i]...), wantedFiles[i+1:]...) {
			tree[other] = source("a", "text")["a"]
		}
		complaints, err := documents(tree, nil)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, complaints, name+": missing")
	}
}

// TestGoldenScripts: the flag -regenerate of its package's tests runs every
// script in testdata that writes goldens: those that take no arguments.
func TestGoldenScripts(t *testing.T) {
	for _, name := range tracked(t) {
		folder, script := path.Split(name)
		if path.Base(folder) != "testdata" || path.Ext(script) != ".py" {
			continue
		}
		source, err := os.ReadFile(path.Join(testenv.Root(), name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "sys.argv") {
			continue
		}
		tests, err := fs.Glob(os.DirFS(testenv.Root()), path.Join(path.Dir(path.Clean(folder)), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		run := false
		for _, test := range tests {
			b, err := os.ReadFile(path.Join(testenv.Root(), test))
			if err != nil {
				t.Fatal(err)
			}
			run = run || strings.Contains(string(b), `testenv.Regenerate(t, "`+script+`")`) || strings.Contains(string(b), `testenv.Golden(t, "`+script+`"`)
		}
		if !run {
			t.Errorf("%s: no test of its package runs it: see testenv.Golden and testenv.Regenerate", name)
		}
	}
}
