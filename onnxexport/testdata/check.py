"""Checks ONNX files and runs them. Needs onnx and onnxruntime; use: check.py FOLDER

FOLDER/<case>/model.onnx is one file, FOLDER/<case>/<run>/<input>.npy are the inputs of one run of it. Every file
must pass onnx.checker with shape inference in its strict mode, and the sizes inferred for its outputs must be those that it
declares. Each run's outputs go to FOLDER/<case>/<run>/out/<output>.npy.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 2  # a warning is a fault of the file, and fails the test that reads stderr


def dims(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


for case in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    path = case / "model.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8, model.ir_version
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)], model.opset_import

    declared = {o.name: (o.type.tensor_type.elem_type, dims(o)) for o in model.graph.output}
    for o in model.graph.output:
        o.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    for o in inferred.graph.output:
        elem, shape = declared[o.name]
        assert o.type.tensor_type.elem_type == elem, (case.name, o.name)
        for got, want in zip(dims(o), shape, strict=True):
            # onnx loses track of the batch in some operators, and then makes up a name.
            assert got == want or want == "N" and isinstance(got, str), (case.name, o.name, dims(o), shape)

    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for run in sorted(p for p in case.iterdir() if p.is_dir()):
        feeds = {i.name: np.load(run / f"{i.name}.npy") for i in session.get_inputs()}
        (run / "out").mkdir()
        for output, value in zip(session.get_outputs(), session.run(None, feeds)):
            np.save(run / "out" / f"{output.name}.npy", value)
