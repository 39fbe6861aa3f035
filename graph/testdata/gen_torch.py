"""Writes gradients.json: values and gradients of small formulas by PyTorch 2 in
float64. Each case has a namesake in gradients_test.go that builds the same
formula. Needs torch 2 (written with 2.15), which `make setup` does not install.

    python graph/testdata/gen_torch.py
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)
cases = []


def grid(*shape):
    """Distinct values in (-1, 1), none of them 0, spread evenly in random order."""
    n = torch.Size(shape).numel()
    x = (2 * torch.randperm(n) + 1 - n) / n
    x = torch.round(torch.where(x == 0, 1 / (2 * n), x), decimals=3 if n > 40 else 2)
    assert x.unique().numel() == n and (x != 0).all()
    return x.reshape(shape)


def numbers(t):
    return [float(f"{v:.9g}") for v in t.detach().flatten().tolist()]


def case(name, f, *leaves, constant=None):
    """f maps the leaves to one tensor; the gradient is that of its inner product with a
    fixed one. constant is a tensor of f's own that the Go formula needs too."""
    leaves = [(grid(*x) if isinstance(x, tuple) else x).clone().requires_grad_() for x in leaves]
    y = f(*leaves)
    cotangent = grid(*y.shape)
    grads = torch.autograd.grad(y, leaves, cotangent)
    cases.append({
        "name": name,
        "leaves": [{"shape": list(x.shape), "data": numbers(x)} for x in leaves],
        "cotangent": {"shape": list(y.shape), "data": numbers(cotangent)},
        "value": numbers(y),
        "grads": [numbers(g) for g in grads],
    })
    if constant is not None:
        cases[-1]["constant"] = {"shape": list(constant.shape), "data": numbers(constant)}


# Elementwise.
N = (3, 2, 5, 7)
case("Add", lambda a, b: a + b, (2, 3), (2, 3))
case("Add bias", lambda a, b: a + b, N, (2, 1, 1))
case("Add scalar", lambda a, b: a + b, (2, 3), ())
case("Add column and row", lambda a, b: a + b, (3, 1, 4), (2, 1))
case("Sub column and row", lambda a, b: a - b, (3, 1, 4), (2, 1))
case("Sub itself", lambda a: a - a, (2, 3))
case("Mul", lambda a, b: a * b, (2, 3), (2, 3))
case("Mul column and row", lambda a, b: a * b, (3, 1, 4), (2, 1))
case("Mul itself", lambda a: a * a, (2, 3))
case("Div", lambda a, b: a / (b + 2), (2, 3), (2, 3))
case("Div column and row", lambda a, b: a / (b + 2), (3, 1, 4), (2, 1))
case("Div itself", lambda a: (a + 2) / (a + 2) * a, (2, 3))
case("Neg", lambda a: -a, (2, 3))
case("Abs", torch.abs, (3, 4))
case("Relu", torch.relu, (3, 4))
case("Sigmoid", lambda a: torch.sigmoid(4 * a), (3, 4))
case("Clip", lambda a: a.clamp(-0.5, 0.3), (3, 4))
case("Clip low", lambda a: a.clamp(min=-0.3), (3, 4))
case("Clip high", lambda a: a.clamp(max=0.3), (3, 4))
case("Where", lambda a, b: torch.where(a > b, a * b, b), (3, 4), (3, 4))
case("Where broadcast", lambda a, b: torch.where(a > b, a, b), (3, 1, 4), (2, 1))
case("Cast", lambda a: a * a.to(torch.float32).to(torch.float64), torch.tensor([[0.5, -0.25], [1, 3]]))
case("Identity", lambda a: a, (2, 3))
case("Used three times", lambda a, b: a * b + torch.sigmoid(a) - a / (b + 2), (2, 3), (3,))

# Products.
case("MatMul", lambda a, b: a @ b, (4, 5), (5, 3))
case("MatMul batch by matrix", lambda a, b: a @ b, (3, 2, 4, 5), (5, 3))
case("MatMul matrix by batch", lambda a, b: a @ b, (4, 5), (3, 5, 2))
case("MatMul broadcast both ways", lambda a, b: a @ b, (1, 2, 4, 3), (3, 1, 3, 2))
case("MatMul itself", lambda a: a @ a, (3, 3))
for ta in "NT":
    for tb in "NT":
        case(f"Gemm {ta}{tb}", lambda a, b, c: (a.T if ta == "T" else a) @ (b.T if tb == "T" else b) + c,
             (4, 3) if ta == "T" else (3, 4), (5, 4) if tb == "T" else (4, 5), (5,))
case("Gemm column", lambda a, b, c: a @ b + c, (3, 4), (4, 2), (3, 1))
case("Gemm scalar", lambda a, b, c: a @ b + c, (3, 4), (4, 2), ())
case("Gemm itself", lambda a: a @ a.T, (3, 4))

# Reductions.
case("ReduceSum all", lambda a: a.sum(), (2, 3, 4))
case("ReduceSum keeps", lambda a: a.sum((0, 2), keepdim=True), (2, 3, 4))
case("ReduceSum drops", lambda a: a.sum((0, 2)), (2, 3, 4))
case("ReduceSum negative axis", lambda a: a.sum(-1), (2, 3, 4))
case("ReduceMean all", lambda a: a.mean(), (2, 5, 7))
case("ReduceMean keeps", lambda a: a.mean((2, 3), keepdim=True), N)
case("ReduceMean drops", lambda a: a.mean(1), (2, 3, 4))
case("MeanAll", lambda a: (a * a).mean().reshape(1), (2, 3, 4))

# Shapes.
case("Reshape", lambda a: a.reshape(2, 12) ** 2, (2, 3, 4))
case("Reshape with rest", lambda a: a.reshape(2, -1) ** 2, (2, 3, 4))
case("Transpose", lambda a: a.permute(2, 0, 3, 1) ** 2, (2, 3, 4, 5))
case("Concat", lambda a, b: torch.cat([a, b, a], 1), (2, 1, 3), (2, 4, 3))
case("Concat last axis", lambda a, b: torch.cat([a, b], -1) ** 2, (2, 3), (2, 1))
case("Slice", lambda a: a[:, 1:4], (3, 5))
case("Slice from the end", lambda a: a[-3:-1], (5, 2))
case("Slice step", lambda a: a[:, 1::3], (2, 9))
case("Slice step ends early", lambda a: a[:, 0:6:2], (2, 9))
case("Slice backwards", lambda a: a.flip(1), (2, 5))
case("Slice step backwards", lambda a: a[:, torch.tensor([7, 5, 3])], (2, 9))
case("Slice two axes", lambda a: a[1:4:2][:, :, torch.tensor([4, 2, 0])], (5, 2, 5))
case("Pad", lambda a: F.pad(a, (3, 0, 1, 2)), (2, 1, 3, 4))
case("Pad crops", lambda a: F.pad(a, (-1, -2, 0, -1)), (1, 2, 4, 5))
case("Pad crops and widens", lambda a: F.pad(a, (-2, 1)), (3, 5))
case("Pad reflect", lambda a: F.pad(a, (3, 2, 1, 4), "reflect"), (3, 2, 5, 7))
case("Pad reflect batch 1", lambda a: F.pad(a, (1, 1, 0, 0), "reflect"), (1, 1, 5, 2))
case("Pad edge", lambda a: F.pad(a, (3, 6, 1, 0), "replicate"), (1, 2, 5, 4))
case("Pad edge crops", lambda a: F.pad(a, (-1, 2, 0, -2), "replicate"), (1, 2, 5, 4))
case("Expand", lambda a: a.expand(2, 3, 4), (3, 1))

# Resize.
up = lambda a, sy, sx: a.repeat_interleave(sy, 2).repeat_interleave(sx, 3)
case("Resize 2x2", lambda a: up(a, 2, 2), (3, 2, 3, 5))
case("Resize 3x1", lambda a: up(a, 3, 1), (1, 2, 3, 5))
case("Resize 1x1", lambda a: up(a, 1, 1), (1, 1, 2, 3))

# Convolutions.
conv = lambda **k: lambda x, w, b=None: F.conv2d(x, w, b, **k)


def padded(t, l, b, r, **k):
    return lambda x, w, bias=None: F.conv2d(F.pad(x, (l, r, t, b)), w, bias, **k)


case("Conv 3x3 same", conv(padding=1), (3, 2, 5, 7), (3, 2, 3, 3), (3,))
case("Conv 3x3 same batch 1", conv(padding=1), (1, 2, 9, 11), (3, 2, 3, 3), (3,))
case("Conv 2x3 valid", conv(), (3, 2, 5, 7), (2, 2, 2, 3))
case("Conv 1x1", conv(), (3, 2, 5, 7), (3, 2, 1, 1), (3,))
case("Conv 3x1", conv(padding=(1, 0)), (1, 2, 5, 7), (2, 2, 3, 1))
case("Conv 1x3", conv(padding=(0, 1)), (3, 2, 5, 7), (2, 2, 1, 3))
case("Conv uneven pads", padded(2, 0, 1, 3), (3, 2, 5, 7), (2, 2, 3, 4))
case("Conv pads beyond the kernel", padded(3, 1, 0, 2), (3, 1, 5, 7), (2, 1, 2, 2))
case("Conv whole image", conv(), (3, 2, 5, 7), (4, 2, 5, 7), (4,))
case("Conv stride 2", conv(stride=2, padding=1), (3, 2, 5, 7), (2, 2, 3, 3), (2,))
case("Conv stride leaves a rest", conv(stride=(2, 3)), (1, 2, 8, 10), (2, 2, 3, 2))
case("Conv stride beyond the kernel", conv(stride=3), (1, 1, 9, 11), (2, 1, 2, 2))
case("Conv dilation", conv(dilation=(2, 3), padding=(1, 2)), (3, 1, 9, 11), (2, 1, 2, 3))
case("Conv stride and dilation", padded(2, 1, 0, 3, stride=(2, 3), dilation=(3, 2)), (3, 1, 9, 11), (2, 1, 2, 3))
kernels = grid(4, 2, 3, 2)
case("Conv groups, input only", lambda x: F.conv2d(x, kernels, padding=1, groups=2), (1, 4, 5, 7), constant=kernels)
case("Conv groups strided, input only", lambda x: F.conv2d(x, kernels, padding=1, stride=2, groups=2), (1, 4, 5, 7), constant=kernels)
window = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).repeat(3, 1, 1, 1) / 16
case("Conv depthwise, input only", lambda x: F.conv2d(x, window, groups=3), (3, 3, 5, 7))

# Pooling.
ones = torch.ones
case("MaxPool 2x2", lambda a: F.max_pool2d(a, 2), (3, 2, 5, 7))
case("MaxPool overlapping", lambda a: F.max_pool2d(a, 3, 2, 1), (1, 2, 9, 11))
case("MaxPool 2x3 steps 3x1", lambda a: F.max_pool2d(a, (2, 3), (3, 1)), (3, 2, 5, 7))
case("AveragePool 2x2", lambda a: F.avg_pool2d(a, 2), (3, 2, 5, 7))
case("AveragePool 3x2 tiles", lambda a: F.avg_pool2d(a, (3, 2)), (1, 2, 9, 4))
case("AveragePool overlapping", lambda a: F.avg_pool2d(a, 3, 2), (3, 2, 5, 7))
case("AveragePool pads", lambda a: F.avg_pool2d(a, 3, 2, 1, count_include_pad=False), (1, 2, 9, 11))
case("AveragePool smoothing", lambda a: F.avg_pool2d(a, 3, 1, 1, count_include_pad=False), (3, 1, 5, 7))
case("AveragePool skips", lambda a: F.avg_pool2d(a, (1, 2), (2, 3)), (1, 2, 5, 7))

# Where an operator has no derivative: differences do not exist there.
edge = torch.tensor([-1.0, -0.5, -0.25, 0, 0.25, 0.5, 1])
case("Kink Relu", torch.relu, edge)
case("Kink Abs", torch.abs, edge)
# PyTorch 2.15's clamp has 0 at its bounds; package graph has 1.
case("Kink Clip", lambda a: torch.where((a >= -0.5) & (a <= 0.5), a, a.detach().clamp(-0.5, 0.5)), edge)
case("Kink MaxPool constant image", lambda a: F.max_pool2d(a, 2), ones(3, 2, 5, 7))
case("Kink MaxPool constant image overlapping", lambda a: F.max_pool2d(a, 3, 2, 1), ones(1, 2, 5, 7))
case("Kink MaxPool ties", lambda a: F.max_pool2d(a, 2, 1), torch.tensor([[[[0, 1.0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 2], [2, 2, 1, 2]]]]))


# The article's network in miniature and its losses.
def network(x, w1, b1, w2, b2, w3, b3):
    y = F.max_pool2d(torch.relu(F.conv2d(x, w1, b1, padding=1)), 2)
    y = up(torch.relu(F.conv2d(y, w2, b2, padding=1)), 2, 2)
    return torch.sigmoid(F.conv2d(y, w3, b3, padding=1))


def ssim(x, y):
    """1 - SSIM over the valid region of a 3x3 window; the constants are exact in binary."""
    m = lambda a: F.conv2d(a, window, groups=3)
    mx, my = m(x), m(y)
    vx, vy, vxy = m(x * x) - mx * mx, m(y * y) - my * my, m(x * y) - mx * my
    c1, c2 = 2.0**-10, 2.0**-8
    s = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return 1 - s.mean()


losses = {"MSE": lambda x, y: ((x - y) ** 2).mean(), "L1": lambda x, y: (x - y).abs().mean(), "SSIM": ssim}
for n, h, w in [(1, 8, 6), (3, 4, 6)]:
    weights = [(4, 3, 3, 3), (4,), (4, 4, 3, 3), (4,), (3, 4, 3, 3), (3,)]
    leaves = [(grid(n, 3, h, w) + 1) / 2] + [grid(*s) for s in weights]
    for name, loss in losses.items():
        case(f"Network {name} batch {n}", lambda x, *p: loss(x, network(x, *p)).reshape(1), *leaves)

# Activations and powers.
case("LeakyRelu", lambda a: F.leaky_relu(a, 0.125), (3, 4))
case("Elu", lambda a: F.elu(a, 0.5), (3, 4))
case("Tanh", lambda a: torch.tanh(2 * a), (3, 4))
case("Softplus", lambda a: F.softplus(4 * a, threshold=100), (3, 4))
case("Gelu", lambda a: F.gelu(2 * a), (3, 4))
case("GeluTanh", lambda a: F.gelu(2 * a, approximate="tanh"), (3, 4))
case("Softmax", lambda a: F.softmax(4 * a, -1), (3, 4))
case("Softmax middle axis", lambda a: F.softmax(4 * a, 1), (2, 3, 4))
case("Exp", torch.exp, (3, 4))
case("Log", lambda a: torch.log(a + 2), (3, 4))
case("Sqrt", lambda a: torch.sqrt(a + 2), (3, 4))
case("Erf", torch.erf, (3, 4))
case("Pow", lambda a, b: (a + 2) ** b, (3, 4), (3, 4))
case("Pow column and row", lambda a, b: (a + 2) ** b, (3, 1, 4), (2, 1))
case("Pow cube", lambda a: a**3, (3, 4))

# The largest and the smallest.
case("Max", torch.maximum, (3, 4), (3, 4))
case("Max column and row", torch.maximum, (3, 1, 4), (2, 1))
case("Max of three", lambda a, b, c: torch.maximum(torch.maximum(a, b), c), (3, 4), (4,), (3, 1))
case("Max itself", lambda a: torch.maximum(a, a) * a, (3, 4))
case("Min column and row", torch.minimum, (3, 1, 4), (2, 1))
case("ReduceMax all", lambda a: a.amax(), (2, 3, 4))
case("ReduceMax keeps", lambda a: a.amax((2, 3), keepdim=True), N)
case("ReduceMax drops", lambda a: a.amax(1), (2, 3, 4))
case("Kink LeakyRelu", lambda a: F.leaky_relu(a, 0.125), edge)
case("Kink Elu", lambda a: F.elu(a, 0.5), edge)
case("Kink Max ties", torch.maximum, edge, torch.where(edge < 0, edge, 0.25))
case("Kink Min ties", torch.minimum, edge, torch.where(edge < 0, edge, 0.25))
case("Kink ReduceMax ties", lambda a: a.amax(1), torch.tensor([[0, 1.0, 1, 1], [2, 0, 2, 1], [3, 3, 3, 3]]))
case("Kink Pow at zero", lambda a, b: a**b, torch.tensor([0.0, 0, 0, 2]), torch.tensor([0.0, 1, 3, 0]))

# Convolutions in groups, transposed convolutions.
case("Conv groups", conv(padding=1, groups=2), (3, 4, 5, 7), (6, 2, 3, 3), (6,))
case("Conv depthwise", conv(padding=1, groups=3), (2, 3, 5, 7), (3, 1, 3, 3))
case("Conv depthwise multiplied", conv(groups=2), (3, 2, 5, 4), (6, 1, 2, 3), (6,))
case("Conv groups, stride, dilation, uneven pads", padded(2, 1, 0, 3, stride=(2, 3), dilation=(3, 2), groups=2), (3, 4, 9, 11), (2, 2, 2, 3), (2,))
up2 = lambda **k: lambda x, w, b=None: F.conv_transpose2d(x, w, b, **k)
case("ConvTranspose", up2(padding=1), (3, 2, 4, 5), (2, 3, 3, 3), (3,))
case("ConvTranspose batch 1", up2(), (1, 2, 4, 5), (2, 2, 2, 3))
case("ConvTranspose stride 2", up2(stride=2, padding=1, output_padding=1), (3, 2, 4, 3), (2, 3, 3, 3), (3,))
case("ConvTranspose stride beyond the kernel", up2(stride=3, output_padding=(2, 0)), (1, 2, 2, 3), (2, 1, 2, 2))
case("ConvTranspose groups, stride, dilation", up2(stride=(1, 2), dilation=(2, 1), groups=2), (2, 4, 3, 4), (4, 3, 2, 3), (6,))
case("ConvTranspose output_padding within the dilation", up2(dilation=3, output_padding=(2, 1)), (2, 1, 3, 4), (1, 2, 2, 2))
case("ConvTranspose uneven pads", lambda x, w: F.conv_transpose2d(x, w, stride=2)[:, :, 1:, :-2], (2, 2, 3, 4), (2, 1, 3, 3))
case("GlobalAveragePool", lambda a: F.adaptive_avg_pool2d(a, 1), N)

# Normalisations.
eps = 2.0**-10
case("BatchNorm", lambda a, s, b: F.batch_norm(a, None, None, s, b, True, eps=eps), N, (2,), (2,))
case("BatchNorm of vectors", lambda a: F.batch_norm(a, None, None, training=True, eps=eps), (5, 3))
case("BatchNorm statistics", lambda a: torch.cat([a.mean((0, 2, 3)), a.var((0, 2, 3), correction=0)]), N)
channel = lambda v: v.reshape(-1, 1, 1)  # PyTorch's own has no gradient for the statistics
case("BatchNormInference", lambda a, s, b, m, v: (a - channel(m)) / torch.sqrt(channel(v) + 2 + eps) * channel(s) + channel(b),
     N, (2,), (2,), (2,), (2,))
case("InstanceNorm", lambda a, s, b: F.instance_norm(a, weight=s, bias=b, eps=eps), N, (2,), (2,))
case("InstanceNorm plain", lambda a: F.instance_norm(a, eps=eps), (2, 3, 4))
case("GroupNorm", lambda a, s, b: F.group_norm(a, 2, s, b, eps), (2, 4, 3, 2), (4,), (4,))
case("GroupNorm of one group", lambda a, s: F.group_norm(a, 1, s, None, eps), (2, 3, 4), (3,))
case("LayerNorm", lambda a, s, b: F.layer_norm(a, (4,), s, b, eps), (2, 3, 4), (4,), (4,))
case("LayerNorm of two axes", lambda a, s: F.layer_norm(a, (3, 4), s, None, eps), (2, 3, 4), (3, 4))

# Resize, blocks, pieces.
to = lambda h, w, **k: lambda a: F.interpolate(a, (h, w), **k)
case("ResizeLinear up", to(7, 6, mode="bilinear"), (2, 2, 3, 4))
case("ResizeLinear down", to(3, 4, mode="bilinear"), (1, 2, 8, 7))
case("ResizeLinear up and down", to(7, 3, mode="bilinear"), (1, 2, 3, 5))
case("ResizeLinear corners", to(7, 3, mode="bilinear", align_corners=True), (2, 1, 3, 4))
case("ResizeLinear antialias", to(3, 4, mode="bilinear", antialias=True), (2, 1, 8, 11))
case("ResizeLinear antialias up and down", to(7, 3, mode="bilinear", antialias=True), (1, 2, 3, 8))
case("Resize nearest to any size", to(7, 3, mode="nearest"), (2, 1, 4, 5))
dcr = lambda a, c: a.reshape(a.shape[0], 4, c, *a.shape[2:]).transpose(1, 2).reshape(a.shape)
case("DepthToSpace DCR", lambda a: F.pixel_shuffle(dcr(a, 3), 2) ** 2, (2, 12, 2, 3))
case("DepthToSpace CRD", lambda a: F.pixel_shuffle(a, 2) ** 2, (2, 12, 2, 3))
case("SpaceToDepth DCR", lambda a: F.pixel_unshuffle(a, 2).reshape(2, 3, 4, 2, 3).transpose(1, 2).reshape(2, 12, 2, 3) ** 2, (2, 3, 4, 6))
case("SpaceToDepth CRD", lambda a: F.pixel_unshuffle(a, 2) ** 2, (2, 3, 4, 6))
case("Split", lambda a: torch.cat([p**k for k, p in enumerate(a.split([1, 3, 2], 1), 1)], 1), (2, 6, 3))
case("Split, one piece used", lambda a: a.split([1, 3, 2], 1)[1] ** 2, (2, 6, 3))
case("Split, two pieces used", lambda a: a.split([2, 1, 2], -1)[0] * a.split([2, 1, 2], -1)[2], (3, 5))
case("Gather", lambda a: a[:, [2, 0, 2, 3, 2]] ** 2, (2, 4, 3))
case("Gather last axis", lambda a: a[..., [2, 0, 2]] ** 2, (2, 4, 3))
case("Gather of a vector", lambda a: a[[2, 0, 2]] ** 2, (4,))
case("Gather first of four axes", lambda a: a[[1, 1]] ** 2, (3, 2, 1, 2))
case("Gather matrix of indices", lambda a: a[:, [[2, 0], [3, 3]]] ** 2, (2, 4, 3))
case("Gather scalar", lambda a: a[:, 2] ** 2, (2, 4, 3))

here = pathlib.Path(__file__).parent
with open(here / "gradients.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "cases", (here / "gradients.json").stat().st_size, "bytes, torch", torch.__version__)
