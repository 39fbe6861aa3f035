//go:build !js

package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

//go:embed index.html page.css start.js
var static embed.FS

func main() {
	log.SetFlags(0)
	out := flag.String("out", "", "write the page to this `FOLDER` instead of serving it")
	address := flag.String("address", "127.0.0.1:8080", "that the page is served at; browsers give a camera to https and to this machine alone")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: wasm [-out FOLDER | -address ADDRESS] [model.onnx]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := func() error { return serve(ctx, *address, flag.Arg(0)) }
	if *out != "" {
		run = func() error { return build(ctx, *out, flag.Arg(0)) }
	}
	if err := run(); err != nil {
		log.Fatal("wasm: ", err)
	}
}

// build writes the page to a folder: the program, what Go's distribution has to start it, the
// files beside this one and, unless its path is "", the model.
func build(ctx context.Context, dir, model string) error {
	files := map[string][]byte{}
	var err error
	if model != "" {
		if files["model.onnx"], err = os.ReadFile(model); err != nil {
			return err
		}
	}
	for _, name := range []string{"index.html", "page.css", "start.js"} {
		if files[name], err = static.ReadFile(name); err != nil {
			return err
		}
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	const starter = "wasm_exec.js"
	if files[starter], err = os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", starter)); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "anomaly.wasm"), "github.com/anomaly-go/anomaly/examples/wasm")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// serve builds the page in a folder of its own and serves it until ctx ends.
func serve(ctx context.Context, address, model string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer listener.Close()
	dir, err := os.MkdirTemp("", "anomaly-wasm-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir, model); err != nil {
		return err
	}
	log.Printf("open http://%s", listener.Addr())
	server := &http.Server{Handler: http.FileServer(http.Dir(dir))}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
