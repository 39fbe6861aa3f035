//go:build !edge

package outputs

// plantKinds are outputs that builds with the tag edge leave out, which edge.go names.
var plantKinds = map[string]func(*target) (sink, error){"mqtt": newMQTT, "mqtts": newMQTT, "opcua": newOPCUA}
