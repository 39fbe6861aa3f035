"""Writes the .npy files of npy_test.go: python gen_npy.py (needs numpy)."""

import pathlib

import numpy as np

here = pathlib.Path(__file__).parent
ramp = np.arange(24).reshape(2, 3, 4)

for name in ["bool", "uint8", "uint16", "int32", "int64", "float32", "float64"]:
    a = ramp % 2 == 1 if name == "bool" else ramp.astype(name)
    np.save(here / f"{name}.npy", a)
np.save(here / "vector.npy", np.array([0.5, -1.25, 3], np.float32))
np.save(here / "scalar.npy", np.array(7, np.int32))
np.save(here / "empty.npy", np.zeros((0, 4), np.uint8))

for version in [(2, 0), (3, 0)]:
    with open(here / f"version{version[0]}.npy", "wb") as f:
        np.lib.format.write_array(f, ramp.astype(np.uint8), version=version)

# What must be refused.
np.save(here / "fortran.npy", np.asfortranarray(ramp.astype(np.float32)))
np.save(here / "bigendian.npy", ramp.astype(">f4"))
np.save(here / "complex.npy", ramp.astype(np.complex64))
np.save(here / "struct.npy", np.zeros(3, [("a", "<f4"), ("b", "|u1")]))
