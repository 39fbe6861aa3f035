package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
)

// headerLength says how many bytes of a body are JSON; what follows are tensors.
const headerLength = "Inference-Header-Content-Length"

// A jsonRequest is the JSON of a request to infer.
type jsonRequest struct {
	ID         string `json:"id"`
	Parameters struct {
		BinaryDataOutput bool `json:"binary_data_output"`
	} `json:"parameters"`
	Inputs []struct {
		Name       string  `json:"name"`
		Datatype   string  `json:"datatype"`
		Shape      []int64 `json:"shape"`
		Parameters struct {
			BinaryDataSize *int64 `json:"binary_data_size"`
		} `json:"parameters"`
		Data json.RawMessage `json:"data"`
	} `json:"inputs"`
	Outputs []struct {
		Name       string `json:"name"`
		Parameters struct {
			BinaryData *bool `json:"binary_data"`
		} `json:"parameters"`
	} `json:"outputs"`
}

// decodeInference reads a request's body: JSON of a length, all of it if that is
// negative, and binary tensors behind it. It also returns which outputs are wanted
// in binary.
func decodeInference(body []byte, length int) (q *inference, binaries func(output string) bool, err error) {
	head, rest := body, []byte(nil)
	if length >= 0 {
		if length > len(body) {
			return nil, nil, fmt.Errorf("%w: %s: got %d, want at most the body's %d bytes", ErrInput, headerLength, length, len(body))
		}
		head, rest = body[:length], body[length:]
	}
	var j jsonRequest
	if err := json.Unmarshal(head, &j); err != nil {
		return nil, nil, fmt.Errorf("%w: JSON: %w", ErrInput, err)
	}
	if len(j.Inputs) != 1 {
		return nil, nil, fmt.Errorf("%w: got %d inputs, want 1: %q or %q", ErrInput, len(j.Inputs), inputPixels, inputFiles)
	}
	in := &j.Inputs[0]
	q = &inference{id: j.ID, input: tensor{signature: signature{in.Name, in.Datatype, in.Shape}}}
	switch size := in.Parameters.BinaryDataSize; {
	case size == nil && len(rest) > 0:
		return nil, nil, fmt.Errorf("%w: got %d bytes behind the JSON, want none: no input has binary_data_size", ErrInput, len(rest))
	case size == nil:
		err = q.input.readJSON(in.Data)
	case *size != int64(len(rest)):
		return nil, nil, fmt.Errorf("%w: tensor %.128q: got %d bytes behind the JSON, want binary_data_size %d", ErrInput, in.Name, len(rest), *size)
	default:
		err = q.input.readRaw(rest)
	}
	if err != nil {
		return nil, nil, err
	}
	wanted := map[string]bool{}
	for _, o := range j.Outputs {
		q.outputs = append(q.outputs, o.Name)
		wanted[o.Name] = j.Parameters.BinaryDataOutput
		if b := o.Parameters.BinaryData; b != nil {
			wanted[o.Name] = *b
		}
	}
	if len(wanted) < len(q.outputs) {
		return nil, nil, fmt.Errorf("%w: an output is asked for twice", ErrInput)
	}
	return q, func(output string) bool {
		if len(wanted) == 0 {
			return j.Parameters.BinaryDataOutput
		}
		return wanted[output]
	}, nil
}

// readRaw takes values as they lie in memory: numbers little-endian, elements of
// BYTES each behind its length in 4 bytes.
func (t *tensor) readRaw(b []byte) error {
	switch t.Datatype {
	case typeUint8:
		t.bytes = b
	case typeBytes:
		for len(b) > 0 {
			if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
				return fmt.Errorf("%w: tensor %.128q: an element is longer than what is left of the tensor", ErrInput, t.Name)
			}
			n := binary.LittleEndian.Uint32(b)
			t.elements = append(t.elements, b[4:4+n])
			b = b[4+n:]
		}
	default:
		return t.unknown()
	}
	return nil
}

func (t *tensor) unknown() error {
	return fmt.Errorf("%w: tensor %.128q: got datatype %.32q, want %s or %s", ErrInput, t.Name, t.Datatype, typeUint8, typeBytes)
}

// readJSON takes values as JSON, flat or nested: numbers for UINT8, files in base64
// for BYTES.
func (t *tensor) readJSON(data json.RawMessage) error {
	switch t.Datatype {
	case typeUint8:
		return t.readNumbers(data)
	case typeBytes:
		var texts []string
		if err := json.Unmarshal(data, &texts); err != nil {
			return fmt.Errorf("%w: tensor %.128q: want a list of files in base64", ErrInput, t.Name)
		}
		for i, text := range texts {
			file, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return fmt.Errorf("%w: tensor %.128q: element %d: want a file in base64: %w", ErrInput, t.Name, i, err)
			}
			t.elements = append(t.elements, file)
		}
		return nil
	}
	return t.unknown()
}

// readNumbers reads whole numbers from 0 to 255, whatever lists they are in. The
// data is sound JSON.
func (t *tensor) readNumbers(data []byte) error {
	wrong := func(got []byte) error {
		return fmt.Errorf("%w: tensor %.128q: got %.32q, want lists of whole numbers from 0 to 255", ErrInput, t.Name, got)
	}
	if !bytes.HasPrefix(data, []byte("[")) {
		return wrong(data)
	}
	t.bytes = make([]uint8, 0, len(data)/4)
	for i := 0; i < len(data); {
		switch c := data[i]; {
		case c >= '0' && c <= '9':
			n, from := 0, i
			for ; i < len(data) && data[i] >= '0' && data[i] <= '9' && n <= math.MaxUint8; i++ {
				n = 10*n + int(data[i]-'0')
			}
			if n > math.MaxUint8 || i < len(data) && (data[i] == '.' || data[i] == 'e' || data[i] == 'E') {
				return wrong(data[from:])
			}
			t.bytes = append(t.bytes, uint8(n))
		case c == '[' || c == ']' || c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t':
			i++
		default:
			return wrong(data[i:])
		}
	}
	return nil
}

// raw returns values as they lie in memory.
func (t *tensor) raw() []byte {
	if t.Datatype == typeBool {
		b := make([]byte, len(t.bools))
		for i, set := range t.bools {
			if set {
				b[i] = 1
			}
		}
		return b
	}
	b := make([]byte, 0, 4*len(t.floats))
	for _, x := range t.floats {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// appendJSON appends values as a flat list.
func (t *tensor) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '[')
	for i, x := range t.floats {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, fmt.Errorf("%w: output %q has values that are no numbers of JSON: ask for it in binary", ErrState, t.Name)
		}
		b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
	}
	for i, x := range t.bools {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendBool(b, x)
	}
	return append(b, ']'), nil
}

// writeInferred answers over HTTP.
func writeInferred(w http.ResponseWriter, q *inference, a *inferred, binaries func(output string) bool) error {
	type output struct {
		signature
		Parameters map[string]int  `json:"parameters,omitempty"`
		Data       json.RawMessage `json:"data,omitempty"`
	}
	answer := struct {
		ModelName    string   `json:"model_name"`
		ModelVersion string   `json:"model_version"`
		ID           string   `json:"id,omitempty"`
		Outputs      []output `json:"outputs"`
	}{q.model, a.version, q.id, nil}
	var tail [][]byte
	for i := range a.outputs {
		t := &a.outputs[i]
		o := output{signature: t.signature}
		if binaries(t.Name) {
			raw := t.raw()
			o.Parameters = map[string]int{"binary_data_size": len(raw)}
			tail = append(tail, raw)
		} else {
			data, err := t.appendJSON(nil)
			if err != nil {
				return err
			}
			o.Data = data
		}
		answer.Outputs = append(answer.Outputs, o)
	}
	head, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	length := len(head)
	for _, raw := range tail {
		length += len(raw)
	}
	w.Header().Set("Content-Type", "application/json")
	if tail != nil {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set(headerLength, strconv.Itoa(len(head)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.Write(head)
	for _, raw := range tail {
		w.Write(raw)
	}
	return nil
}
