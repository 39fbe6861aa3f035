"""Writes ssim.json, the golden values of the SSIM tests. Needs numpy, scipy and scikit-image.

32x32 images made without any library's random numbers, data range 255. The
means over the valid region are scikit-image's; the same-size ones come from
scipy's convolutions, whose modes reflect, mirror and constant they are named for.
"""
import json
import pathlib

import numpy as np
from scipy.ndimage import convolve1d
from skimage.metrics import structural_similarity

SIDE = 32


def lcg(seed):
    out, s = [], seed
    for _ in range(SIDE * SIDE):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out.append(s >> 24)
    return np.array(out, float).reshape(SIDE, SIDE)


x, z = lcg(1), lcg(7)
y = np.floor(0.75 * x + 32.5)
rows, cols = np.mgrid[0:SIDE, 0:SIDE]
g = ((4 * rows + 3 * cols) % 256).astype(float)
b = g.copy()
b[10:16, 12:20] = 255
pairs = {"X,Y": (x, y), "X,Z": (x, z), "G,B": (g, b), "X,X": (x, x)}

c = np.arange(11) - 5
taps = np.exp(-(c**2) / (2 * 1.5**2))
taps /= taps.sum()


def same_size(a, b, mode):
    def blur(v):
        return convolve1d(convolve1d(v, taps, axis=0, mode=mode), taps, axis=1, mode=mode)

    ma, mb = blur(a), blur(b)
    va, vb, vab = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return ((2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()


def scikit(a, b, **options):
    return structural_similarity(a, b, data_range=255, **options)


wang = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
pathlib.Path(__file__).with_name("ssim.json").write_text(json.dumps({
    "taps": taps[:6].tolist(),
    "sums": {name: v.sum() for name, v in dict(X=x, Y=y, Z=z, G=g, B=b).items()},
    "pairs": {
        name: {
            "gaussian": scikit(*p, **wang),
            "gaussian_sample": scikit(*p, gaussian_weights=True, sigma=1.5),
            "uniform7_sample": scikit(*p),
            "uniform11_sample": scikit(*p, win_size=11),
            "reflect": same_size(*p, "reflect"),
            "mirror": same_size(*p, "mirror"),
            "zero": same_size(*p, "constant"),
        }
        for name, p in pairs.items()
    },
}, indent=1) + "\n")
