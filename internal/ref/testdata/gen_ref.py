"""Writes ops.json: operands and results of single operators by ONNX Runtime,
checked against onnx's ReferenceEvaluator where that has the operator right.

    .venv/bin/python internal/ref/testdata/gen_ref.py
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(1)
cases = []


def f32(*shape):
    """Multiples of 1/8 in [-2, 2]: ties among them are common."""
    return np.asarray(rng.integers(-16, 17, shape) / 8, np.float32)


def i64(*xs):
    return np.array(xs, np.int64)


def case(name, op, operands, attrs=None, results=1, onnx_ref=True):
    """operands: arrays, or None where omitted. Float operands are fed, int64 vectors are constants."""
    attrs = attrs or {}
    operands = [x if x is None else np.asarray(x) for x in operands]
    inputs, inits, names, feeds = [], [], [], {}
    for i, x in enumerate(operands):
        if x is None:
            names.append("")
            continue
        names.append(f"i{i}")
        if constant(op, i, x):
            inits.append(onnx.numpy_helper.from_array(x, f"i{i}"))
        else:
            inputs.append(helper.make_tensor_value_info(f"i{i}", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape))
            feeds[f"i{i}"] = x
    outs = [f"o{i}" for i in range(results)]
    node = helper.make_node(op, names, outs, **attrs)
    graph = helper.make_graph([node], name, inputs, [helper.make_empty_tensor_value_info(o) for o in outs], inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    got = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)
    if onnx_ref:
        for a, b in zip(got, ReferenceEvaluator(model).run(None, feeds)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
            assert a.shape == b.shape and a.dtype == b.dtype, (name, a.shape, b.shape, a.dtype, b.dtype)
    cases.append({
        "name": name, "op": op, "attrs": attrs,
        "operands": [None if x is None else tensor(x, constant(op, i, x)) for i, x in enumerate(operands)],
        "results": [tensor(x) for x in got],
    })


def constant(op, i, x):
    fed = op in ("ScatterElements", "ScatterND", "GatherElements", "GatherND", "Mod")
    return x.dtype == np.int64 and not fed and i > 0 or op == "Resize" and i > 0


def tensor(x, const=False):
    t = {"dtype": str(x.dtype), "shape": list(x.shape), "data": [round(v, 7) if isinstance(v, float) else v for v in x.ravel().tolist()]}
    if const:
        t["const"] = True
    return t


# Elementwise: broadcasting both ways, scalars, leading dimensions.
a, b = f32(2, 3, 1, 5), f32(3, 4, 1)
for op in ["Add", "Sub", "Mul", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]:
    case(f"{op} broadcast", op, [a, b])
case("Div broadcast", "Div", [a, np.where(b == 0, np.float32(0.5), b)])
case("Add row to matrix", "Add", [f32(4, 3), f32(3)])
case("Add scalar", "Add", [f32(4, 3), f32()])
case("Sub from scalar", "Sub", [f32(), f32(4, 3)])
case("Div int64", "Div", [i64(7, -7, 9), i64(2, 2, -4)], onnx_ref=False)
for op in ["And", "Or"]:
    case(f"{op} broadcast", op, [a > 0, b > 0])
case("Not", "Not", [a > 0])
for op in ["Neg", "Abs", "Sign", "Relu", "Sigmoid", "Identity"]:
    case(op, op, [f32(3, 7)])
case("Sigmoid saturates", "Sigmoid", [np.array([-200, -20, 0, 20, 200], np.float32)], onnx_ref=False)
case("Clip both", "Clip", [f32(3, 7), np.float32(-0.5), np.float32(1)])
case("Clip low only", "Clip", [f32(3, 7), np.float32(0.25)])
case("Clip high only", "Clip", [f32(3, 7), None, np.float32(0.25)])
case("Where broadcast", "Where", [f32(2, 1, 4) > 0, f32(3, 1), f32(2, 3, 4)])
case("Where scalars", "Where", [f32(2, 3) > 0, f32(), f32()])
big = np.array([0, 0.4, 0.5, 0.99, 1, 1.5, 254.9, 255], np.float32)
case("Cast float32 to uint8", "Cast", [big], {"to": TensorProto.UINT8})
case("Cast float32 to int64", "Cast", [np.array([-1.9, -0.5, 0.5, 2.9], np.float32)], {"to": TensorProto.INT64})
case("Cast float32 to bool", "Cast", [np.array([-1.5, 0, 0.25], np.float32)], {"to": TensorProto.BOOL})
case("Cast bool to float32", "Cast", [a > 0], {"to": TensorProto.FLOAT})
case("Cast uint8 to float32", "Cast", [np.array([0, 1, 255], np.uint8)], {"to": TensorProto.FLOAT})
case("Cast int64 to int32", "Cast", [i64(-3, 0, 7)], {"to": TensorProto.INT32})

# Convolutions.
conv = lambda **k: {"kernel_shape": k.pop("kernel"), **k}
case("Conv 3x3 same", "Conv", [f32(2, 3, 5, 7), f32(4, 3, 3, 3), f32(4)], conv(kernel=[3, 3], pads=[1, 1, 1, 1]))
case("Conv no bias", "Conv", [f32(1, 2, 5, 7), f32(3, 2, 2, 3)], conv(kernel=[2, 3]))
case("Conv strides, dilations, uneven pads", "Conv", [f32(2, 2, 9, 11), f32(3, 2, 3, 2), f32(3)],
     conv(kernel=[3, 2], strides=[2, 3], dilations=[2, 1], pads=[2, 0, 1, 3]))
case("Conv groups", "Conv", [f32(2, 6, 5, 4), f32(4, 3, 3, 3), f32(4)], conv(kernel=[3, 3], group=2, pads=[1, 1, 1, 1]))
case("Conv depthwise", "Conv", [f32(1, 3, 6, 5), f32(3, 1, 1, 5)], conv(kernel=[1, 5], group=3))
case("Conv taps beyond the image", "Conv", [f32(1, 1, 1, 2), f32(1, 1, 5, 5)], conv(kernel=[5, 5], pads=[4, 4, 4, 4], strides=[2, 2]))
case("ConvTranspose", "ConvTranspose", [f32(2, 3, 4, 5), f32(3, 2, 3, 3), f32(2)], conv(kernel=[3, 3], pads=[1, 1, 1, 1]), onnx_ref=False)
case("ConvTranspose strides, output_padding, uneven pads", "ConvTranspose", [f32(2, 3, 4, 5), f32(3, 2, 3, 2)],
     conv(kernel=[3, 2], strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2]), onnx_ref=False)
case("ConvTranspose groups, dilations", "ConvTranspose", [f32(1, 4, 4, 5), f32(4, 3, 2, 3), f32(6)],
     conv(kernel=[2, 3], group=2, dilations=[2, 1], strides=[1, 2]), onnx_ref=False)

# Pooling. The reference evaluator numbers Indices within a plane, the standard and ONNX Runtime over all of X.
ties = np.ones((2, 2, 5, 6), np.float32)
pool = lambda k, **a: {"kernel_shape": k, **a}
case("MaxPool 2x2", "MaxPool", [f32(2, 3, 5, 7)], pool([2, 2], strides=[2, 2]), results=2, onnx_ref=False)
case("MaxPool constant image", "MaxPool", [ties], pool([3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), results=2, onnx_ref=False)
case("MaxPool overlapping, uneven pads", "MaxPool", [f32(1, 2, 6, 7)], pool([3, 2], strides=[1, 2], pads=[2, 0, 1, 1]), results=2, onnx_ref=False)
case("MaxPool dilations", "MaxPool", [f32(1, 2, 7, 8)], pool([2, 3], strides=[1, 2], dilations=[3, 2], pads=[1, 1, 1, 1]), results=2, onnx_ref=False)
case("MaxPool one result", "MaxPool", [f32(2, 3, 4, 4)], pool([2, 2], strides=[2, 2]))
case("AveragePool 2x2", "AveragePool", [f32(2, 3, 5, 7)], pool([2, 2], strides=[2, 2]))
case("AveragePool pads not counted", "AveragePool", [f32(1, 2, 6, 7)], pool([3, 3], strides=[2, 1], pads=[1, 0, 2, 1]))
case("AveragePool pads counted", "AveragePool", [f32(1, 2, 6, 7)], pool([3, 3], strides=[2, 1], pads=[1, 0, 2, 1], count_include_pad=1))

# Resize.
asym = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
case("Resize twice, thrice", "Resize", [f32(2, 2, 3, 4), None, np.array([1, 1, 2, 3], np.float32)], asym)
case("Resize by 1.5 and 2.5", "Resize", [f32(1, 2, 5, 4), None, np.array([1, 1, 1.5, 2.5], np.float32)], asym)
case("Resize down", "Resize", [f32(1, 2, 8, 9), None, np.array([1, 1, 0.5, 0.4], np.float32)], asym, onnx_ref=False)
case("Resize to sizes", "Resize", [f32(1, 2, 3, 4), None, None, i64(1, 2, 10, 7)], asym)

# Shapes.
case("Reshape", "Reshape", [f32(2, 3, 4), i64(0, -1, 2)])
case("Reshape to scalar", "Reshape", [f32(1, 1), np.zeros(0, np.int64)])
case("Transpose 4-D", "Transpose", [f32(2, 3, 4, 5)], {"perm": [2, 0, 3, 1]})
case("Transpose NHWC to NCHW uint8", "Transpose", [rng.integers(0, 256, (2, 3, 4, 3), np.uint8)], {"perm": [0, 3, 1, 2]})
case("Concat", "Concat", [f32(2, 1, 3), f32(2, 4, 3), f32(2, 2, 3)], {"axis": 1})
case("Concat last axis", "Concat", [f32(2, 1, 3), f32(2, 1, 2)], {"axis": -1})
case("Slice steps", "Slice", [f32(5, 9), i64(1, 7), i64(5, 0), i64(0, 1), i64(2, -3)])
case("Slice backwards to the start", "Slice", [f32(3, 5), i64(-1), i64(-(1 << 31)), i64(-1), i64(-1)])
case("Slice bounds beyond", "Slice", [f32(4, 5), i64(-9, 2), i64(9, 99)])
case("Slice empty", "Slice", [f32(4, 5), i64(3), i64(1), i64(1)])
case("Slice middle axis", "Slice", [f32(3, 6, 4), i64(1), i64(-1), i64(1), i64(2)])
for mode in ["constant", "reflect", "edge"]:
    case(f"Pad {mode}", "Pad", [f32(2, 1, 4, 5), i64(0, 0, 2, 3, 0, 0, 1, 0)], {"mode": mode})
case("Pad with a value", "Pad", [f32(2, 3), i64(1, 0, 0, 2), np.float32(1.5)])
case("Pad outer axis", "Pad", [f32(2, 3), i64(1, 0, 2, 0)])
case("Pad negative", "Pad", [f32(4, 5), i64(-1, 2, 0, -3)], onnx_ref=False)
case("Expand", "Expand", [f32(3, 1), i64(2, 1, 4)])
case("Expand keeps larger", "Expand", [f32(3, 4), i64(1, 1)])
case("Gather", "Gather", [f32(4, 3, 2), i64(2, -1, 0, 2)], {"axis": 1})
case("Gather matrix of indices", "Gather", [f32(4, 3), np.array([[0, 3], [1, 1]], np.int64)])
case("Gather scalar", "Gather", [f32(4, 3), np.array(2, np.int64)], {"axis": 1})
case("ScatterElements", "ScatterElements", [f32(3, 4), np.array([[1, -1], [0, 2]], np.int64), f32(2, 2)], {"axis": 1})
case("ScatterElements add", "ScatterElements", [f32(6), i64(1, 5, 1, 1), f32(4)], {"axis": 0, "reduction": "add"})
case("ScatterElements add, outer axis", "ScatterElements", [f32(3, 3), np.array([[1, 0, 1], [1, 2, -1]], np.int64), f32(2, 3)],
     {"axis": 0, "reduction": "add"})

# Products.
case("MatMul 2-D", "MatMul", [f32(3, 4), f32(4, 5)])
case("MatMul broadcast", "MatMul", [f32(2, 1, 3, 4), f32(3, 4, 2)])
case("MatMul row by column", "MatMul", [f32(1, 4), f32(4, 1)])
case("MatMul column by row", "MatMul", [f32(4, 1), f32(1, 3)])
for ta in [0, 1]:
    for tb in [0, 1]:
        for m, k, n in [(3, 4, 5), (1, 4, 2), (3, 1, 2), (3, 4, 1), (1, 1, 1)]:
            case(f"Gemm {m}x{k}x{n} transA={ta} transB={tb}", "Gemm", [f32(*((k, m) if ta else (m, k))), f32(*((n, k) if tb else (k, n)))],
                 {"transA": ta, "transB": tb})
case("Gemm alpha, beta, row", "Gemm", [f32(3, 4), f32(4, 5), f32(5)], {"alpha": 0.5, "beta": 2.0})
case("Gemm column", "Gemm", [f32(3, 4), f32(4, 5), f32(3, 1)])

# Reductions.
for op in ["ReduceSum", "ReduceMean", "ReduceMax"]:
    case(f"{op} all", op, [f32(2, 3, 4)], {"keepdims": 0})
    case(f"{op} middle", op, [f32(2, 3, 4), i64(1)], {"keepdims": 1})
    case(f"{op} outer and inner", op, [f32(2, 3, 4), i64(0, -1)], {"keepdims": 0})
    case(f"{op} first", op, [f32(5, 3), i64(0)], {"keepdims": 0})
    case(f"{op} no axes, no operation", op, [f32(2, 3)], {"keepdims": 0, "noop_with_empty_axes": 1}, onnx_ref=False)
case("ReduceSum int64", "ReduceSum", [np.arange(6).reshape(2, 3), i64(1)], {"keepdims": 0})

# Activations and curves.
for op in ["Tanh", "Softplus", "Exp", "Erf"]:
    case(op, op, [f32(3, 7)])
case("Softplus far out", "Softplus", [np.array([-200, -20, 0, 20, 200], np.float32)], onnx_ref=False)
case("Erf far out", "Erf", [np.array([-6, -4, 0, 4, 6], np.float32)])
for op in ["Log", "Sqrt"]:
    case(op, op, [f32(3, 7) + np.float32(2.125)])
case("LeakyRelu", "LeakyRelu", [f32(3, 7)])
case("LeakyRelu alpha", "LeakyRelu", [f32(3, 7)], {"alpha": 0.25})
case("Elu", "Elu", [f32(3, 7)])
case("Elu alpha", "Elu", [f32(3, 7)], {"alpha": 0.5})
case("Pow", "Pow", [f32(3, 4) + np.float32(2.125), f32(3, 4)])
case("Pow broadcast", "Pow", [f32(3, 1), np.array([0, 1, 2, 3], np.float32)])
case("Pow at zero", "Pow", [np.zeros(3, np.float32), np.array([0, 0.5, 2], np.float32)])
case("Softmax", "Softmax", [f32(3, 7)])
case("Softmax middle axis", "Softmax", [f32(2, 3, 4)], {"axis": 1})
case("Softmax far out", "Softmax", [np.array([[-1000, 0, 999, 1000]], np.float32)], {"axis": -1})
for op in ["Max", "Min"]:
    case(f"{op} broadcast", op, [a, b])
    case(f"{op} of three", op, [f32(3, 4), f32(4), f32(3, 1)])
    case(f"{op} of one", op, [f32(3, 4)])
    case(f"{op} int64", op, [i64(1, -2, 3), i64(0, 0, 5)])
case("GlobalAveragePool", "GlobalAveragePool", [f32(2, 3, 4, 5)])

# Blocks and pieces.
case("DepthToSpace", "DepthToSpace", [f32(2, 12, 2, 3)], {"blocksize": 2})
case("DepthToSpace CRD", "DepthToSpace", [f32(2, 12, 2, 3)], {"blocksize": 2, "mode": "CRD"})
case("DepthToSpace by 3", "DepthToSpace", [f32(1, 9, 1, 2)], {"blocksize": 3, "mode": "DCR"})
case("SpaceToDepth", "SpaceToDepth", [f32(2, 3, 4, 6)], {"blocksize": 2})
case("SpaceToDepth by 3", "SpaceToDepth", [f32(1, 2, 3, 6)], {"blocksize": 3})
case("Split lengths", "Split", [f32(2, 6, 3), i64(1, 3, 2)], {"axis": 1}, results=3)
case("Split last axis, one empty", "Split", [f32(2, 5), i64(4, 0, 1)], {"axis": -1}, results=3)
case("Split num_outputs", "Split", [f32(6, 2)], {"num_outputs": 3}, results=3)
case("Split num_outputs leaves a rest", "Split", [f32(2, 7)], {"axis": 1, "num_outputs": 3}, results=3, onnx_ref=False)

# Linear resize. With antialias the reference evaluator has other rules at the border.
linear = lambda at="half_pixel", **k: {"mode": "linear", "coordinate_transformation_mode": at, **k}
for at in ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]:
    case(f"Resize linear up {at}", "Resize", [f32(2, 2, 3, 4), None, None, i64(2, 2, 7, 6)], linear(at))
    case(f"Resize linear down {at}", "Resize", [f32(1, 2, 8, 9), None, None, i64(1, 2, 3, 5)], linear(at))
    case(f"Resize linear to a pixel {at}", "Resize", [f32(1, 2, 4, 5), None, None, i64(1, 2, 1, 1)], linear(at), onnx_ref=at != "align_corners")
case("Resize linear twice, thrice", "Resize", [f32(2, 2, 3, 4), None, np.array([1, 1, 2, 3], np.float32)], linear())
case("Resize linear by 2.3 and 0.6", "Resize", [f32(1, 2, 3, 9), None, np.array([1, 1, 2.3, 0.6], np.float32)], linear())
case("Resize linear of one pixel", "Resize", [f32(1, 2, 1, 1), None, None, i64(1, 2, 3, 2)], linear())
case("Resize linear along axes", "Resize", [f32(2, 3, 4, 5), None, None, i64(6, 3)], linear(axes=[2, 3]))
case("Resize linear along other axes", "Resize", [f32(1, 2, 4, 5), None, None, i64(9, 3)], linear(axes=[3, 2]), onnx_ref=False)
for exclude in [0, 1]:
    case(f"Resize antialias down, exclude_outside {exclude}", "Resize", [f32(1, 2, 9, 11), None, None, i64(1, 2, 4, 3)],
         linear(antialias=1, exclude_outside=exclude), onnx_ref=False)
    case(f"Resize antialias up and down, exclude_outside {exclude}", "Resize", [f32(1, 2, 4, 11), None, None, i64(1, 2, 7, 5)],
         linear(antialias=1, exclude_outside=exclude), onnx_ref=False)
case("Resize antialias by 0.3", "Resize", [f32(1, 1, 10, 7), None, np.array([1, 1, 0.3, 0.45], np.float32)],
     linear(antialias=1, exclude_outside=1), onnx_ref=False)

# What is known only when a graph runs.
case("Shape", "Shape", [f32(2, 3, 4)])
case("Shape of a scalar", "Shape", [f32()])
case("Shape from 1", "Shape", [f32(2, 3, 4)], {"start": 1})
case("Shape before the last, uint8", "Shape", [np.zeros((5, 2, 3), np.uint8)], {"start": -9, "end": -1})
case("Shape, nothing of it", "Shape", [f32(2, 3, 4)], {"start": 2, "end": 1})
case("Range int64", "Range", [i64(1)[0], i64(12)[0], i64(2)[0]])
case("Range downwards", "Range", [i64(3)[0], i64(-4)[0], i64(-3)[0]])
case("Range of nothing", "Range", [i64(3)[0], i64(3)[0], i64(1)[0]])
case("Range float32", "Range", [np.float32(-1), np.float32(1.125), np.float32(0.25)])
case("Floor", "Floor", [f32(3, 7)])

# Nearest resize in all ways, cubic resize.
for at in ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]:
    for rule in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]:
        near = {"mode": "nearest", "coordinate_transformation_mode": at, "nearest_mode": rule}
        op = (5, 9) if at != "align_corners" else (5, 7)  # whose quotients are exact enough for all
        case(f"Resize nearest {at} {rule}", "Resize", [f32(1, 2, 3, 4), None, None, i64(1, 2, *op)], near, onnx_ref=False)
        case(f"Resize nearest down {at} {rule}", "Resize", [f32(1, 1, 8, 9), None, None, i64(1, 1, 5, 4)], near, onnx_ref=False)
case("Resize nearest defaults", "Resize", [f32(1, 2, 3, 4), None, np.array([1, 1, 2, 2.5], np.float32)])
cubic = lambda at="half_pixel", **k: {"mode": "cubic", "coordinate_transformation_mode": at, **k}
for at in ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]:
    case(f"Resize cubic {at}", "Resize", [f32(1, 2, 4, 5), None, None, i64(1, 2, 9, 3)], cubic(at), onnx_ref=False)
case("Resize cubic a", "Resize", [f32(1, 1, 4, 5), None, None, i64(1, 1, 7, 8)], cubic(cubic_coeff_a=-0.5))
case("Resize cubic exclude_outside", "Resize", [f32(1, 1, 4, 5), None, None, i64(1, 1, 7, 8)], cubic(exclude_outside=1))
case("Resize cubic antialias", "Resize", [f32(1, 1, 9, 11), None, None, i64(1, 1, 4, 5)], cubic(antialias=1, exclude_outside=1), onnx_ref=False)

# Inference alone.
for op in ["Ceil", "Round", "Sin", "Cos", "Atan"]:
    case(op, op, [f32(3, 7)])
case("Round ties", "Round", [np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)])
for t in [np.int32, np.int64]:
    case(f"Mod {t.__name__}", "Mod", [np.array([7, -7, 7, -7], t), np.array([3, 3, -3, -3], t)])
    case(f"Mod {t.__name__} fmod", "Mod", [np.array([7, -7, 7, -7], t), np.array([3, 3, -3, -3], t)], {"fmod": 1})
case("Mod uint8", "Mod", [np.array([7, 200, 3], np.uint8), np.array([3], np.uint8)])
case("Mod float32 fmod", "Mod", [f32(3, 4), np.array([0.5, -1.5, 2, 0.75], np.float32)], {"fmod": 1})
case("ReduceProd", "ReduceProd", [f32(2, 3, 4), i64(1)], {"keepdims": 0})
case("ReduceProd of nothing", "ReduceProd", [np.zeros((2, 0), np.float32), i64(1)])
for t in [np.int32, np.int64]:
    case(f"ReduceMax of nothing {t.__name__}", "ReduceMax", [np.zeros((2, 0), t), i64(1)], onnx_ref=False)
case("ReduceProd all", "ReduceProd", [f32(2, 3)])
for op in ["ArgMax", "ArgMin"]:
    case(op, op, [f32(3, 4, 5)])
    case(f"{op} middle", op, [f32(3, 9, 5)], {"axis": 1, "keepdims": 0})
    case(f"{op} last of equals", op, [np.ones((2, 3), np.float32)], {"axis": -1, "select_last_index": 1})
    case(f"{op} int32", op, [np.array([[3, 1, 3], [1, 0, 0]], np.int32)], {"axis": 1})
case("TopK", "TopK", [f32(3, 9), i64(4)], results=2)
case("TopK smallest, middle axis", "TopK", [f32(2, 7, 3), i64(2)], {"axis": 1, "largest": 0}, results=2)
case("TopK int64", "TopK", [np.array([5, 1, 5, 9]), i64(3)], results=2)
case("GatherElements", "GatherElements", [f32(3, 4), np.array([[1, -1, 0], [0, 2, 2]], np.int64)], {"axis": 1}, onnx_ref=False)
case("GatherElements outer axis", "GatherElements", [f32(3, 4), np.array([[1, -1, 0, 2]], np.int32)], onnx_ref=False)
case("GatherND", "GatherND", [f32(3, 4), np.array([[0, 1], [2, -1]], np.int64)])
case("GatherND rows", "GatherND", [f32(3, 4, 2), np.array([[[2], [0]], [[1], [1]]], np.int64)])
case("ScatterND", "ScatterND", [f32(3, 4), np.array([[0, 1], [2, -1]], np.int64), f32(2)])
case("ScatterND rows", "ScatterND", [f32(3, 4), np.array([[2], [0]], np.int64), f32(2, 4)])

here = pathlib.Path(__file__).parent
with open(here / "ops.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "cases")
