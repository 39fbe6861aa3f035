// Package outputs tells a plant of findings and drift: by webhook, over MQTT, in nodes of an OPC
// UA server, and as a folder of rejected images.
//
// [Open] takes URLs, one for each output; [Outputs.Send] hands it what was found of an image,
// [Outputs.SendDrift] that images drift (package drift).
// What is sent lies in a folder of the output, its spool, until the other side has it:
// a program that is killed, and another side that is away for hours, cost nothing. Each
// output delivers in order, one message at a time, at least once: after a failure a
// message may come twice, with the same id. A spool has a budget; beyond it the oldest
// messages are dropped, and counted.
//
// What is in a spool survives the end of the process. A failure of power may cost the
// messages that the system had not written yet; one that was half written is dropped.
package outputs
