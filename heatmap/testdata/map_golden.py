"""Writes map.json, the golden values of Resize and Blur. Needs numpy, scipy and Pillow.

The map is 7x5 integer noise. Pillow's BILINEAR is the triangle filter, widened
when it shrinks; scipy's gaussian_filter has the same radius and border.
"""
import json
import pathlib

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

H, W = 7, 5
s, values = 5, []
for _ in range(H * W):
    s = (1664525 * s + 1013904223) & 0xFFFFFFFF
    values.append(s >> 24)
m = np.array(values, np.float32).reshape(H, W)


def resize(h, w):
    return np.asarray(Image.fromarray(m).resize((w, h), Image.BILINEAR)).ravel().tolist()


pathlib.Path(__file__).with_name("map.json").write_text(json.dumps({
    "map": m.ravel().tolist(),
    "resize": [
        {"height": h, "width": w, "data": resize(h, w)}
        for h, w in [(7, 5), (14, 10), (10, 13), (4, 3), (3, 9), (20, 2), (1, 1)]
    ],
    "blur": [
        {"sigma": sigma, "data": gaussian_filter(m.astype(float), sigma, mode="reflect", truncate=4).ravel().tolist()}
        for sigma in (0.1, 0.5, 1, 2.5, 6)
    ],
}) + "\n")
