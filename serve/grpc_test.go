package serve

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/oippb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// dial serves gRPC and returns how to call a method of it.
func dial(t testing.TB, s *Server) func(ctx context.Context, method string, q, a proto.Message) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.grpc.Serve(l)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func(ctx context.Context, method string, q, a proto.Message) error {
		return conn.Invoke(ctx, "/"+serviceName+"/"+method, q, a)
	}
}

func TestGRPC(t *testing.T) {
	s, _, _ := newServer(t, testOptions(), nil)
	call := dial(t, s)
	do := func(method string, q, a proto.Message) {
		t.Helper()
		if err := call(t.Context(), method, q, a); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	}
	var live oippb.ServerLiveResponse
	do("ServerLive", &oippb.ServerLiveRequest{}, &live)
	var ready oippb.ServerReadyResponse
	do("ServerReady", &oippb.ServerReadyRequest{}, &ready)
	var modelReady oippb.ModelReadyResponse
	do("ModelReady", &oippb.ModelReadyRequest{Name: "part"}, &modelReady)
	if !live.Live || !ready.Ready || !modelReady.Ready {
		t.Errorf("live %v, ready %v, model ready %v, want all", live.Live, ready.Ready, modelReady.Ready)
	}
	var server oippb.ServerMetadataResponse
	do("ServerMetadata", &oippb.ServerMetadataRequest{}, &server)
	if server.Name != serverName || len(server.Extensions) == 0 {
		t.Errorf("got %v", &server)
	}
	var model oippb.ModelMetadataResponse
	do("ModelMetadata", &oippb.ModelMetadataRequest{Name: "part"}, &model)
	if len(model.Inputs) != 2 || len(model.Outputs) != 4 || model.Inputs[0].Shape[1] != side {
		t.Errorf("got %v", &model)
	}

	img := testImage(0, 50, 40)
	expected := want(t, modelBytes(t, 1), img)
	file := pngBytes(t, img)
	raw := append(binary.LittleEndian.AppendUint32(nil, uint32(len(file))), file...)
	in := &oippb.ModelInferRequest_InferInputTensor{Name: inputFiles, Datatype: typeBytes, Shape: []int64{1}}
	withContents := proto.CloneOf(in)
	withContents.Contents = &oippb.InferTensorContents{BytesContents: [][]byte{file}}
	for _, q := range []*oippb.ModelInferRequest{
		{ModelName: "part", Id: "a", Inputs: []*oippb.ModelInferRequest_InferInputTensor{in}, RawInputContents: [][]byte{raw}},
		{ModelName: "part", ModelVersion: "1", Id: "a", Inputs: []*oippb.ModelInferRequest_InferInputTensor{withContents}},
	} {
		var a oippb.ModelInferResponse
		do("ModelInfer", q, &a)
		if a.Id != "a" || a.ModelVersion != "1" || len(a.Outputs) != 4 || len(a.RawOutputContents) != 4 {
			t.Fatalf("got %v", &a)
		}
		score := tensor{signature: signature{Datatype: typeFP32}, floats: []float32{expected.Score}}
		if string(a.RawOutputContents[0]) != string(score.raw()) {
			t.Errorf("got score %x, want %v", a.RawOutputContents[0], expected.Score)
		}
		if n := len(a.RawOutputContents[2]); n != 4*side*side {
			t.Errorf("got a map of %d bytes", n)
		}
	}

	var index oippb.RepositoryIndexResponse
	do("RepositoryModelUnload", &oippb.RepositoryModelUnloadRequest{ModelName: "part"}, &oippb.RepositoryModelUnloadResponse{})
	do("RepositoryIndex", &oippb.RepositoryIndexRequest{}, &index)
	if len(index.Models) != 1 || index.Models[0].State != "UNAVAILABLE" {
		t.Errorf("got %v", &index)
	}
	do("RepositoryModelLoad", &oippb.RepositoryModelLoadRequest{ModelName: "part"}, &oippb.RepositoryModelLoadResponse{})
}

func TestGRPCErrors(t *testing.T) {
	o := testOptions()
	o.MaxBody = 100_000
	s, _, _ := newServer(t, o, nil)
	call := dial(t, s)
	one := func(name, datatype string, shape ...int64) []*oippb.ModelInferRequest_InferInputTensor {
		return []*oippb.ModelInferRequest_InferInputTensor{{Name: name, Datatype: datatype, Shape: shape}}
	}
	for _, tt := range []struct {
		name string
		q    *oippb.ModelInferRequest
		code codes.Code
	}{
		{"nothing", &oippb.ModelInferRequest{ModelName: "part"}, codes.InvalidArgument},
		{"no model", &oippb.ModelInferRequest{ModelName: "../part", Inputs: one(inputFiles, typeBytes, 1)}, codes.NotFound},
		{"no contents", &oippb.ModelInferRequest{ModelName: "part", Inputs: one(inputPixels, typeUint8, 1, side, side, 3)}, codes.InvalidArgument},
		{"two contents", &oippb.ModelInferRequest{ModelName: "part", Inputs: one(inputPixels, typeUint8, 1), RawInputContents: [][]byte{{1}, {2}}}, codes.InvalidArgument},
		{"another type", &oippb.ModelInferRequest{ModelName: "part", Inputs: one(inputPixels, "FP64", 1)}, codes.InvalidArgument},
		{"too large", &oippb.ModelInferRequest{ModelName: "part", Inputs: one(inputPixels, typeUint8, 1), RawInputContents: [][]byte{make([]byte, 200_000)}}, codes.ResourceExhausted},
		{"shape", &oippb.ModelInferRequest{ModelName: "part", Inputs: one(inputPixels, typeUint8, -1, 1<<40, 1<<40), RawInputContents: [][]byte{{1}}}, codes.InvalidArgument},
		{"element", &oippb.ModelInferRequest{ModelName: "part", Inputs: one(inputFiles, typeBytes, 1), RawInputContents: [][]byte{{255, 255, 255, 255}}}, codes.InvalidArgument},
		{"no image", &oippb.ModelInferRequest{ModelName: "part", Inputs: one(inputFiles, typeBytes, 1), RawInputContents: [][]byte{{1, 0, 0, 0, 7}}}, codes.InvalidArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := call(t.Context(), "ModelInfer", tt.q, &oippb.ModelInferResponse{}); status.Code(err) != tt.code {
				t.Errorf("got %v, want %v", err, tt.code)
			}
		})
	}
	if running, waiting := s.admission.counts(); running+waiting != 0 {
		eventually(t, "the end of all turns", func() bool { r, w := s.admission.counts(); return r+w == 0 })
	}
}

func TestGRPCTokens(t *testing.T) {
	o := testOptions()
	o.OpenAdmin, o.Credentials.Tokens = false, written(t, "line infer 0123456789abcdef\nops admin fedcba9876543210\n")
	s, _, _ := newServer(t, o, nil)
	call := dial(t, s)
	as := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	unload := func(ctx context.Context) error {
		return call(ctx, "RepositoryModelUnload", &oippb.RepositoryModelUnloadRequest{ModelName: "part"}, &oippb.RepositoryModelUnloadResponse{})
	}
	if err := call(t.Context(), "ServerLive", &oippb.ServerLiveRequest{}, &oippb.ServerLiveResponse{}); err != nil {
		t.Errorf("health without a token: %v", err)
	}
	if err := unload(t.Context()); status.Code(err) != codes.Unauthenticated {
		t.Errorf("no token: got %v", err)
	}
	if err := unload(as("0123456789abcdef")); status.Code(err) != codes.PermissionDenied {
		t.Errorf("token without admin: got %v", err)
	}
	if err := unload(as("fedcba9876543210")); err != nil {
		t.Errorf("token with admin: got %v", err)
	}
	if err := unload(as("fedcba9876543211")); status.Code(err) != codes.Unauthenticated || strings.Contains(err.Error(), "fedcba") {
		t.Errorf("unknown token: got %v", err)
	}
}
