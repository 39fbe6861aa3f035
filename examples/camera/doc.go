// Command camera watches a camera: each frame is looked at, and shown or saved with
// what is anomalous marked. The newest frame wins: those that come while another
// one is computed take its place in the queue of one, and are counted.
//
//	go run ./examples/camera -serve :8080 model.onnx http://camera/stream    # MJPEG over HTTP
//	go run ./examples/camera -out found model.onnx frames/                   # a folder, by name
//	ffmpeg … -f mjpeg - | go run ./examples/camera -serve :8080 model.onnx - # standard input
//
// A V4L2 camera comes in through a program that knows its modes and controls, which
// a few ioctls do not:
//
//	ffmpeg -f v4l2 -input_format mjpeg -i /dev/video0 -c copy -f mjpeg -     # to standard output
//	ustreamer --device /dev/video0                                           # http://localhost:8080/stream
//
// With -serve, a browser shows the stream at that address.
package main
