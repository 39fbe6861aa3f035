// Package oippb is the Open Inference Protocol's messages and gRPC service as Go
// types: generated from oip.proto, nothing written by hand. Package serve is its
// only user.
//
// The proto package is anomaly.oip and the registered file anomaly/oip.proto: a
// program that links another copy of the protocol would panic at init if both had
// the same names. Only the service's name is on the wire, and package serve
// registers the service under the one that clients know.
package oippb

//go:generate ./generate
