//go:build js

package main

import (
	"errors"
	"syscall/js"
)

var global = js.Global()

func main() {
	if global.Get("document").Truthy() {
		showPage()
	} else {
		work()
	}
	select {} // what comes, comes as events
}

// on calls f for each event of a name.
func on(target js.Value, event string, f func(event js.Value)) {
	target.Call("addEventListener", event, js.FuncOf(func(_ js.Value, args []js.Value) any {
		f(args[0])
		return nil
	}))
}

// await waits for a promise. It must not be called on the goroutine of an event.
func await(promise js.Value) (js.Value, error) {
	type answer struct {
		value js.Value
		err   error
	}
	answers := make(chan answer, 1)
	kept := js.FuncOf(func(_ js.Value, args []js.Value) any {
		answers <- answer{value: args[0]}
		return nil
	})
	broken := js.FuncOf(func(_ js.Value, args []js.Value) any {
		answers <- answer{err: errors.New(args[0].Get("message").String())}
		return nil
	})
	defer kept.Release()
	defer broken.Release()
	promise.Call("then", kept, broken)
	a := <-answers
	return a.value, a.err
}

// bytesOf copies a Uint8Array or a Uint8ClampedArray.
func bytesOf(v js.Value) []byte {
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b
}
