"""The peers of `make bench-peers`. Reads requests, one JSON object a line, and answers each with a line.

{"prepare": KIND, "key": KEY, ...} makes the work of a class below ready, once, and answers {"result": what it computes};
{"run": KEY, "times": N} does it N times and answers {"ms": [of each]}. An answer {"error": ...} is a failure.
"""
import concurrent.futures, html, json, os, sys, time, traceback

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print goes to standard error

import numpy as np

threads = int(os.environ["OMP_NUM_THREADS"])


def load_torch():
    global torch, F
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(threads)


def load_weights(folder):
    return {f[:-4]: torch.from_numpy(np.load(os.path.join(folder, f))) for f in sorted(os.listdir(folder))}


def dcae(w, x):
    conv = lambda x, name: F.conv2d(x, w[name + ".weight"], w[name + ".bias"], padding=1)
    for i in (1, 2, 3):
        x = F.max_pool2d(F.relu(conv(x, f"encoder{i}")), 2)
    for i in (1, 2, 3):
        x = F.interpolate(F.relu(conv(x, f"decoder{i}")), scale_factor=2, mode="nearest")
    return torch.sigmoid(conv(x, "output"))


def unet(w, x):
    def conv(x, name, activation=True):
        weight = w[name + ".weight"]
        y = F.conv2d(x, weight, w.get(name + ".bias"), padding=weight.shape[-1] // 2)
        return F.relu(y) if activation else y
    depth = max(int(name[4]) for name in w if name.startswith("down"))
    levels = []
    for i in range(depth + 1):
        if i > 0:
            x = F.max_pool2d(x, 2)
        x = conv(conv(x, f"down{i}.a"), f"down{i}.b")
        levels.append(x)
    for i in reversed(range(depth)):
        up = F.interpolate(x, scale_factor=2, mode="nearest")
        x = conv(F.relu(conv(up, f"up{i}.below", False) + conv(levels[i], f"up{i}.skip", False)), f"up{i}.b")
    return torch.sigmoid(conv(x, "output", False))


networks = {"dcae": dcae, "unet": unet}


def gaussian(sigma, radius):
    t = np.exp(-np.arange(-radius, radius + 1.0) ** 2 / (2 * sigma**2))
    return t / t.sum()


def reflected(n, taps):
    """Filters n by n pixels, continued by half-sample reflection, by convolutions: of matrix products and these the faster."""
    r = len(taps) // 2
    at = np.arange(-r, n + r) % (2 * n)
    at = torch.from_numpy(np.where(at < n, at, 2 * n - 1 - at))
    t = torch.from_numpy(taps.astype(np.float32))

    def f(x):
        c = x.shape[1]
        x = x.index_select(2, at).index_select(3, at)
        return F.conv2d(F.conv2d(x, t.view(1, 1, 1, -1).expand(c, 1, 1, -1), groups=c), t.view(1, 1, -1, 1).expand(c, 1, -1, 1), groups=c)

    return f


def ssim(x, y, by):
    """SSIM of each channel and pixel; by filters."""
    c = x.shape[1]
    mx, my, sq, xy = by(torch.cat([x, y, x * x + y * y, x * y], 1)).split(c, 1)
    mm, m2 = mx * my, mx * mx + my * my
    return (2 * mm + 1e-4) * (2 * (xy - mm) + 9e-4) / ((m2 + 1e-4) * (sq - m2 + 9e-4))


def valid(x):
    """Filters by SSIM's window where it lies inside the image."""
    t = torch.from_numpy(gaussian(1.5, 5).astype(np.float32)).expand(x.shape[1], 1, 1, 11)
    return F.conv2d(F.conv2d(x, t, groups=x.shape[1]), t.transpose(2, 3), groups=x.shape[1])


class train:
    """A step of Adam in torch, channels_last, eager."""

    def __init__(self, network, mse, ssim, rate, weights, images, steps):
        load_torch()
        self.net, self.mse, self.ssim = networks[network], mse, ssim
        self.x = torch.from_numpy(np.load(images)).permute(0, 3, 1, 2)  # channels_last as it is
        self.w = {}
        for name, w in load_weights(weights).items():
            if w.dim() == 4:
                w = w.contiguous(memory_format=torch.channels_last)
            self.w[name] = w.requires_grad_()
        self.adam = torch.optim.Adam(self.w.values(), rate, fused=True)
        self.result = [self.step() for _ in range(steps)]

    def step(self):
        self.adam.zero_grad(set_to_none=True)
        x = self.x.float() / 255
        y = self.net(self.w, x)
        loss = 0
        if self.mse:
            loss = loss + self.mse * F.mse_loss(y, x)
        if self.ssim:
            loss = loss + self.ssim * (1 - ssim(x, y, valid).mean())
        loss.backward()
        self.adam.step()
        return loss.item()

    run = step


class detect:
    """Reconstruction, SSIM map and score in torch, by torch.compile; the map is blurred by a Gaussian."""

    def __init__(self, network, blur, weights, images, map):
        load_torch()
        w = {name: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for name, t in load_weights(weights).items()}
        self.x = torch.from_numpy(np.load(images))
        n = self.x.shape[1]
        window, smooth = reflected(n, gaussian(1.5, 5)), reflected(n, gaussian(blur, int(4 * blur + 0.5)))

        def f(pixels):
            x = pixels.permute(0, 3, 1, 2).float() / 255
            m = smooth(1 - ssim(x, networks[network](w, x), window).mean(1, keepdim=True))
            return m, m.amax((1, 2, 3))

        self.f = torch.compile(f)
        m, score = self.run()
        self.check(m[0, 0].numpy(), networks[network](w, self.x[:1].permute(0, 3, 1, 2).float() / 255), blur)
        np.save(map, m.numpy())
        self.result = score.tolist()

    def check(self, got, reconstruction, blur):
        """Of the first image scikit-image's SSIM and SciPy's Gaussian must give the same."""
        from scipy.ndimage import gaussian_filter
        from skimage.metrics import structural_similarity
        x, y = self.x[0].numpy() / np.float32(255), reconstruction[0].permute(1, 2, 0).detach().numpy()
        _, s = structural_similarity(x, y, data_range=1, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True)
        want = gaussian_filter(1 - s.mean(2), blur)
        if not np.abs(got - want).max() <= 1e-3:
            raise ValueError(f"the map differs from scikit-image's by {np.abs(got - want).max()}")

    def run(self):
        with torch.inference_mode():
            return self.f(self.x)


def session(model):
    import onnxruntime
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = threads
    o.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as on our side
    return onnxruntime.InferenceSession(model, o, providers=["CPUExecutionProvider"])


class onnx:
    """A model file in onnxruntime."""

    def __init__(self, model, images, map):
        self.s = session(model)
        self.x = np.load(images)
        m, score = self.run()
        np.save(map, m)
        self.result = score.tolist()

    def run(self):
        return self.s.run(["anomaly_map", "pred_score"], {"input": self.x})


class files:
    """Image files to scores: decoded and resized by OpenCV, computed by onnxruntime."""

    names = ["pred_score"]

    def __init__(self, model, paths, size):
        global cv2
        import cv2
        cv2.setNumThreads(1)
        self.s, self.paths, self.size = session(model), paths, size
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.result = self.run()

    def read(self, path):
        img = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
        return img, cv2.resize(img, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def compute(self, batch):
        return self.s.run(self.names, {"input": np.stack([small for _, small in batch])})


class loop(files):
    """One image after the other."""

    def run(self):
        return [float(self.compute([self.read(p)])[0][0]) for p in self.paths]


class pool(files):
    """Decoded by threads ahead, computed in batches of 16."""

    def run(self):
        scores, batch = [], []
        for one in self.pool.map(self.read, self.paths):
            batch.append(one)
            if len(batch) == 16:
                scores += self.compute(batch)[0].tolist()
                batch = []
        if batch:
            scores += self.compute(batch)[0].tolist()
        return scores


class pictures(files):
    """As pool, and a picture of each image (input, reconstruction, heat map, anomalous area) and a page of them."""

    names = ["pred_score", "anomaly_map", "reconstruction"]
    tile, gap, head = 384, 6, 22

    def __init__(self, model, paths, size, threshold, top, out):
        self.threshold, self.top, self.out = threshold, top, out
        super().__init__(model, paths, size)

    def picture(self, img, score, m, r, path):
        t = (self.tile, self.tile)
        shown = cv2.resize(img, t, interpolation=cv2.INTER_AREA)
        back = cv2.resize(np.clip(r.transpose(1, 2, 0) * 255 + 0.5, 0, 255).astype(np.uint8), t, interpolation=cv2.INTER_LINEAR)
        big = cv2.resize(m, t, interpolation=cv2.INTER_LINEAR)
        heat = cv2.applyColorMap(np.clip(big * (255 / self.top), 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
        over, where = shown.copy(), big > self.threshold
        over[where] = over[where] // 2 + np.array([127, 0, 0], np.uint8)
        edges, _ = cv2.findContours(where.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(over, edges, -1, (255, 0, 0), 1)
        tiles = [shown, back, cv2.cvtColor(heat, cv2.COLOR_BGR2RGB), over]
        sheet = np.full((2 * self.head + self.tile + self.gap, self.gap + len(tiles) * (self.tile + self.gap), 3), 232, np.uint8)
        for i, (name, one) in enumerate(zip(["input", "reconstruction", "heat map", "anomalous"], tiles)):
            x = self.gap + i * (self.tile + self.gap)
            sheet[self.head : self.head + self.tile, x : x + self.tile] = one
            cv2.putText(sheet, name, (x, 15), cv2.FONT_HERSHEY_PLAIN, 1, (40, 40, 40))
        cv2.putText(sheet, f"score {score:.4g}", (self.gap, sheet.shape[0] - 8), cv2.FONT_HERSHEY_PLAIN, 1, (40, 40, 40))
        name = f"{os.path.basename(os.path.dirname(path))}_{os.path.basename(path)}.jpg"
        cv2.imwrite(os.path.join(self.out, name), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
        return name

    def run(self):
        scores, rows, batch, paths = [], [], [], []

        def flush():
            s, m, r = self.compute(batch)
            one = [self.pool.submit(self.picture, batch[i][0], s[i], m[i, 0], r[i], paths[i]) for i in range(len(batch))]
            rows.extend((s[i], name.result()) for i, name in enumerate(one))
            scores.extend(s.tolist())
            batch.clear(), paths.clear()

        for path, read in zip(self.paths, self.pool.map(self.read, self.paths)):
            batch.append(read), paths.append(path)
            if len(batch) == 16:
                flush()
        if batch:
            flush()
        with open(os.path.join(self.out, "index.html"), "w") as f:
            f.write("<!doctype html><title>report</title>")
            for s, name in sorted(rows, reverse=True):
                f.write(f'<p>{s:.4f} {html.escape(name)}<br><img loading="lazy" src="{html.escape(name)}">')
        return scores


class decode:
    """Image files to pixels by OpenCV, in threads."""

    def __init__(self, paths):
        global cv2
        import cv2
        cv2.setNumThreads(1)
        self.paths = paths
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.result = [int(np.sum(cv2.imread(p, cv2.IMREAD_COLOR_RGB), dtype=np.int64)) for p in paths]

    def run(self):
        for _ in self.pool.map(lambda p: cv2.imread(p, cv2.IMREAD_COLOR_RGB) is None, self.paths):
            pass


kinds = {c.__name__: c for c in (train, detect, onnx, loop, pool, pictures, decode)}
works = {}


def answer(q):
    if "versions" in q:
        from importlib.metadata import version
        return {"versions": {name: version(name) for name in q["versions"]}}
    if "prepare" in q:
        works.clear()
        kind = q.pop("prepare")
        works[kind] = kinds[kind](**q)
        return {"result": works[kind].result}
    ms = []
    for _ in range(q["times"]):
        began = time.perf_counter()
        works[q["run"]].run()
        ms.append((time.perf_counter() - began) * 1e3)
    return {"ms": ms}


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception:
        reply = {"error": traceback.format_exc(limit=3)}
    print(json.dumps(reply), file=answers, flush=True)
