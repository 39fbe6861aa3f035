//go:build edge

package outputs

import "errors"

// plantKinds are outputs that this build leaves out.
var plantKinds = map[string]func(*target) (sink, error){"mqtt": leftOut, "mqtts": leftOut, "opcua": leftOut}

func leftOut(*target) (sink, error) {
	return nil, errors.New("not in this build, which was made with -tags edge for devices beside the line: build without it")
}
