"""Writes ONNX's own backend tests as files: onnx_tests.py FOLDER VERSION. Needs onnx of that version.

Since 1.17 the package computes its node tests when asked and carries only the others. FOLDER gets,
per test, KIND/NAME/model.onnx and KIND/NAME/<set>.npz with the arrays input_0… and output_0… in the
graph's order, and index.json: for each test its operators, those of subgraphs and functions
included, its tolerances, and how many sets it has: 0 where a type is none of PLAIN. The tests of
kind "real", whose models are "light" (constant weights), take ramps as inputs, as onnx's runner
gives them.
"""
import json
import os
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests
from onnx.backend.test.runner import Runner

PLAIN = {"float16", "float32", "float64", "uint8", "int32", "int64", "bool"}
# The newest format that is declared: later ones brought element types that no test below has, and
# runtimes refuse what is newer than they are.
IR = 10


def operators(nodes):
    for n in nodes:
        yield n.op_type if n.domain in ("", "ai.onnx") else f"{n.domain}.{n.op_type}"
        for a in n.attribute:
            for g in [a.g, *a.graphs]:
                yield from operators(g.node)


def type_name(t):
    kind = t.WhichOneof("value")
    if kind != "tensor_type":
        return kind.removesuffix("_type")
    return onnx.helper.tensor_dtype_to_np_dtype(t.tensor_type.elem_type).name


def array(x):
    if isinstance(x, onnx.TensorProto):
        x = numpy_helper.to_array(x)
    # Package runtime takes and gives float16 as float32.
    return np.asarray(x, order="C", dtype=np.float32 if x.dtype == np.float16 else None)


def load(path, kind):
    with open(path, "rb") as f:
        if kind.WhichOneof("value") != "tensor_type":
            return None
        return onnx.load_tensor_from_string(f.read())


def from_files(test, feeds, outputs):
    """The data sets that lie beside a model, or the ramp and the output of a light one."""
    if test.url:
        prefix = os.path.join(DATA_DIR, "light", os.path.splitext(os.path.basename(test.url))[0])
        yield [Runner.generate_dummy_data(v) for v in feeds], [load(f"{prefix}_output_0.pb", outputs[0].type)]
        return
    for folder in sorted(d for d in os.listdir(test.model_dir) if d.startswith("test_data_set_")):
        yield tuple([load(os.path.join(test.model_dir, folder, f"{what}_{i}.pb"), v.type) for i, v in enumerate(values)
                     if os.path.exists(os.path.join(test.model_dir, folder, f"{what}_{i}.pb"))]
                    for what, values in (("input", feeds), ("output", outputs)))


def model_of(test):
    if test.model is not None:
        return test.model
    if test.url:
        return onnx.load(os.path.join(DATA_DIR, "light", os.path.basename(test.url)))
    return onnx.load(os.path.join(test.model_dir, "model.onnx"))


def write(folder, kind, test):
    model = model_of(test)
    model.ir_version = min(model.ir_version, IR)
    weights = {t.name for t in model.graph.initializer}
    feeds = [v for v in model.graph.input if v.name not in weights]
    outputs = list(model.graph.output)
    types = sorted({type_name(v.type) for v in feeds + outputs})
    nodes = [*model.graph.node, *(n for f in model.functions for n in f.node)]
    case = {"kind": kind, "name": test.name, "operators": sorted(set(operators(nodes))),
            "rtol": test.rtol, "atol": test.atol, "sets": 0}
    if not PLAIN.issuperset(types):
        return case
    path = os.path.join(folder, kind, test.name)
    os.makedirs(path)
    onnx.save(model, os.path.join(path, "model.onnx"))
    for inputs, wanted in test.data_sets or from_files(test, feeds, outputs):
        arrays = {f"{what}_{i}": array(x) for what, xs in (("input", inputs), ("output", wanted)) for i, x in enumerate(xs)}
        np.savez_compressed(os.path.join(path, str(case["sets"])), **arrays)
        case["sets"] += 1
    return case


def main(folder, version):
    if onnx.__version__ != version:
        sys.exit(f"got onnx {onnx.__version__}, want {version}")
    warnings.simplefilter("ignore")  # overflows that the tests are about
    index = [write(folder, kind, test)
             for kind in ("node", "pytorch-converted", "pytorch-operator", "simple", "real")
             for test in sorted(load_model_tests(kind=kind), key=lambda t: t.name)]
    with open(os.path.join(folder, "index.json"), "w") as f:
        json.dump(index, f, indent=1)


main(*sys.argv[1:])
