//go:build js

package main

import (
	"fmt"
	"strings"
	"syscall/js"
	"time"
)

// A page is what the document shows. All of it happens in the goroutines of events, one
// after the other, but for what waits for promises.
type page struct {
	worker  js.Value
	queue   []*job // the first is with the worker, unless idle
	idle    bool
	stream  js.Value // of the camera, undefined while that is off
	frames  int
	started time.Time // of the camera
}

// A job is a message to the worker, what it takes along, and where its answer is shown.
type job struct {
	message map[string]any
	moved   []any
	then    func(answer js.Value)
}

// resultsShown is how many results the page keeps.
const resultsShown = 24

func showPage() {
	p := &page{worker: global.Get("worker"), stream: js.Undefined()}
	on(p.worker, "message", func(event js.Value) { p.hear(event.Get("data")) })
	on(p.worker, "error", func(event js.Value) { p.end(event.Get("message").String()) })

	files := element("files")
	on(element("choose"), "click", func(js.Value) { files.Call("click") })
	on(files, "change", func(js.Value) {
		p.take(files.Get("files"))
		files.Set("value", "") // so that the same file can be chosen again
	})
	on(element("camera"), "click", func(js.Value) {
		if p.stream.Truthy() {
			p.stopCamera()
		} else {
			go p.startCamera()
		}
	})
	for _, kind := range []string{"dragover", "dragleave", "drop"} {
		on(global, kind, func(event js.Value) {
			event.Call("preventDefault")
			element("drop").Get("classList").Call("toggle", "over", kind == "dragover")
			if kind == "drop" {
				p.take(event.Get("dataTransfer").Get("files"))
			}
		})
	}
	on(global, "paste", func(event js.Value) { p.take(event.Get("clipboardData").Get("files")) })
}

// hear takes a message of the worker: that it is ready or gone, or the answer to the first job.
func (p *page) hear(message js.Value) {
	switch {
	case message.Get("ready").Truthy():
		element("choose").Set("disabled", false)
		element("camera").Set("disabled", false)
		state("no model yet")
		p.idle = true
		go p.fetchModel()
	case message.Get("gone").Truthy():
		p.end(message.Get("gone").String())
	default:
		done := p.queue[0]
		p.queue, p.idle = p.queue[1:], true
		done.then(message)
		p.next()
	}
}

// end says that the worker is no more.
func (p *page) end(why string) {
	notice(why + ": load this page again")
	element("choose").Set("disabled", true)
	element("camera").Set("disabled", true)
	p.stopCamera()
}

// next gives the worker something to do: the first of the queue, else what the camera sees.
func (p *page) next() {
	if !p.idle {
		return
	}
	if len(p.queue) == 0 && p.stream.Truthy() {
		p.frame()
	}
	if len(p.queue) > 0 {
		p.idle = false
		p.worker.Call("postMessage", p.queue[0].message, p.queue[0].moved)
	}
}

func (p *page) add(j *job) {
	p.queue = append(p.queue, j)
	p.next()
}

// fetchModel takes the model that lies beside the page, if there is one.
func (p *page) fetchModel() {
	answer, err := await(global.Call("fetch", "model.onnx"))
	if err != nil || !answer.Get("ok").Bool() {
		return
	}
	if blob, err := await(answer.Call("blob")); err != nil {
		notice("model.onnx: " + err.Error())
	} else {
		p.model("model.onnx", blob)
	}
}

// take queues files: models by their names, whatever else is there as pictures.
func (p *page) take(files js.Value) {
	notice("")
	for i := range files.Length() {
		file := files.Index(i)
		if name := file.Get("name").String(); strings.HasSuffix(strings.ToLower(name), ".onnx") {
			p.model(name, file)
		} else {
			p.picture(name, file)
		}
	}
}

func (p *page) model(name string, blob js.Value) {
	before := element("state").Get("textContent").String()
	state("opening " + name)
	p.add(&job{message: map[string]any{"model": blob}, then: func(answer js.Value) {
		if why := answer.Get("error"); why.Truthy() {
			state(before)
			notice(name + ": " + why.String())
			return
		}
		state(name + ", " + answer.Get("size").String())
	}})
}

func (p *page) picture(name string, file js.Value) {
	card := newCard(name)
	p.add(&job{message: map[string]any{"file": file}, then: func(answer js.Value) { fill(card, name, answer) }})
}

func (p *page) startCamera() {
	notice("")
	devices := global.Get("navigator").Get("mediaDevices")
	if !devices.Truthy() {
		notice("browsers give a camera to https and to this machine alone")
		return
	}
	stream, err := await(devices.Call("getUserMedia", map[string]any{"video": map[string]any{"facingMode": "environment"}}))
	if err != nil {
		notice("camera: " + err.Error())
		return
	}
	video := element("video")
	video.Set("srcObject", stream)
	if _, err := await(video.Call("play")); err != nil {
		notice("camera: " + err.Error())
		return
	}
	p.stream, p.frames, p.started = stream, 0, time.Now()
	video.Set("hidden", false)
	element("camera").Set("textContent", "Stop the camera")
	p.next()
}

func (p *page) stopCamera() {
	if !p.stream.Truthy() {
		return
	}
	tracks := p.stream.Call("getTracks")
	for i := range tracks.Length() {
		tracks.Index(i).Call("stop")
	}
	p.stream = js.Undefined()
	element("video").Set("hidden", true)
	element("camera").Set("textContent", "Use the camera")
}

// frame queues what the camera sees now. All its frames share a card.
func (p *page) frame() {
	video := element("video")
	width, height := video.Get("videoWidth").Int(), video.Get("videoHeight").Int()
	canvas := global.Get("OffscreenCanvas").New(width, height)
	context := canvas.Call("getContext", "2d")
	context.Call("drawImage", video, 0, 0)
	pixels := context.Call("getImageData", 0, 0, width, height).Get("data")
	card := element("live")
	if !card.Truthy() {
		card = newCard("camera")
		card.Set("id", "live")
	}
	p.queue = append(p.queue, &job{
		message: map[string]any{"pixels": pixels, "width": width, "height": height},
		moved:   []any{pixels.Get("buffer")},
		then: func(answer js.Value) {
			p.frames++
			fill(card, fmt.Sprintf("camera, frame %d, %.1f a second", p.frames, float64(p.frames)/time.Since(p.started).Seconds()), answer)
			if answer.Get("error").Truthy() {
				p.stopCamera()
			}
		},
	})
}

// newCard puts an empty result before the others.
func newCard(name string) js.Value {
	card := create("li", "waiting", "")
	card.Call("append", create("p", "soft", name+" waits"))
	results := element("results")
	results.Call("prepend", card)
	if results.Get("childElementCount").Int() > resultsShown {
		results.Get("lastElementChild").Call("remove")
	}
	return card
}

// fill shows an answer.
func fill(card js.Value, name string, answer js.Value) {
	line := create("p", "", "")
	var tiles js.Value
	if why := answer.Get("error"); why.Truthy() {
		card.Set("className", "failed")
		line.Call("append", create("b", "", "failed"), " "+why.String())
		tiles = create("div", "", "")
	} else {
		verdict := answer.Get("verdict").String()
		card.Set("className", verdict)
		line.Call("append", create("b", "", verdict), " "+answer.Get("said").String())
		name += ", " + answer.Get("took").String()
		tiles = create("div", "tiles", "")
		drawn := answer.Get("tiles")
		for i := range drawn.Length() {
			tiles.Call("append", figure(drawn.Index(i)))
		}
	}
	card.Call("replaceChildren", line, create("p", "soft", name), tiles)
}

// figure shows a tile.
func figure(tile js.Value) js.Value {
	canvas := create("canvas", "", "")
	canvas.Set("width", tile.Get("width"))
	canvas.Set("height", tile.Get("height"))
	canvas.Call("setAttribute", "role", "img")
	canvas.Call("setAttribute", "aria-label", tile.Get("name"))
	canvas.Call("getContext", "2d").Call("putImageData", global.Get("ImageData").New(tile.Get("pixels"), tile.Get("width"), tile.Get("height")), 0, 0)
	figure := create("figure", "", "")
	figure.Call("append", canvas, create("figcaption", "", tile.Get("name").String()))
	return figure
}

func element(id string) js.Value { return global.Get("document").Call("getElementById", id) }

func create(tag, class, text string) js.Value {
	e := global.Get("document").Call("createElement", tag)
	e.Set("className", class)
	e.Set("textContent", text)
	return e
}

func state(text string) { element("state").Set("textContent", text) }

// notice shows what went wrong; "" is nothing.
func notice(text string) {
	element("notice").Set("hidden", text == "")
	element("notice").Set("textContent", text)
}
