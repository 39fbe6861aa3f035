"""Writes inferno.json, Inferno's 256 colours, beside itself; with -go prints the 33 anchors of colormap.go. Needs matplotlib.

Inferno is by Nathaniel Smith and Stefan van der Walt, CC0 (matplotlib's _cm_listed.py).
"""
import json
import pathlib
import sys

import matplotlib
import numpy as np

table = np.round(np.array(matplotlib.colormaps["inferno"].colors) * 255).astype(int)
if sys.argv[1:] == ["-go"]:
    for r, g, b in table[np.round(np.linspace(0, 255, 33)).astype(int)]:
        print(f"{{{r}, {g}, {b}, 255}},")
else:
    pathlib.Path(__file__).with_name("inferno.json").write_text(json.dumps(table.tolist()) + "\n")
