"""Writes import.json: models of single operators, and of a few, as other tools
write them in the opsets there are, with their results by ONNX Runtime.

    .venv/bin/python onnxexport/testdata/gen_import.py

A case has the file, its inputs and its outputs. Weights and shapes are
initializers or Constant nodes, so that what is tested is what files hold.
"""

import base64
import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper, numpy_helper

rng = np.random.default_rng(1)
cases = []


def f32(*shape):
    """Multiples of 1/8 in [-2, 2]."""
    return np.asarray(rng.integers(-16, 17, shape) / 8, np.float32)


def i64(*xs):
    return np.array(xs, np.int64)


def node(op, ins, outs, **attrs):
    return helper.make_node(op, ins.split(",") if ins else [], outs.split(","), **attrs)


def model(name, opset, nodes, feeds, inits=(), outputs="y", ir=8):
    """feeds: arrays by name, whose dimensions the file leaves open."""
    inputs = []
    for k, x in feeds.items():
        shape = [f"{k}{i}" for i in range(x.ndim)]
        inputs.append(helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(x.dtype), shape))
    inits = [numpy_helper.from_array(np.asarray(x), k) for k, x in dict(inits).items()]
    if ir < 4:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in inits]
    outs = [helper.make_empty_tensor_value_info(o) for o in outputs.split(",")]
    graph = helper.make_graph(nodes, name, inputs, outs, inits)
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    m = onnx.shape_inference.infer_shapes(m)
    for o in m.graph.output:  # only the type: the shape is the reader's to find
        o.type.tensor_type.ClearField("shape")
        o.type.tensor_type.elem_type = o.type.tensor_type.elem_type or T.FLOAT
    o = ort.SessionOptions()
    o.log_severity_level = 3
    s = ort.InferenceSession(m.SerializeToString(), o, providers=["CPUExecutionProvider"])
    results = s.run(None, feeds)
    cases.append({
        "name": f"{name}, opset {opset}", "file": base64.b64encode(m.SerializeToString()).decode(),
        "inputs": {k: tensor(x) for k, x in feeds.items()},
        "outputs": {o.name: tensor(x) for o, x in zip(s.get_outputs(), results)},
    })


def case(op, opset, feeds, operands=(), results=1, name=None, ir=8, **attrs):
    """One operator: feeds are its first operands, the others initializers, None where omitted."""
    feeds = {f"x{i}": np.asarray(x) for i, x in enumerate(feeds)}
    names, inits = list(feeds), {}
    for i, x in enumerate(operands):
        names.append("" if x is None else f"w{i}")
        if x is not None:
            inits[f"w{i}"] = x
    outs = [f"y{i}" for i in range(results)]
    label = name or op + "".join(f" {k}={v}" for k, v in attrs.items())
    model(label, opset, [helper.make_node(op, names, outs, **attrs)], feeds, inits, ",".join(outs), ir=ir)


def tensor(x):
    data = [float(v) for v in x.ravel().tolist()]
    return {"dtype": str(x.dtype), "shape": list(x.shape), "data": [round(v, 7) if np.isfinite(v) else str(v) for v in data]}


image = f32(2, 3, 5, 4)

# What was an attribute, and is an operand.
for opset in [7, 11, 13, 18]:
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"]:
        operand = opset >= (13 if op == "ReduceSum" else 18)
        case(op, opset, [image], [i64(-1, 1)] if operand else [], keepdims=0, **({} if operand else {"axes": [-1, 1]}))
case("ReduceLogSum", 18, [np.abs(image) + np.float32(1)], [i64(2)])
case("ReduceMin", 18, [np.arange(6, dtype=np.uint8).reshape(2, 3)], [i64(1)])
for op in ["ReduceMax", "ReduceMin"]:
    case(op, 20, [image > 0], [i64(1)], name=f"{op} bool")
case("ReduceMin", 13, [np.arange(-3, 3).reshape(2, 3)], axes=[0])
for opset in [7, 11, 13, 21]:
    old = opset < 13
    case("Squeeze", opset, [f32(2, 1, 3, 1)], [] if old else [i64(1)], **({"axes": [1]} if old else {}))
    case("Unsqueeze", opset, [f32(2, 3)], [] if old else [i64(0, -1)], **({"axes": [0, 3] if opset < 11 else [0, -1]} if old else {}))
    case("Split", opset, [f32(6, 2)], results=3, axis=0, **({"num_outputs": 3} if opset >= 18 else {}))
    case("Split", opset, [f32(2, 6)], [] if old else [i64(1, 5)], results=2, axis=1, **({"split": [1, 5]} if old else {}))
case("Squeeze", 13, [f32(1, 2, 1)], name="Squeeze all")
for opset in [7, 10, 11, 13]:
    if opset < 10:
        case("Slice", opset, [image], starts=[1, -3], ends=[3, 1 << 31], axes=[1, 2])
    else:
        case("Slice", opset, [image], [i64(1, -3), i64(3, (1 << 63) - 1), i64(1, 2), i64(1, 2)])
        case("Slice", opset, [image], [np.array([0], np.int32), np.array([2], np.int32), np.array([-1], np.int32)], name="Slice int32")
for opset in [7, 11, 13, 18]:
    bounds = [np.float32(-.5), np.float32(1)]
    case("Clip", opset, [image], [] if opset < 11 else bounds, **({"min": -.5, "max": 1.} if opset < 11 else {}))
    case("Clip", opset, [image], [] if opset < 11 else [None, bounds[1]], name="Clip above", **({"max": 1.} if opset < 11 else {}))
    for mode in ["constant", "reflect", "edge"]:
        pads = [0, 0, 1, 2, 0, 0, 0, 1]
        case("Pad", opset, [image], [] if opset < 11 else [i64(*pads)], mode=mode, **({"pads": pads} if opset < 11 else {}))
case("Pad", 7, [image], pads=[0, 0, 1, 0, 0, 0, 0, 1], value=1.5)
case("Pad", 13, [image], [i64(0, 0, 1, 0, 0, 0, 0, 1), np.float32(1.5)], name="Pad value")
case("Pad", 18, [image], [i64(1, 2, 0, 1), None, i64(2, -1)], name="Pad axes", mode="reflect")
case("TopK", 9, [f32(2, 7)], results=2, k=3)
case("TopK", 10, [f32(2, 7)], [i64(3)], results=2)
case("TopK", 11, [f32(2, 7)], [i64(3)], results=2, largest=0)
for opset in [7, 10, 12, 13, 22]:
    case("Dropout", opset, [image], [np.float32(.3)] if opset >= 12 else [], **({} if opset >= 12 else {"ratio": .3}))
case("Dropout", 13, [image], results=2, name="Dropout mask")

# What changed its meaning.
for opset in [7, 11, 13, 18]:
    for op in ["Softmax", "LogSoftmax"]:
        case(op, opset, [f32(2, 3, 4)])
        case(op, opset, [f32(2, 3, 4)], axis=1)
for opset in [7, 9]:
    for mode in ["nearest", "linear"]:
        if opset < 9:
            case("Upsample", opset, [image], mode=mode, scales=[1., 1., 2., 3.])
        else:
            case("Upsample", opset, [image], [np.array([1, 1, 2, 3], np.float32)], mode=mode)
for mode in ["nearest", "linear"]:
    case("Resize", 10, [image], [np.array([1, 1, 2, 1.5], np.float32)], mode=mode)
    for opset in [11, 13, 18, 19]:
        empty, scales = np.zeros(0, np.float32), np.array([1, 1, 2, 3], np.float32)
        case("Resize", opset, [image], [empty, scales], mode=mode)
        case("Resize", opset, [image], [empty, empty, i64(2, 3, 9, 7)], mode=mode, coordinate_transformation_mode="align_corners", name=f"Resize {mode} to sizes")
case("Resize", 13, [image], [None, np.array([1, 1, 2.5, 2], np.float32)], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
case("Resize", 18, [image], [None, None, i64(7, 9)], mode="linear", axes=[2, 3], antialias=1)
case("Resize", 11, [image], [np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)], mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
case("Resize", 13, [image], [None, np.array([1, 1, 2, 2], np.float32)], mode="cubic", cubic_coeff_a=-.75)
for opset in [7, 9, 14, 15]:
    case("BatchNormalization", opset, [image], [f32(3), f32(3), f32(3), np.abs(f32(3)) + np.float32(.5)], epsilon=1e-3)
case("GroupNormalization", 21, [f32(2, 4, 3)], [f32(4), f32(4)], num_groups=2)
case("InstanceNormalization", 7, [image], [f32(3), f32(3)], epsilon=1e-2)
case("LayerNormalization", 17, [image], [f32(5, 4), f32(5, 4)], axis=2)
case("LayerNormalization", 17, [image], [f32(4)])
case("LayerNormalization", 17, [image], [f32(4), f32(4)], results=3, name="LayerNormalization, mean, deviation")
for window in [3, 5]:
    case("LRN", 13, [f32(2, 7, 3, 2)], size=window, alpha=.5, beta=.6, bias=2.)
for p in [1, 2]:
    case("LpNormalization", 7, [f32(2, 3) + np.float32(4)], p=p, axis=1)

# Elements.
for opset in [7, 9, 14]:
    for op in ["Sum", "Mean", "Max", "Min"]:
        case(op, opset, [f32(2, 3), f32(3), f32(2, 1)] if opset > 7 else [f32(2, 3), f32(2, 3)])
for op in ["Celu", "HardSigmoid", "Selu", "ThresholdedRelu"]:
    case(op, 13, [image])
case("HardSigmoid", 7, [image], alpha=.5, beta=.25)
case("Celu", 13, [image], alpha=.5)
case("ThresholdedRelu", 13, [image], alpha=.5)
for op in ["HardSwish", "Mish", "Softsign", "Gelu"]:
    case(op, {"HardSwish": 14, "Mish": 18, "Softsign": 7, "Gelu": 20}[op], [image])
case("Gelu", 20, [image], approximate="tanh")
case("PRelu", 9, [image], [f32(3, 1, 1)])
case("Reciprocal", 13, [np.abs(image) + np.float32(1)])
case("Xor", 7, [image > 0, image > 1])
odd = np.array([np.nan, np.inf, -np.inf, 0], np.float32)
case("IsNaN", 13, [odd])
for positive in [0, 1]:
    for negative in [0, 1]:
        case("IsInf", 10, [odd], detect_positive=positive, detect_negative=negative)
case("CastLike", 15, [image], [i64(0)])
case("Pow", 13, [image], [i64(2).reshape(())])
case("Pow", 12, [i64(2, 3, 4)], [i64(3).reshape(())], name="Pow int64")
case("Mod", 13, [i64(7, -7)], [i64(3)])
for to in [T.FLOAT16, T.INT64, T.BOOL, T.DOUBLE]:
    model(f"Cast to {to} and back", 13, [node("Cast", "x", "h", to=to), node("Cast", "h", "y", to=T.FLOAT)], {"x": image})

# Windows.
for pad in ["SAME_UPPER", "SAME_LOWER", "VALID"]:
    case("Conv", 11, [image], [f32(2, 3, 2, 3), f32(2)], auto_pad=pad, strides=[2, 1])
    case("MaxPool", 12, [image], auto_pad=pad, kernel_shape=[2, 3], strides=[2, 2])
    case("AveragePool", 11, [image], auto_pad=pad, kernel_shape=[2, 3])
    case("ConvTranspose", 11, [image], [f32(3, 2, 3, 3)], auto_pad=pad, strides=[2, 2])
case("ConvTranspose", 11, [image], [f32(3, 2, 3, 3)], output_shape=[10, 8], strides=[2, 2])
case("Conv", 11, [f32(2, 3, 9)], [f32(4, 3, 3), f32(4)], pads=[1, 2], strides=[2], name="Conv of rows")
case("ConvTranspose", 11, [f32(2, 3, 5)], [f32(3, 4, 3)], strides=[2], output_padding=[1], name="ConvTranspose of rows")
case("MaxPool", 12, [f32(2, 3, 9)], kernel_shape=[3], strides=[2], name="MaxPool of rows")
for k, s, p in [(3, 2, 0), (2, 2, 0), (3, 2, 1), (2, 3, 1)]:
    pool = dict(kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, ceil_mode=1)
    case("MaxPool", 12, [f32(1, 2, 8, 9)], **pool)
    case("AveragePool", 19, [f32(1, 2, 8, 9)], **pool)
    case("AveragePool", 19, [f32(1, 2, 8, 9)], count_include_pad=1, **pool)
case("MaxPool", 12, [np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)], kernel_shape=[2, 2], strides=[1, 2], storage_order=1, name="MaxPool uint8")
case("SpaceToDepth", 13, [f32(1, 2, 4, 6)], blocksize=2)
case("ConvTranspose", 11, [f32(1, 1, 3, 3)], [f32(1, 2, 3, 3)], output_shape=[10, 8], strides=[3, 2], name="ConvTranspose to a larger shape")
case("GlobalMaxPool", 7, [image])
case("GlobalAveragePool", 7, [f32(2, 3, 5)])
case("MatMul", 9, [f32(3), f32(3, 2)], name="MatMul row")
case("MatMul", 9, [f32(2, 4, 3), f32(3)], name="MatMul column")
case("MatMul", 9, [f32(3), f32(3)], name="MatMul vectors")
case("Gemm", 7, [f32(2, 3)], [f32(4, 3), f32(4)], transB=1)

# Shapes.
for axis in [0, 1, 2, -1, 4]:
    case("Flatten", 13 if axis < 0 else 9, [image], axis=axis)
case("Transpose", 13, [image])
case("Tile", 13, [f32(2, 1, 3)], [i64(1, 4, 2)])
case("Expand", 13, [f32(3, 1)], [i64(2, 1, 4)])
case("Shape", 15, [image], start=1, end=-1)
case("Size", 13, [image])
case("Gather", 13, [image], [np.array([[0, -1]], np.int32)], axis=2)
case("Reshape", 14, [image], [i64(2, -1)], allowzero=1)
case("Reshape", 7, [image], [i64(0, -1)], ir=3, name="Reshape of a file of IR 3")
model("ConstantOfShape", 9, [node("Shape", "x", "s"), node("ConstantOfShape", "s", "c", value=helper.make_tensor("v", T.FLOAT, [1], [2.5])), node("Add", "x,c", "y")], {"x": image})
model("Range", 11, [
    node("Constant", "", "zero", value_int=0), node("Constant", "", "two", value_int=2), node("Size", "x", "n"),
    node("Range", "zero,n,two", "r"), node("Cast", "r", "y", to=T.FLOAT),
], {"x": f32(7)})

# Half floats are computed in float32, so within their precision.
half = f32(3, 3).astype(np.float16)
model("float16 weights", 13, [node("Cast", "w", "f", to=T.FLOAT), node("MatMul", "x,f", "y")], {"x": f32(2, 3)}, {"w": half})

# Graphs that compute shapes, as exporters write them.
model("view(x.size(0), -1)", 11, [
    node("Shape", "x", "s"), node("Gather", "s,first", "b", axis=0), node("Unsqueeze", "b", "u", axes=[0]),
    node("Concat", "u,rest", "to", axis=0), node("Reshape", "x,to", "y"),
], {"x": image}, {"first": np.int64(0), "rest": i64(-1)})
model("interpolate to a size by a computed scale", 11, [
    node("Shape", "x", "s"), node("Slice", "s,two,four", "hw"), node("Cast", "hw", "h", to=T.FLOAT), node("Div", "target,h", "q"),
    node("Concat", "ones,q", "scales", axis=0), node("Resize", "x,none,scales", "y", mode="linear"),
], {"x": image}, {"two": i64(2), "four": i64(4), "target": np.array([10, 8], np.float32), "ones": np.ones(2, np.float32), "none": np.zeros(0, np.float32)})
model("Keras upsampling", 15, [
    node("Shape", "x", "s"), node("Cast", "s", "si", to=T.INT32), node("Slice", "si,a0,a1", "b"), node("Concat", "b,rest", "ti", axis=0),
    node("Cast", "ti", "to", to=T.INT64), node("Unsqueeze", "x,three", "u"), node("Tile", "u,twice", "t"), node("Reshape", "t,to", "y"),
], {"x": f32(2, 2, 3, 4)}, {"a0": i64(0), "a1": i64(1), "rest": np.array([2, 6, 4], np.int32), "three": i64(3), "twice": i64(1, 1, 1, 2, 1)})
model("nearest neighbours", 18, [  # as PatchCore looks its patches up
    node("Mul", "p,p", "pp"), node("ReduceSum", "pp,last", "np", keepdims=1), node("Mul", "bank,bank", "bb"), node("ReduceSum", "bb,last", "nb", keepdims=1),
    node("Transpose", "bank", "bt", perm=[1, 0]), node("Transpose", "nb", "nbt", perm=[1, 0]), node("MatMul", "p,bt", "m"), node("Mul", "m,two", "m2"),
    node("Sub", "np,m2", "d0"), node("Add", "d0,nbt", "d1"), node("Clip", "d1,zero", "d2"), node("Sqrt", "d2", "d"),
    node("TopK", "d,k", "near,at", largest=0, axis=1), node("Gather", "bank,at", "found"), node("ReduceMin", "d,last", "nearest", keepdims=0),
    node("ArgMax", "nearest", "worst", axis=0, keepdims=1),
], {"p": f32(6, 4)}, {"bank": f32(9, 4), "last": i64(-1), "two": np.float32(2), "zero": np.float32(0), "k": i64(2)}, outputs="near,at,found,worst")
model("shape as an input", 13, [node("Mul", "to,one", "t"), node("Reshape", "x,t", "y")], {"x": image, "to": i64(-1, 5)}, {"one": np.int64(1)})
model("squeeze that may not be", 13, [  # as TorchScript exports it
    node("Shape", "x", "s"), node("Gather", "s,one", "d"), node("Equal", "d,one", "c"),
    helper.make_node("If", ["c"], ["y"],
                     then_branch=helper.make_graph([node("Squeeze", "x,ones", "then")], "then", [], [helper.make_empty_tensor_value_info("then")]),
                     else_branch=helper.make_graph([node("Neg", "x", "else")], "else", [], [helper.make_empty_tensor_value_info("else")])),
], {"x": f32(2, 1, 3)}, {"one": np.int64(1), "ones": i64(1)})

# Corners of operators.
lowest, highest = -(1 << 63), (1 << 63) - 1
case("Slice", 13, [image], [i64(lowest, -9, 1), i64(lowest, lowest, highest), i64(1, 2, 3), i64(-1, -2, highest)], name="Slice from before the first place")
case("Abs", 13, [np.array([0, 1, 128, 255], np.uint8)], name="Abs uint8")
case("Sign", 13, [odd])
case("ReduceLogSumExp", 13, [np.array([[0, np.inf], [-np.inf, -np.inf], [1, -np.inf]], np.float32)], axes=[1], name="ReduceLogSumExp of infinities")
case("Resize", 13, [f32(1, 1, 7, 3)], [None, np.array([1, 1, .7, 2], np.float32)], mode="nearest", coordinate_transformation_mode="pytorch_half_pixel")
case("ConvTranspose", 11, [image], [f32(3, 2, 1, 2)], auto_pad="SAME_UPPER", strides=[3, 3], name="ConvTranspose with gaps")
case("MaxPool", 12, [np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)], kernel_shape=[2, 2], results=2, name="MaxPool uint8, places")
case("MatMul", 13, [np.arange(6).reshape(2, 3)], [np.arange(-5, 7).reshape(2, 3, 2)], name="MatMul int64")

# Eight bits, with ties between two numbers and values beyond them.
case("QuantizeLinear", 13, [f32(2, 3, 4)], [np.float32(.25), np.uint8(128)], name="QuantizeLinear to uint8")
case("QuantizeLinear", 13, [100 * f32(5)], [np.float32(.25)], name="QuantizeLinear without a zero point")
case("DequantizeLinear", 13, [np.arange(24, dtype=np.uint8).reshape(2, 3, 4)], [np.array([.5, 1, 2], np.float32), np.array([0, 3, 9], np.uint8)], axis=1)
model("to int8 and back, by channel", 13, [node("QuantizeLinear", "x,s,z", "q", axis=-1), node("DequantizeLinear", "q,s,z", "y", axis=-1)],
      {"x": 100 * f32(2, 4, 3)}, {"s": np.array([.25, 1, 3], np.float32), "z": np.array([-3, 0, 100], np.int8)})
model("to uint8 and back", 13, [node("QuantizeLinear", "x,s,z", "q"), node("DequantizeLinear", "q,s,z", "y")], {"x": 10 * f32(2, 7)}, {"s": np.float32(.125), "z": np.uint8(100)})
model("convolution of int8 weights", 13, [
    node("QuantizeLinear", "x,sx,zx", "q"), node("DequantizeLinear", "q,sx,zx", "d"), node("DequantizeLinear", "w,sw,zw", "k", axis=0), node("Conv", "d,k", "y"),
], {"x": f32(1, 2, 5, 5)}, {"sx": np.float32(1 / 64), "zx": np.uint8(128), "w": np.arange(-27, 27, dtype=np.int8).reshape(3, 2, 3, 3), "sw": np.array([.5, .25, 1], np.float32), "zw": np.zeros(3, np.int8)})

here = pathlib.Path(__file__).parent
with open(here / "import.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "cases")
