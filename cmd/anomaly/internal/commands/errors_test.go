//go:build linux

package commands

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

var updateErrors = flag.Bool("update-errors", false, "write docs/errors.md from what TestMishaps sees")

// A mishap is something that goes wrong for users. It begins in a folder with
// model.onnx, images/{a,b,c}.png and, to train on, good/{0..19}.png.
type mishap struct {
	what    string
	prepare func(t *testing.T) // in that folder; nil for nothing more
	args    string
	code    int
	leaves  []string // files that may be new or other afterwards; nothing else may

	asNobody bool // as a user without rights to what others own
	disk     int  // KiB of the file system mounted on disk/, 0 for none
	toFull   bool // standard output is a full device
}

// group is a heading of docs/errors.md.
type group struct {
	name    string
	mishaps []mishap
}

var mishaps = []group{
	{"The call", []mishap{
		{what: "no such command", args: "detect model.onnx images", code: 2},
		{what: "an address", args: "run model.onnx https://example.com/a.png", code: 2},
		{what: "a flag that does not exist, after the arguments", args: "run model.onnx images --gpu", code: 2},
		{what: "a flag without its value, after the arguments", args: "run model.onnx images --batch", code: 2},
		{what: "no images named", args: "run model.onnx", code: 2},
		{what: "the images first, the model behind them", args: "run images model.onnx", code: 2},
		{what: "a provider that does not exist", args: "run model.onnx images --provider nonsense", code: 2},
		{what: "a provider that this system cannot have", args: "run model.onnx images --provider coreml", code: 1},
		{what: "an option that the provider does not have", args: "run model.onnx images --provider cpu --provider-option device_id=1", code: 2},
		{what: "an option that no provider has", args: "run model.onnx images --provider cuda --provider-option tf32=1", code: 2},
		{what: "an option of a wrong value", args: "run --provider-option cuda.gpu_mem_limit=-1 model.onnx images --provider cuda,cpu", code: 2},
		{what: "a precision that the provider cannot compute in", args: "run model.onnx images --provider openvino --provider-option precision=FP16", code: 2},
		{what: "a batch that no memory holds", args: "run model.onnx images --batch 1000000000", code: 2},
		{what: "results into the folder of the images", args: "run model.onnx images --out images", code: 2},
		{what: "a batch of no images, measured", args: "bench model.onnx --batch 1,0", code: 2},
		{what: "more images a second than can be noted", args: "bench model.onnx --rate 1e9", code: 2},
		{what: "a flag with nothing in it, as of an unset variable", args: "train --data good --roi=", code: 2},
		{what: "a flag of other tools", args: "run model.onnx images --precision float16", code: 2},
		{what: "a setting out of its range", args: "train --data good --model dcae --lr 11", code: 2},
		{what: "a precision without images to find its ranges on", args: "export model.onnx --precision int8 --out new.onnx", code: 2},
		{what: "a precision that no file can have", args: "export model.onnx --precision bf16 --data good --out new.onnx", code: 2},
		{what: "images without a precision", args: "export model.onnx --data good --out new.onnx", code: 2},
		{what: "a blur that is no number", args: "export model.onnx --blur NaN --out new.onnx", code: 2},
		{what: "levels that no image has", args: "run model.onnx images --levels -3", code: 2},
		{what: "a background of another colour", args: "run model.onnx images --background purple", code: 2},
		{what: "tiles of next to nothing", args: "train --data good --tiles --tile-scale 1e-300", code: 2},
		{what: "tiles of nothing", args: "train --data good --tiles --tile-scale 0", code: 2},
		{what: "two rules for one threshold", args: "calibrate model.onnx --f1 --recall 0.5", code: 2},
		{what: "a threshold that no score can be above", args: "run model.onnx images --threshold 5", code: 2},
		{what: "a failure on anomalies of a model that finds none", prepare: bare, args: "run bare.onnx images --fail-on-anomaly", code: 2},
		{what: "a flag that belongs to another", args: "run model.onnx images --gate good", code: 2},
		{what: "a model of no use, where that is to be known", args: "train --data good --out new.onnx --epochs 1 --strict", code: 4, leaves: []string{"new.onnx", "new.onnx.config.json", "new.onnx.log.jsonl"}},
		{what: "the model written over an image", args: "train --data good --out good/0.png", code: 2},
	}},
	{"The model", []mishap{
		{what: "absent", args: "run absent.onnx images", code: 1},
		{what: "a folder", args: "run images images", code: 1},
		{what: "an image", args: "inspect images/a.png", code: 1},
		{what: "empty", prepare: write("empty.onnx", ""), args: "run empty.onnx images", code: 1},
		{what: "a pipe that nobody writes to", prepare: pipe("pipe.onnx"), args: "run pipe.onnx images", code: 1},
		{what: "a device without an end", args: "inspect /dev/zero", code: 1},
		{what: "a link to itself", prepare: symlink("link.onnx", "link.onnx"), args: "run link.onnx images", code: 1},
		{what: "text named .onnx", prepare: write("text.onnx", "version https://example.com/large-files\n"), args: "run text.onnx images", code: 1},
		{what: "text named .onnx, inspected", prepare: write("text.onnx", "version https://example.com/large-files\n"), args: "inspect text.onnx", code: 1},
		{what: "truncated", prepare: truncate("model.onnx"), args: "run model.onnx images", code: 1},
		{what: "cycle of operators", prepare: hostile(cycle), args: "run hostile.onnx images", code: 1},
		{what: "absurd size of the images", prepare: hostile(resized(1 << 30)), args: "run hostile.onnx images", code: 1},
		{what: "absurd shape of a weight", prepare: hostile(absurdWeight), args: "run hostile.onnx images", code: 1},
		{what: "weights outside its folder", prepare: hostile(outside("../../secret")), args: "run hostile.onnx images", code: 1},
		{what: "weights in a pipe", prepare: both(pipe("pipe"), hostile(outside("pipe"))), args: "run hostile.onnx images", code: 1},
		{what: "weights of NaN", prepare: hostile(nanWeights), args: "run hostile.onnx images", code: 1},
		{what: "unknown operator", prepare: hostile(unknownOperator), args: "run hostile.onnx images", code: 1},
		{what: "four channels", prepare: fourChannels, args: "run four.onnx images", code: 1},
		{what: "of another tool, with two outputs that could be the map", prepare: twoMaps, args: "run two.onnx images", code: 1},
		{what: "of another tool, and an output that it does not have", prepare: twoMaps, args: "run two.onnx images --map-output c", code: 2},
		{what: "an output as the map that has one number for each image", args: "run model.onnx images --map-output pred_score", code: 2},
		{what: "of another size than the one that is asked for", args: "run model.onnx images --size 64", code: 2},
		{what: "of another tool, with preprocessing that is not known here", prepare: croppedModel, args: "run cropped.onnx images", code: 1},
		{what: "of another tool, to be exported in another form", prepare: twoMaps, args: "export two.onnx --out new.onnx", code: 1},
		{what: "for anomalib, with a map that has no threshold yet", args: "export model.onnx --profile anomalib --map l1 --out new.onnx", code: 1},
		{what: "for anomalib, to be calibrated", prepare: forAnomalib, args: "calibrate anomalib.onnx --threshold 0.3", code: 1},
		{what: "may not be read", prepare: mode("model.onnx", 0), args: "run model.onnx images", code: 1, asNobody: true},
	}},
	{"The model in use", []mishap{
		{what: "verified, with damaged weights", prepare: hostile(damage), args: "inspect hostile.onnx --verify --provider go", code: 1},
		{what: "deployed from a truncated file", prepare: both(folder("new", "model.onnx"), truncate("new/model.onnx")), args: "deploy new/model.onnx model.onnx", code: 1},
		{what: "deployed with damaged weights", prepare: hostile(damage), args: "deploy hostile.onnx model.onnx", code: 1},
		{what: "deployed onto a folder", args: "deploy model.onnx images", code: 1},
		{what: "deployed into a folder that may not be written", prepare: mode("images", 0o555), args: "deploy model.onnx images/model.onnx", code: 1, asNobody: true},
		{what: "deployed where there is no room for two", prepare: write("disk/model.onnx", "what is there"), args: "deploy model.onnx disk/model.onnx", code: 1, disk: 12},
		{what: "a golden set that is absent", args: "deploy model.onnx new.onnx --gate absent", code: 1},
		{what: "a golden set that it does worse on", prepare: both(golden, deployed("images")), args: "deploy hostile.onnx images/model.onnx --gate golden", code: 1},
		{what: "deployed again, which a golden set refuses now", prepare: both(golden, deployed("images")), args: "deploy model.onnx images/model.onnx --gate golden --gate-recall 0.9", code: 1},
		{what: "a golden set that is absent, while it runs", args: "run model.onnx images --watch --gate absent", code: 1},
		{what: "a truncated model in its shadow", prepare: both(folder("new", "model.onnx"), truncate("new/model.onnx")), args: "run model.onnx images --shadow new/model.onnx", code: 1},
		{what: "itself in its shadow", args: "run model.onnx images --shadow model.onnx", code: 1},
		{what: "not signed, where that is required", prepare: write("key.pub", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=\n-----END PUBLIC KEY-----\n"), args: "run model.onnx images --watch --require-signature key.pub", code: 1},
		{what: "signed by what is no key", args: "sign --key images/a.png model.onnx", code: 1},
		{what: "findings told to what is no output", args: "run model.onnx images --watch --output https://example.com/hook", code: 2},
		{what: "with a key that is absent", args: "run model.onnx images --watch --output webhook+https://example.com/hook?secret-file=absent", code: 2},
		{what: "nothing to watch", args: "run model.onnx absent --watch", code: 1},
		{what: "nothing to roll back to", args: "rollback model.onnx", code: 1},
		{what: "nothing to roll forward to", args: "rollback --forward model.onnx", code: 1},
		{what: "rolled back in a folder that may not be written", prepare: both(deployed("images"), mode("images", 0o555)), args: "rollback images/model.onnx", code: 1, asNobody: true},
		{what: "rolled back to a damaged model", prepare: both(deployed("images"), flip("images/model.onnx.0001-16de1a8c7a0c")), args: "rollback images/model.onnx", code: 1},
	}},
	{"The images", []mishap{
		{what: "absent", args: "run model.onnx absent.png", code: 1},
		{what: "a pattern that nothing matches", args: "run model.onnx images/*.tif", code: 1},
		{what: "empty folder", prepare: folder("empty"), args: "run model.onnx empty", code: 1},
		{what: "empty folder to train on", prepare: folder("empty"), args: "train --data empty --out new.onnx", code: 1},
		{what: "a folder that may not be read", prepare: mode("images", 0), args: "run model.onnx images", code: 1, asNobody: true},
		{what: "one that may not be read among others", prepare: mode("images/b.png", 0), args: "run model.onnx images", code: 1, asNobody: true},
		{what: "a truncated one among others", prepare: truncate("images/b.png"), args: "run model.onnx images --out results --save map", code: 1,
			leaves: []string{"results/a.png.map.npy", "results/c.png.map.npy", "results/index.html"}},
		{what: "a pipe", prepare: pipe("pipe.png"), args: "run model.onnx pipe.png", code: 1},
		{what: "a device without an end", args: "run model.onnx /dev/zero", code: 1},
		{what: "a folder named like an image, empty", prepare: folder("x.png"), args: "run model.onnx x.png", code: 1},
		{what: "a link to itself among others", prepare: both(remove("images/b.png"), symlink("b.png", "images/b.png")), args: "run model.onnx images", code: 1},
		{what: "a link to nothing among others", prepare: both(remove("images/b.png"), symlink("absent.png", "images/b.png")), args: "run model.onnx images", code: 1},
		{what: "names that are no text, or move the cursor", prepare: both(write("images/\xff.png", "no image"), write("images/\x1b[2J\n.png", "no image")),
			args: "run model.onnx images", code: 1},
		{what: "one that is no image among others", prepare: write("images/b.png", "no image"), args: "run model.onnx images", code: 1},
		{what: "a model among others", prepare: func(t *testing.T) { must(t, os.WriteFile("images/b.png", mustRead(t, "model.onnx"), 0o644)) }, args: "run model.onnx images", code: 1},
		{what: "one above the limit", args: "run model.onnx images --max-pixels 1199", code: 1},
		{what: "a header that announces too much", prepare: hugePNG("images/b.png"), args: "run model.onnx images", code: 1},
		{what: "a truncated one to train on", prepare: truncate("good/3.png"), args: "train --data good --out new.onnx", code: 1},
		{what: "a single one to train on", prepare: folder("one", "images/a.png"), args: "train --data one --out new.onnx", code: 1},
		{what: "an array of another type", prepare: array("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1, 1)}", 8),
			args: "run model.onnx rows.npy", code: 1},
		{what: "a truncated array", prepare: array("{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9, 9)}", 700),
			args: "run model.onnx rows.npy", code: 1},
		{what: "nothing to compare with", args: "eval model.onnx --data good", code: 1},
	}},
	{"The checkpoint", []mishap{
		{what: "none to go on from", args: "train --data good --out new.onnx --epochs 5 --resume", code: 1},
		{what: "of other images", prepare: checkpoint("images"), args: "train --data good --out new.onnx --epochs 5 --resume", code: 1},
		{what: "of other settings", prepare: checkpoint("good"), args: "train --data good --out new.onnx --epochs 5 --resume --seed 2", code: 1},
		{what: "there, and not to be gone on from", prepare: checkpoint("good"), args: "train --data good --out new.onnx --epochs 5", code: 1},
		{what: "damaged", prepare: both(checkpoint("good"), flip("new.onnx.ckpt")), args: "train --data good --out new.onnx --epochs 5 --resume", code: 1},
		{what: "truncated", prepare: both(checkpoint("good"), truncate("new.onnx.ckpt")), args: "train --data good --out new.onnx --epochs 5 --resume", code: 1},
		{what: "text", prepare: write("new.onnx.ckpt", "no checkpoint"), args: "train --data good --out new.onnx --epochs 5 --resume", code: 1},
	}},
	{"The queue", []mishap{
		{what: "on a server that is not there", args: "submit images --nats nats://127.0.0.1:1", code: 1},
		{what: "at no address", args: "submit images --nats nats://%zz", code: 2},
		{what: "of a name that cannot be one", args: "submit images --queue line.7", code: 2},
		{what: "with images in the model's place", args: "worker images", code: 1},
		{what: "with a model among the images", args: "submit model.onnx images", code: 2},
		{what: "open to others, who could all put models in use", args: "worker model.onnx --provider go --listen :4222 --store queues", code: 2},
		{what: "in two places", args: "worker --nats nats://127.0.0.1:1 --store queues", code: 2},
		{what: "with too few tries to tell who is to blame", args: "worker model.onnx --tries 2", code: 2},
		{what: "with nothing for it", args: "submit", code: 2},
	}},
	{"The feedback", []mishap{
		{what: "in a folder that keeps none", args: "feedback images", code: 1},
		{what: "on images, and not which", args: "feedback said images/a.png", code: 2},
		{what: "by a mark that does not exist", args: "feedback said images/a.png --mark bad --model part", code: 2},
		{what: "on the verdict of no model", args: "feedback said images/a.png --mark miss", code: 2},
		{what: "on what is no image", prepare: write("images/b.png", "no image"), args: "feedback said images/b.png --mark miss --model part", code: 1},
		{what: "on several images in one file", args: "feedback said rows.npy --mark miss --model part",
			prepare: array("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 4)}", 32), code: 1},
		{what: "with a damaged index", prepare: both(folder("said"), write("said/index.db", strings.Repeat("no database ", 100))), args: "feedback said", code: 1},
		{what: "by itself, to set a threshold", args: "calibrate model.onnx --feedback said", code: 2},
		{what: "to train with, in a folder that keeps none", args: "train --data good --feedback images --out new.onnx", code: 1},
		{what: "of a model, and nowhere", args: "train --data good --feedback-model part --out new.onnx", code: 2},
	}},
	{"The output", []mishap{
		{what: "in a folder that does not exist", args: "train --data good --out absent/new.onnx", code: 1},
		{what: "by way of a folder that does not exist", args: "train --data good --out absent/../new.onnx", code: 1},
		{what: "is a folder", args: "train --data good --out images", code: 1},
		{what: "is another file, for a model", prepare: write("notes.txt", "not to be lost"), args: "train --data good --out notes.txt", code: 2},
		{what: "is another file, for a changed model", prepare: write("notes.txt", "not to be lost"), args: "export --input float --out notes.txt model.onnx", code: 2},
		{what: "is a pipe", prepare: pipe("pipe"), args: "train --data good --out pipe", code: 1},
		{what: "is a device, for a changed model", prepare: device("null"), args: "export --input float --out null model.onnx", code: 1},
		{what: "is being written by another training", prepare: locked("new.onnx"), args: "train --data good --out new.onnx", code: 1},
		{what: "pictures into a folder of another run", prepare: locked("results/index.html"), args: "run model.onnx images --out results", code: 1},
		{what: "pictures into a file", args: "run model.onnx images --out model.onnx", code: 1},
		{what: "model into a folder that may not be written", prepare: mode("images", 0o555), args: "train --data good --out images/new.onnx", code: 1, asNobody: true},
		{what: "suspects into a folder that may not be written", args: "train --data good --out new.onnx --suspects /sys/look", code: 1},
		{what: "suspects into a file", args: "train --data good --out new.onnx --suspects model.onnx", code: 1},
		{what: "pictures into a folder that may not be written", prepare: mode("good", 0o555), args: "run model.onnx images/a.png --out good", code: 1, asNobody: true},
		{what: "no room for the checkpoint", prepare: write("disk/file", "a page"), args: "train --data good --out disk/new.onnx", code: 1, disk: 8, leaves: []string{"disk/new.onnx.log.jsonl"}},
		{what: "no room for the model", args: "train --data good --out disk/new.onnx", code: 1, disk: 16, leaves: []string{"disk/new.onnx.ckpt", "disk/new.onnx.log.jsonl"}},
		{what: "no room for a changed model", args: "export --input float --out disk/new.onnx model.onnx", code: 1, disk: 4},
		{what: "no room for thresholds in a copy", args: "calibrate --threshold 0.1 --out disk/new.onnx model.onnx", code: 1, disk: 4},
		{what: "no room for pictures", args: "run model.onnx images/a.png --out disk/results", code: 1, disk: 4},
		{what: "no room for the report", args: "run model.onnx images/a.png --out disk/results --save map", code: 1, disk: 8,
			leaves: []string{"disk/results/a.png.map.npy"}},
		{what: "standard output on a full device", args: "run model.onnx images --json", code: 1, toFull: true},
	}},
}

// TestMishaps provokes everything that goes wrong, checks its exit code and that
// nothing is half written, and holds docs/errors.md to what is said.
func TestMishaps(t *testing.T) {
	tinyModel(t)
	path := filepath.Join(testenv.Root(), "docs", "errors.md")
	before, err := os.ReadFile(path)
	if err != nil && !*updateErrors {
		t.Fatal(err)
	}
	var doc strings.Builder
	doc.WriteString(errorsHead)
	for _, g := range mishaps {
		fmt.Fprintf(&doc, "\n## %s\n\n| what | command | exit code | message |\n|---|---|---|---|\n", g.name)
		for _, m := range g.mishaps {
			head := fmt.Sprintf("| %s | `anomaly %s` | ", m.what, m.args)
			row := ""
			t.Run(g.name+"/"+m.what, func(t *testing.T) {
				row = fmt.Sprintf("%s%d | %s |\n", head, m.code, inTable(m.provoke(t)))
			})
			if row == "" { // skipped here: what was seen elsewhere stays
				_, row, _ = strings.Cut(string(before), head)
				row, _, _ = strings.Cut(row, "\n")
				row = head + row + "\n"
			}
			doc.WriteString(row)
		}
	}
	if t.Failed() {
		return
	}
	if *updateErrors {
		if err := os.WriteFile(path, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if doc.String() != string(before) {
		t.Errorf("docs/errors.md is stale: go test ./cmd/anomaly/internal/commands -run TestMishaps -update-errors; want\n%s", &doc)
	}
}

const errorsHead = `# What can go wrong

What the command says of each of these mishaps, on standard error, and its exit code. ` + "`" + `DIR` + "`" + ` is the working folder.
In none of them is anything left half written, and nothing that was there changes.

Made by ` + "`" + `go test ./cmd/anomaly/internal/commands -run TestMishaps -update-errors` + "`" + `, which provokes them all with ` + "`" + `--provider go` + "`" + ` and a
small network. ONNX Runtime tells in other words why it cannot use a model; the exit code is the same.

If the system refuses it memory no program can say so: Go ends it with a stack dump and exit code 2, Linux with SIGKILL.
What was being written then is left as a hidden file and replaces nothing.
`

// inTable puts a message into a table's cell.
func inTable(message string) string {
	var lines []string
	for line := range strings.Lines(message) {
		line = strings.TrimSuffix(line, "\n")
		lines = append(lines, "`"+strings.ReplaceAll(line, "|", `\|`)+"`")
	}
	return strings.Join(lines, "<br>")
}

// complaint matches the lines of standard error that are said of a mishap.
var complaint = regexp.MustCompile(`(?ms)^anomaly: .*`)

// varying matches what messages say that differs between versions and machines.
var varying = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?m)^.* images/s\n`), ""},
	{regexp.MustCompile(`(?m)^squashed to .*\n`), ""},    // which all of these images are
	{regexp.MustCompile(`(?m)^poor: it finds .*\n`), ""}, // which is true of this network
	{regexp.MustCompile(`hash [0-9a-f]+`), "hash …"},
	{regexp.MustCompile(`got \d+ bytes that are`), "got … bytes that are"},
	{regexp.MustCompile(`got [0-9.e-]+, want [0-9.e-]+ ± [0-9.e-]+`), "got …, want … ± …"},
	{regexp.MustCompile(`node \d+ \((\w+) "\w+"\)`), "node … ($1)"},
}

// provoke lets m happen and returns what is said.
func (m *mishap) provoke(t *testing.T) string {
	if strings.HasPrefix(m.args, "run ") && strings.Contains(m.args, ".onnx") && !strings.Contains(m.args, "--") && !m.asNobody {
		t.Run("cpu", func(t *testing.T) {
			if !cpuUsable() {
				t.Skip("ONNX Runtime cannot be used here")
			}
			m.happen(t, string(anrt.CPU))
		})
	}
	return m.happen(t, string(anrt.Go))
}

// cpuUsable reports whether ONNX Runtime can be used here.
var cpuUsable = sync.OnceValue(func() bool {
	return slices.ContainsFunc(anrt.Diagnose(&anrt.SessionOptions{Provider: anrt.CPU}).Providers, func(a anrt.Availability) bool { return a.Provider == anrt.CPU && a.Usable })
})

func (m *mishap) happen(t *testing.T, provider string) string {
	dir := newWorld(t)
	t.Chdir(dir)
	if m.disk > 0 {
		mount(t, filepath.Join(dir, "disk"), m.disk)
	}
	if m.prepare != nil {
		m.prepare(t)
	}
	args := strings.Fields(m.args)
	if command := args[0]; command == "run" || command == "train" || command == "eval" || command == "deploy" {
		if command == "train" {
			args = slices.Insert(args, 1, tiny...)
		}
		if !strings.Contains(m.args, "--provider") {
			args = slices.Insert(args, 1, "--provider", provider)
		}
	}
	before := files(t, dir)
	code, stdout, stderr := m.run(t, args)
	if code != m.code {
		t.Errorf("got exit code %d, want %d\n%s%s", code, m.code, stdout, stderr)
	}
	if code == exitUsage && stdout != "" {
		t.Errorf("got %q on standard output of a wrong call", stdout)
	}
	after := files(t, dir)
	for name, sum := range after {
		if old, ok := before[name]; (!ok || old != sum) && !slices.Contains(m.leaves, name) {
			t.Errorf("%s is left or changed", name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
	for _, name := range m.leaves {
		if _, ok := after[name]; !ok {
			t.Errorf("%s is not there", name)
		}
	}
	said := complaint.FindString(stderr)
	for _, v := range varying {
		said = v.what.ReplaceAllString(said, v.with)
	}
	if strings.Contains(said, "goroutine ") {
		t.Errorf("got a panic: %s", said)
	}
	return strings.ReplaceAll(said, dir, "DIR")
}

// run runs the command in this process or, as somebody else, in one of its own.
func (m *mishap) run(t *testing.T, args []string) (code int, stdout, stderr string) {
	if m.toFull {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("no full device: ", err)
		}
		defer full.Close()
		var log bytes.Buffer
		return Run(t.Context(), "dev", append([]string{"anomaly"}, args...), full, &log), "", log.String()
	}
	if !m.asNobody || os.Geteuid() != 0 {
		return anomaly(t.Context(), args...)
	}
	var out, log bytes.Buffer
	forAll := filepath.Join(scratch, "tmp")
	must(t, os.MkdirAll(forAll, 0o755))
	must(t, os.Chmod(forAll, 0o777))
	child := exec.Command(testBinary(t), "-test.run=^TestChild$")
	child.Env = append(os.Environ(), childArgs+"="+strings.Join(args, "\n"), "TMPDIR="+forAll, "GOCOVERDIR="+forAll) // if coverage is measured
	child.Stdout, child.Stderr = &out, &log
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := child.Run(); child.ProcessState == nil {
		t.Skip("cannot run as another user: ", err)
	}
	return child.ProcessState.ExitCode(), out.String(), log.String()
}

const (
	nobody    = 65534
	childArgs = "ANOMALY_TEST_ARGS"
)

// TestChild is the command, for a test that runs it in a process of its own.
func TestChild(t *testing.T) {
	args, ok := os.LookupEnv(childArgs)
	if !ok {
		t.Skip("is a helper of TestMishaps")
	}
	code := Run(context.Background(), "dev", append([]string{"anomaly"}, strings.Split(args, "\n")...), os.Stdout, os.Stderr)
	os.RemoveAll(scratch)
	os.Exit(code)
}

// testBinary returns a copy of this program that everybody may run.
func testBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(scratch, "anomaly.test")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	b, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// bare puts a model without a threshold in the world.
func bare(t *testing.T) {
	t.Helper()
	must(t, os.WriteFile("bare.onnx", mustRead(t, reconstructionModel(t)), 0o644))
}

// newWorld makes the folder that mishaps begin in, for everybody to read.
func newWorld(t *testing.T) string {
	t.Helper()
	if err := os.Chmod(scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(scratch, "world-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(tinyModel(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "model.onnx"), model, 0o644)
	}
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, "images"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "good"), 0o755))
	for i := range 20 {
		var b bytes.Buffer
		must(t, page.EncodePNG(&b, goodImage(i)))
		must(t, os.WriteFile(filepath.Join(dir, "good", fmt.Sprintf("%d.png", i)), b.Bytes(), 0o644))
		if i < 3 {
			must(t, os.WriteFile(filepath.Join(dir, "images", "abc"[i:i+1]+".png"), b.Bytes(), 0o644))
		}
	}
	return dir
}

// mount mounts an empty file system of so many KiB for the test.
func mount(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dk", size)); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, 0); err != nil {
			t.Error(err)
		}
	})
}

// files returns the checksums of all files below dir by name.
func files(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	sums := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() { // what it is must stay, too
			sums[filepath.ToSlash(strings.TrimPrefix(path, dir+"/"))] = sha256.Sum256([]byte(entry.Type().String()))
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil && !os.IsPermission(err) {
			return err
		}
		name, err := filepath.Rel(dir, path)
		sums[filepath.ToSlash(name)] = sha256.Sum256(b)
		return err
	})
	if err != nil && !os.IsPermission(err) {
		t.Fatal(err)
	}
	return sums
}

// What prepare may be.

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(name, content string) func(*testing.T) {
	return func(t *testing.T) { must(t, os.WriteFile(name, []byte(content), 0o644)) }
}

// array writes rows.npy with a header and so many bytes of elements.
func array(header string, n int) func(*testing.T) {
	header += "\n"
	return write("rows.npy", "\x93NUMPY\x01\x00"+string(rune(len(header)))+"\x00"+header+strings.Repeat("\x00", n))
}

func mode(name string, mode os.FileMode) func(*testing.T) {
	return func(t *testing.T) {
		must(t, os.Chmod(name, mode))
		t.Cleanup(func() { os.Chmod(name, 0o755) })
	}
}

func pipe(name string) func(*testing.T) {
	return func(t *testing.T) { must(t, syscall.Mkfifo(name, 0o644)) }
}

// device makes a copy of /dev/null.
func device(name string) func(*testing.T) {
	return func(t *testing.T) {
		if err := syscall.Mknod(name, syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
			t.Skip("cannot make a device: ", err)
		}
	}
}

func symlink(to, name string) func(*testing.T) {
	return func(t *testing.T) { must(t, os.Symlink(to, name)) }
}

func remove(name string) func(*testing.T) {
	return func(t *testing.T) { must(t, os.Remove(name)) }
}

// locked holds the files of a training run.
func locked(out string) func(*testing.T) {
	return func(t *testing.T) {
		must(t, os.MkdirAll(filepath.Dir(out), 0o755))
		release, err := atomicfile.Lock(out)
		must(t, err)
		t.Cleanup(release)
	}
}

// truncate cuts the last third of a file off.
func truncate(name string) func(*testing.T) {
	return func(t *testing.T) {
		info, err := os.Stat(name)
		must(t, err)
		must(t, os.Truncate(name, info.Size()*2/3))
	}
}

// flip changes a byte in the middle of a file.
func flip(name string) func(*testing.T) {
	return func(t *testing.T) {
		b, err := os.ReadFile(name)
		must(t, err)
		b[len(b)/2] ^= 1
		must(t, os.WriteFile(name, b, 0o644))
	}
}

// folder makes a folder with copies of files.
func folder(name string, names ...string) func(*testing.T) {
	return func(t *testing.T) {
		must(t, os.Mkdir(name, 0o755))
		for _, from := range names {
			b, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(name, filepath.Base(from)), b, 0o644))
		}
	}
}

func both(a, b func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		a(t)
		b(t)
	}
}

// hugePNG writes the header of a PNG of 60,000x60,000 pixels.
func hugePNG(name string) func(*testing.T) {
	header := append([]byte("IHDR"), 0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0)
	file := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), header...)
	return write(name, string(binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(header))))
}

// forAnomalib exports the model for anomalib.
func forAnomalib(t *testing.T) {
	mustRun(t, 0, "export", "model.onnx", "--profile", "anomalib", "--out", "anomalib.onnx")
}

// checkpoint leaves that of a training run on a folder, which was interrupted.
func checkpoint(data string) func(*testing.T) {
	return func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		log := &cancelAfter{lines: 3, cancel: cancel}
		args := slices.Concat([]string{"anomaly", "train", "--data", data, "--out", "new.onnx"}, tiny, []string{"--epochs", "5"})
		if code := Run(ctx, "dev", args, io.Discard, log); code != exitInterrupted {
			t.Fatalf("got exit code %d, want %d: %s", code, exitInterrupted, log)
		}
	}
}

// hostile writes hostile.onnx, a changed model.
func hostile(change func(*onnxpb.ModelProto)) func(*testing.T) {
	return func(t *testing.T) {
		b, err := os.ReadFile("model.onnx")
		must(t, err)
		var m onnxpb.ModelProto
		must(t, proto.Unmarshal(b, &m))
		change(&m)
		b, err = proto.Marshal(&m)
		must(t, err)
		must(t, os.WriteFile("hostile.onnx", b, 0o644))
	}
}

// cycle feeds the first operator from the last one.
func cycle(m *onnxpb.ModelProto) {
	nodes := m.Graph.Node
	for _, n := range nodes {
		if n.GetOpType() == "Conv" {
			n.Input[0] = "reconstruction"
			return
		}
	}
}

// resized declares images of size x size pixels.
func resized(size int64) func(*onnxpb.ModelProto) {
	return func(m *onnxpb.ModelProto) {
		for _, d := range m.Graph.Input[0].GetType().GetTensorType().GetShape().GetDim()[1:3] {
			d.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: size}
		}
	}
}

// weight returns the first weight of a convolution.
func weight(m *onnxpb.ModelProto) *onnxpb.TensorProto {
	return m.Graph.Initializer[slices.IndexFunc(m.Graph.Initializer, func(t *onnxpb.TensorProto) bool { return len(t.Dims) == 4 })]
}

func absurdWeight(m *onnxpb.ModelProto) { weight(m).Dims = []int64{1 << 40, 1 << 40, 1 << 40, 3} }

// outside says that a weight lies in another file.
func outside(location string) func(*onnxpb.ModelProto) {
	return func(m *onnxpb.ModelProto) {
		w := weight(m)
		w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
		w.ExternalData = []*onnxpb.StringStringEntryProto{{Key: proto.String("location"), Value: proto.String(location)}}
	}
}

func nanWeights(m *onnxpb.ModelProto) {
	for at := 0; at < len(weight(m).RawData); at += 4 {
		binary.LittleEndian.PutUint32(weight(m).RawData[at:], math.Float32bits(float32(math.NaN())))
	}
}

// damage sets the exponents of a convolution's weights wrong.
func damage(m *onnxpb.ModelProto) {
	for at := 3; at < len(weight(m).RawData); at += 4 {
		weight(m).RawData[at] ^= 2
	}
}

// deployed leaves model.onnx in a folder, deployed in place of a file.
func deployed(folder string) func(*testing.T) {
	return func(t *testing.T) {
		live := filepath.Join(folder, "model.onnx")
		write(live, "what is there")(t)
		mustRun(t, 0, "deploy", "--provider", "go", "model.onnx", live)
	}
}

// golden makes a golden set of good images, and hostile.onnx, which rejects them.
func golden(t *testing.T) {
	must(t, os.MkdirAll("golden/test", 0o755))
	must(t, os.Rename("images", "golden/test/good"))
	must(t, os.Mkdir("images", 0o755))
	mustRun(t, 0, "calibrate", "model.onnx", "--threshold", "1e-9", "--out", "hostile.onnx")
}

func unknownOperator(m *onnxpb.ModelProto) {
	m.Graph.Node[len(m.Graph.Node)/2].OpType = proto.String("Secret")
}

// writeGraph writes a model that package onnxexport did not make.
func writeGraph(t *testing.T, path string, g *graph.Graph) {
	b, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	must(t, err)
	var m onnxpb.ModelProto
	must(t, proto.Unmarshal(b, &m))
	m.ProducerName = proto.String("another tool")
	b, err = proto.Marshal(&m)
	must(t, err)
	must(t, os.WriteFile(path, b, 0o644))
}

// twoMaps writes two.onnx, a model with two maps of names that say nothing.
func twoMaps(t *testing.T) {
	g := graph.New("two")
	x := g.Input("x", graph.Float32, graph.Dynamic, 3, 16, 16)
	g.Output("a", graph.ReduceMax(x, true, 1))
	g.Output("b", graph.ReduceMean(x, true, 1))
	writeGraph(t, "two.onnx", g)
}

// croppedModel writes cropped.onnx as anomalib 0.7 does, with metadata.json.
func croppedModel(t *testing.T) {
	g := graph.New("cropped")
	g.Output("output", graph.ReduceMax(g.Input("input", graph.Float32, 1, 3, 16, 16), true, 1))
	writeGraph(t, "cropped.onnx", g)
	must(t, os.WriteFile("metadata.json", []byte(`{"image_threshold": 1, "transform": {"transform": {"__class_fullname__": "Compose", "transforms": [
		{"__class_fullname__": "Resize", "height": 16, "width": 16}, {"__class_fullname__": "RandomCrop", "height": 16, "width": 16}]}}}`), 0o644))
}

// fourChannels writes four.onnx, a model of images of four channels.
func fourChannels(t *testing.T) {
	g := graph.New("four")
	g.Output("y", graph.Relu(g.Input("x", graph.Float32, graph.Dynamic, 4, 16, 16)))
	writeGraph(t, "four.onnx", g)
}
