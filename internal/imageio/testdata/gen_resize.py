"""Writes the goldens of resize_test.go: python gen_resize.py (needs Pillow 12).

From 13 on, Pillow resizes columns first where the height shrinks more than the
width; rounding to 8 bit between the passes then differs by 1/255.

The sources are noise that the test makes again by itself (noise below), so only
Pillow's results are kept, as PNG. A name says mode, source and target size,
width first: RGB_97x61_32x32.png.
"""

import pathlib

from PIL import Image

here = pathlib.Path(__file__).parent / "resize"

SIZES = [
    ((28, 28), (32, 32)),  # MNIST's
    ((97, 61), (32, 32)),  # odd sizes, shrinking by no integer
    ((61, 97), (64, 16)),
    ((200, 3), (16, 7)),  # shrinks across, grows down
    ((5, 7), (31, 17)),  # grows
    ((64, 48), (32, 24)),  # halves
    ((40, 30), (40, 10)),  # one pass only
    ((40, 30), (13, 30)),
    ((33, 21), (33, 21)),  # none
    ((1, 1), (4, 3)),  # a single pixel
    ((150, 131), (1, 1)),
    ((300, 200), (2, 100)),
]


def noise(mode, size):
    """Bytes of a linear congruential generator, most of them black or white, so
    that weights which add up to more or less than 1 are seen."""
    state, out = 1, bytearray()
    for _ in range(size[0] * size[1] * len(mode)):
        state = (state * 1664525 + 1013904223) % 2**32
        v = state >> 24
        out.append(0 if v < 80 else 255 if v > 175 else v)
    return Image.frombytes(mode, size, bytes(out))


for source, target in SIZES:
    for mode, to in [("RGB", "RGB"), ("L", "L"), ("RGB", "L")]:
        img = noise(mode, source).convert(to).resize(target, Image.BILINEAR)
        name = f"{mode}{'_as_L' if mode != to else ''}_{source[0]}x{source[1]}_{target[0]}x{target[1]}.png"
        img.save(here / name)
