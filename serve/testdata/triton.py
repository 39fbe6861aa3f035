"""Asks a running `anomaly serve` everything that tritonclient can, over both transports.

    python triton.py HTTP_ADDRESS GRPC_ADDRESS MODEL IMAGE
"""
import sys

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

http_address, grpc_address, model, path = sys.argv[1:]
image = open(path, "rb").read()
scores = {}


def field(answer, name):
    """Metadata are dictionaries over HTTP and messages over gRPC."""
    return answer[name] if isinstance(answer, dict) else getattr(answer, name)


def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except InferenceServerException as e:
        return str(e)
    raise AssertionError(f"{call.__name__}{args} was not refused")


for kind, client, module in [
    ("http", triton_http.InferenceServerClient(http_address), triton_http),
    ("grpc", triton_grpc.InferenceServerClient(grpc_address), triton_grpc),
]:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
    assert field(client.get_server_metadata(), "name") == "anomaly"
    metadata = client.get_model_metadata(model)
    version = field(metadata, "versions")[0]
    inputs = {field(t, "name"): field(t, "shape") for t in field(metadata, "inputs")}
    outputs = [field(t, "name") for t in field(metadata, "outputs")]
    assert outputs == ["pred_score", "pred_label", "anomaly_map", "pred_mask"], outputs
    height, width, channels = (int(n) for n in inputs["input"][1:])

    index = client.get_model_repository_index()
    entries = index if isinstance(index, list) else index.models
    assert any(field(e, "name") == model and field(e, "state") == "READY" for e in entries), entries

    # Encoded files, as many as fit a call.
    files = module.InferInput("image", [2], "BYTES")
    files.set_data_from_numpy(np.array([image, image], dtype=np.object_))
    r = client.infer(model, [files], request_id="7")
    score, label = r.as_numpy("pred_score"), r.as_numpy("pred_label")
    maps, masks = r.as_numpy("anomaly_map"), r.as_numpy("pred_mask")
    assert score.dtype == np.float32 and score.shape == (2,) and score[0] == score[1]
    assert label.dtype == np.bool_ and maps.shape == masks.shape == (2, 1, height, width)
    assert np.isclose(maps[0].max(), score[0]), (maps[0].max(), score[0])
    assert field(r.get_response(), "id") == "7"

    # Pixels, in binary and (HTTP alone) as JSON; one output of four.
    pixels = np.random.default_rng(1).integers(0, 256, (3, height, width, channels), dtype=np.uint8)
    found = []
    for binary in [True, False] if kind == "http" else [None]:
        kwargs = {} if binary is None else {"binary_data": binary}
        tensor = module.InferInput("input", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels, **({} if binary is None else {"binary_data": binary}))
        wanted = [module.InferRequestedOutput("pred_score", **kwargs)]
        r = client.infer(model, [tensor], outputs=wanted, model_version=version)
        assert r.as_numpy("anomaly_map") is None
        found.append(r.as_numpy("pred_score"))
    assert all(np.array_equal(f, found[0]) for f in found)
    scores[kind] = np.concatenate([score, found[0]])

    bad = module.InferInput("input", [1, 2, 2, channels], "UINT8")
    bad.set_data_from_numpy(np.zeros((1, 2, 2, channels), np.uint8))
    assert "want [1 " in refused(client.infer, model, [bad])
    assert "no model" in refused(client.get_model_metadata, "another")
    assert "not loaded" in refused(client.get_model_metadata, model, "99")

    client.unload_model(model)
    assert not client.is_model_ready(model)
    assert "unloaded" in refused(client.infer, model, [files])
    client.load_model(model)
    assert client.is_model_ready(model)

assert np.array_equal(scores["http"], scores["grpc"])
print("tritonclient: both transports agree:", scores["http"])
