// Package fleet judges images on more than one machine, over NATS JetStream.
//
// A [Queue] is what machines share: images that wait, findings, what was parked, and
// the model in use. [Queue.Submit] feeds images and waits for their findings,
// [Queue.Work] takes images and gives findings, [Queue.Announce] puts another model
// in use, [Queue.Parked] lists what could not be judged. StartServer is a server in
// this process, for as long as one is enough.
//
// # What is promised
//
// An image that was taken into the queue is judged or parked, whatever dies: a worker
// answers for an image only once its finding is stored, and another gets the image
// when it stays silent. Each image names, by their hashes, its content and the model
// that is to judge it, which is the one in use when it was submitted; of the two there
// is one finding, and a second one is refused by the server. Thresholds and all else
// that decides come with the model, so that workers cannot differ in them.
//
// An image that fails is tried again, then parked with the reason; one that cannot be
// read is parked at once. An image that was begun more than twice is suspected to end
// the process that judges it: a worker judges it alone, lest others be blamed.
//
// The queue is bounded, by images and bytes: who submits waits until there is room.
//
// What is not here: computing (package runtime), findings (package judge), commands
// (cmd/anomaly).
package fleet
