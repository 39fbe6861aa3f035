package commands

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/internal/npy"
)

// dies names the variable that says how processes which test a model end.
const dies = "ANOMALY_TEST_DIES"

// processes are what tests run in processes of their own, by the first argument, and
// their exit codes.
var processes = map[string]func() int{}

// scratch is a folder for what several tests need.
var scratch string

func TestMain(m *testing.M) {
	// doctor and what tries models call their own program, which in a test is this one.
	if len(os.Args) > 1 && os.Args[1] == "self-test" {
		switch os.Getenv(dies) {
		case "killed":
			p, _ := os.FindProcess(os.Getpid())
			p.Kill()
			select {}
		case "crash":
			panic("ONNX Runtime crashed")
		}
	}
	if len(os.Args) > 1 && (os.Args[1] == "doctor" || os.Args[1] == "self-test") {
		os.Exit(Run(context.Background(), "dev", os.Args, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && processes[os.Args[1]] != nil {
		go func() { // nor does it stay when the test is no more
			io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		os.Exit(processes[os.Args[1]]())
	}
	var err error
	if scratch, err = os.MkdirTemp("", "anomaly-test-*"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// anomaly runs the command in this process.
func anomaly(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, log bytes.Buffer
	code = Run(ctx, "dev", append([]string{"anomaly"}, args...), &out, &log)
	return code, out.String(), log.String()
}

// mustRun runs the command and fails the test unless it ends with code.
func mustRun(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := anomaly(t.Context(), args...)
	if got != code {
		t.Fatalf("anomaly %s: got exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout, stderr
}

// tiny are the flags of a training run that takes a moment.
var tiny = []string{
	"--size", "16", "--channels", "1", "--filters", "4", "--depth", "1", "--epochs", "1",
	"--loss", "mse", "--map", "l2", "--blur", "0", "--provider", "go",
}

// trained are the tiny model and one that gives reconstructions only.
var trained = sync.OnceValues(func() (models [2]string, err error) {
	data := filepath.Join(scratch, "train")
	for i := range 20 {
		if err := writePNG(filepath.Join(data, fmt.Sprintf("%02d.png", i)), goodImage(i)); err != nil {
			return models, err
		}
	}
	for i, profile := range []string{"detector", "reconstruction"} {
		models[i] = filepath.Join(scratch, profile+".onnx")
		args := append([]string{"train", "--data", data, "--out", models[i], "--profile", profile}, tiny...)
		if code, _, stderr := anomaly(context.Background(), args...); code != 0 {
			return models, fmt.Errorf("training: exit code %d: %s", code, stderr)
		}
	}
	return models, nil
})

func tinyModel(t *testing.T) string {
	t.Helper()
	models, err := trained()
	if err != nil {
		t.Fatal(err)
	}
	return models[0]
}

// reconstructionModel has no threshold.
func reconstructionModel(t *testing.T) string {
	t.Helper()
	tinyModel(t)
	models, _ := trained()
	return models[1]
}

// goodImage returns one of many similar images of 40x30 pixels.
func goodImage(i int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			img.SetGray(x, y, color.Gray{uint8(60 + 2*x + 2*y + i%5)})
		}
	}
	return img
}

// badImage returns a good image with a black square, and the square's mask.
func badImage(i int) (img, mask *image.Gray) {
	img, mask = goodImage(i), image.NewGray(image.Rect(0, 0, 40, 30))
	for y := 10; y < 18; y++ {
		for x := 20; x < 30; x++ {
			img.SetGray(x, y, color.Gray{0})
			mask.SetGray(x, y, color.Gray{255})
		}
	}
	return img, mask
}

// testSet writes a data set in MVTec AD's layout: 4 good test images and 3 of
// each of the kinds a and b, with masks.
func testSet(t *testing.T, masks bool) string {
	t.Helper()
	root := t.TempDir()
	save := func(img image.Image, elem ...string) {
		t.Helper()
		if err := writePNG(filepath.Join(append([]string{root}, elem...)...), img); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		save(goodImage(i), "test", "good", fmt.Sprintf("%d.png", i))
	}
	for i := range 3 {
		for _, kind := range []string{"a", "b"} {
			img, mask := badImage(i)
			save(img, "test", kind, fmt.Sprintf("%d.png", i))
			if masks {
				save(mask, "ground_truth", kind, fmt.Sprintf("%d_mask.png", i))
			}
		}
	}
	return root
}

// testRows writes an .npy file of n good images, uint8 [n,30,40].
func testRows(t *testing.T, n int) string {
	t.Helper()
	var pixels []uint8
	for i := range n {
		pixels = append(pixels, goodImage(i).Pix...)
	}
	path := filepath.Join(t.TempDir(), "rows.npy")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := npy.Write(f, []int{n, 30, 40}, pixels); err != nil {
		t.Fatal(err)
	}
	return path
}

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img
}

func TestExitCodes(t *testing.T) {
	model := tinyModel(t)
	data := testSet(t, true)
	image := filepath.Join(data, "test", "good", "0.png")
	tests := []struct {
		args   string // MODEL, IMAGE and DATA stand for paths
		code   int
		stderr string // part of it
	}{
		{"", 0, ""},
		{"--version", 0, ""},
		{"--help", 0, ""},
		{"help run", 0, ""},
		{"run --help", 0, ""},
		{"nosuch", 2, `no command "nosuch"`},
		{"help nosuch", 2, "nosuch"},
		{"--nosuch", 2, "nosuch"},
		{"run --nosuch MODEL IMAGE", 2, "nosuch"},
		{"run MODEL IMAGE --nosuch", 2, "nosuch"},
		{"run MODEL IMAGE --batch", 2, "needs a value"},
		{"run MODEL", 2, "a model and images"},
		{"run MODEL IMAGE --provider go --batch 0", 2, "--batch"},
		{"run MODEL IMAGE --provider go --batch x", 2, "batch"},
		{"run MODEL IMAGE --provider go --threads -1", 2, "--threads"},
		{"run MODEL IMAGE --provider go --min-area 0", 2, "--min-area"},
		{"run MODEL IMAGE --provider go --threshold NaN", 2, "--threshold"},
		{"run MODEL IMAGE --provider go --threshold 1e39", 2, "--threshold"},
		{"run MODEL IMAGE --provider go --save map", 2, "--save needs --out"},
		{"run MODEL IMAGE --provider go --out x --save map,video", 2, `"video"`},
		{"run MODEL IMAGE --provider nosuch", 2, `"nosuch"`},
		{"run MODEL IMAGE --provider go --layout CHW", 2, "want NCHW or NHWC"},
		{"run MODEL IMAGE --provider go --layout nchw", 1, "none that a detector understands"},
		{"run MODEL IMAGE --provider go --range 255", 2, "LOW:HIGH"},
		{"run MODEL IMAGE --provider go --range 0:255,1", 2, `usage: --range: got "1"`},
		{"run MODEL IMAGE --provider go --range 0:255,0:1", 0, "1 image,"},
		{"run MODEL IMAGE --provider go --size 16xx", 2, "--size"},
		{"run MODEL IMAGE --provider go --size 8", 2, "size: got 8x8, the model has"},
		{"run MODEL IMAGE --provider go --size 16x16", 0, "1 image,"},
		{"run MODEL IMAGE --provider go --map nosuch", 2, "--map"},
		{"run MODEL IMAGE --provider go --map l2", 0, "of its own"},
		{"run MODEL IMAGE --provider go --map-output nosuch", 2, "the model has \"anomaly_map\""},
		{"run MODEL IMAGE --provider go --map-output pred_score", 2, "map: got output \"pred_score\" float32[N], which has one number for each image"},
		{"run MODEL nosuch.png --provider go", 1, "nosuch.png"},
		{"run nosuch.onnx IMAGE --provider go", 1, "nosuch.onnx"},
		{"run IMAGE IMAGE --provider go", 1, "it is an image, want a model"},
		{"run MODEL IMAGE --provider go", 0, "1 image,"},
		{"bench MODEL --provider go --layout CHW", 2, "want NCHW or NHWC"},
		{"deploy MODEL DATA/x.onnx --provider go --size 0", 2, "--size"},
		{"deploy MODEL DATA/x.onnx --threads -1", 2, "usage: --threads: got -1"},
		{"inspect MODEL --verify --threads -1", 2, "usage: --threads: got -1"},
		{"train --data DATA --threads -1", 2, "usage: --threads: got -1"},
		{"train", 2, "--data"},
		{"train DATA", 2, "no arguments"},
		{"train --data DATA --epochs 0", 2, "--epochs"},
		{"train --data DATA --lr 0", 2, "--lr"},
		{"train --data DATA --seed 0", 2, "--seed"},
		{"train --data DATA --val 1", 2, "--val: got 1"},
		{"train --data DATA --channels 2", 2, "channels"},
		{"train --data DATA --model nosuch", 2, "nosuch"},
		{"train --data DATA --loss nosuch", 2, "nosuch"},
		{"train --data DATA --map nosuch", 2, "nosuch"},
		{"train --data DATA --profile nosuch", 2, "nosuch"},
		{"train --data DATA --input nosuch", 2, "nosuch"},
		{"train --data DATA --threshold-rule nosuch", 2, "nosuch"},
		{"train --data DATA --out nosuch/x.onnx", 1, "nosuch"},
		{"train --data nosuch --out DATA/x.onnx", 1, "nosuch"},
		{"train --data DATA --out DATA/x.onnx", 1, "no training images"},
		{"eval MODEL", 2, "--data"},
		{"eval MODEL --good DATA", 2, "--anomalous"},
		{"eval MODEL --data DATA --good DATA", 2, "--data"},
		{"eval MODEL --good DATA --anomalous DATA", 2, "NAME=PATH"},
		{"eval MODEL --good DATA --anomalous good=DATA", 2, "NAME=PATH"},
		{"eval MODEL --data DATA --resolution 0", 2, "--resolution"},
		{"eval MODEL --data DATA --limit 0", 2, "--limit"},
		{"eval MODEL MODEL --data DATA", 2, "one model"},
		{"eval --compare MODEL --data DATA", 2, "two models"},
		{"eval --compare MODEL MODEL --data DATA --perturb", 2, "--perturb"},
		{"eval --compare MODEL MODEL --data DATA --out x", 2, "--out"},
		{"eval MODEL --data DATA/test/good", 1, "0 good"},
		{"inspect", 2, "one model"},
		{"inspect IMAGE", 1, "it is an image, want a model"},
		{"doctor MODEL", 2, "no arguments"},
		{"doctor --gpu", 2, "--gpu needs --install"},
		{"doctor --install --json", 2, "--install does not go with --json"},
		{"doctor --provider-option device_id=1", 2, "--provider-option needs --provider"},
		{"doctor --provider nonsense", 2, "nonsense"},
		{"demo MODEL", 2, "no arguments"},
		{"demo --out DATA", 1, "not empty"},
		{"demo --seed 0", 2, "--seed"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			args := strings.Fields(strings.NewReplacer("MODEL", model, "IMAGE", image, "DATA", data).Replace(tt.args))
			code, stdout, stderr := anomaly(t.Context(), args...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("got exit code %d, want %d and %q in\n%s%s", code, tt.code, tt.stderr, stdout, stderr)
			}
			if code == 2 && stdout != "" {
				t.Errorf("got %q on standard output after a wrong call", stdout)
			}
		})
	}
}

func TestFlagsAfterArguments(t *testing.T) {
	model := tinyModel(t)
	t.Chdir(t.TempDir())
	if err := writePNG("-odd.png", goodImage(0)); err != nil {
		t.Fatal(err)
	}
	want, _ := mustRun(t, 0, "run", "--json", "--provider", "go", "--threshold", "-1", model, "./-odd.png")
	for _, args := range [][]string{
		{"run", model, "./-odd.png", "--json", "--provider", "go", "--threshold", "-1"},
		{"run", model, "--threshold=-1", "./-odd.png", "-provider=go", "--json"},
		{"run", "--json", model, "--provider", "go", "--threshold", "-1", "--", "-odd.png"},
		{"run", "--json", "--provider", "go", "--threshold", "-1", "--", model, "-odd.png"},
	} {
		if got, _ := mustRun(t, 0, args...); got != want {
			t.Errorf("%v: got\n%swant\n%s", args, got, want)
		}
	}
}

// What is typed wrong is named with what is near, help is where it is asked for.
func TestCommandLine(t *testing.T) {
	defer func(args []string) { os.Args = args }(os.Args) // where the cli package looks when it completes
	for _, tt := range []struct {
		args string
		code int
		want string // of standard output and error together
	}{
		{"bench model.onnx --help", 0, "anomaly bench - measure"},
		{"run model.onnx images -h --batch 3", 0, "anomaly run - find anomalies"},
		{"rum model.onnx", exitUsage, `Did you mean "run"?`},
		{"run model.onnx images --treshold 3", exitUsage, "there is no flag --treshold, the nearest is --threshold"},
		{"--verson", exitUsage, "the nearest is --version"},
		{"version", 0, "anomaly version dev"},
		{"version 2", exitUsage, "takes no arguments"},
		{"run https://example.com/m.onnx images", exitUsage, "is an address"},
		{"eval model.onnx --data s3://bucket/set", exitUsage, "is an address"},
		{"completion fish", 0, "function __fish_anomaly"},
		{"completion bash", 0, "complete -o bashdefault"},
		{"completion zsh", 0, "#compdef anomaly"},
		{"completion powershell", 0, "Register-ArgumentCompleter"},
		{"completion csh", exitUsage, "bash, zsh, fish, powershell"},
		{"run --thresh --generate-bash-completion", 0, "--threshold\n"},
		{"--generate-bash-completion", 0, "rollback\n"},
		{"man", 0, ".TH anomaly 1"},
	} {
		os.Args = append([]string{"anomaly"}, strings.Fields(tt.args)...)
		if stdout, stderr := mustRun(t, tt.code, os.Args[1:]...); !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("%s: got %.300s, want %q in it", tt.args, stdout+stderr, tt.want)
		}
	}
}

// An image comes from standard input, and is called as the command line calls it.
func TestStandardInput(t *testing.T) {
	var png, out bytes.Buffer
	must(t, page.EncodePNG(&png, goodImage(1)))
	c := &console{in: &png, out: &out, log: io.Discard}
	o := &runOptions{images: []string{"-"}, json: true, survey: surveyOptions{model: tinyModel(t), minArea: 1}}
	o.survey.detector.Provider = "go"
	must(t, c.run(t.Context(), o))
	if !strings.HasPrefix(out.String(), `{"path":"-","score":`) {
		t.Errorf("got %s", &out)
	}
	mustRun(t, exitUsage, "run", "--provider", "go", tinyModel(t), "-", "-")
	mustRun(t, exitUsage, "run", "--provider", "go", tinyModel(t), "-", "--watch")
}
