"""Writes metrics.json, the golden values of the tests. Needs numpy and scipy.

Four 16x16 maps of integer noise (no library's random numbers), two good and two
with three defects. AU-PRO follows MVTec's evaluation code: 8-connected regions,
the false-positive rate over the defect-free pixels of all images, ties collapsed,
trapezoids with interpolation at the limit, divided by the limit.
"""
import json
import pathlib

import numpy as np
from scipy.ndimage import label


def lcg(n, s):
    out = []
    for _ in range(n):
        s = (1664525 * s + 1013904223) & 0xFFFFFFFF
        out.append(s >> 24)
    return np.array(out, float)


N, H, W = 4, 16, 16
scores = lcg(N * H * W, 3).reshape(N, H, W) / 2
masks = np.zeros((N, H, W), int)
masks[2, 2:6, 3:9] = 1
masks[2, 10:13, 10:13] = 1
masks[2, 13, 13] = 1  # joins the square above by its corner
masks[3, 7:9, 0:16] = 1
scores[masks > 0] += 64
scores[2, 10:13, 10:13] -= 40  # a weak hit


def pro_curve(maps, masks):
    good, regions, fps, overlaps = 0, 0, [], []
    for mask in masks:
        labels, n = label(mask, np.ones((3, 3), int))
        regions += n
        good += (labels == 0).sum()
        overlap = np.zeros(mask.shape)
        for k in range(1, n + 1):
            overlap[labels == k] = 1 / (labels == k).sum()
        fps.append((labels == 0).astype(float))
        overlaps.append(overlap)
    s = maps.ravel()
    order = np.argsort(s, kind="stable")[::-1]
    s = s[order]
    fpr = np.cumsum(np.array(fps).ravel()[order]) / good
    pro = np.cumsum(np.array(overlaps).ravel()[order]) / regions
    last = np.append(np.diff(s) != 0, True)
    return np.r_[0, fpr[last].clip(None, 1), 1], np.r_[0, pro[last].clip(None, 1), 1], regions


def trapezoid(x, y, limit):
    tail = 0.0
    if limit not in x:
        i = np.searchsorted(x, limit, side="right")
        at = y[i - 1] + (y[i] - y[i - 1]) * (limit - x[i - 1]) / (x[i] - x[i - 1])
        tail = 0.5 * (at + y[i - 1]) * (limit - x[i - 1])
    x, y = x[x <= limit], y[x <= limit]
    return float(np.sum(0.5 * (y[1:] + y[:-1]) * (x[1:] - x[:-1])) + tail)


def auroc(s, bad):
    """Mann-Whitney with mid-ranks."""
    s, bad = s.ravel(), bad.ravel().astype(bool)
    order = np.argsort(s, kind="stable")
    rank, sorted_, i = np.empty(len(s)), s[order], 0
    while i < len(s):
        j = i
        while j + 1 < len(s) and sorted_[j + 1] == sorted_[i]:
            j += 1
        rank[order[i : j + 1]] = (i + j) / 2 + 1
        i = j + 1
    n1, n0 = bad.sum(), (~bad).sum()
    return float((rank[bad].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def precision_recall(s, bad):
    order = np.argsort(-s.ravel(), kind="stable")
    s, bad = s.ravel()[order], bad.ravel()[order]
    last = np.append(np.diff(s) != 0, True)
    tp, n = np.cumsum(bad)[last], np.flatnonzero(last) + 1
    ap = float(np.sum(np.diff(np.r_[0, tp / bad.sum()]) * (tp / n)))
    f1 = 2 * tp / (n + bad.sum())
    return ap, float(f1.max()), float(s[last][f1.argmax()])


x, y, regions = pro_curve(scores, masks)
ap, f1, threshold = precision_recall(scores, masks)
pathlib.Path(__file__).with_name("metrics.json").write_text(json.dumps({
    "regions": regions,
    "sum": scores.sum(),
    "aupro": {str(limit): trapezoid(x, y, limit) / limit for limit in (0.05, 0.3, 1.0)},
    "auroc": auroc(scores, masks),
    "average_precision": ap,
    "f1_max": f1,
    "f1_threshold": threshold,
    "image_auroc": auroc(scores.reshape(N, -1).max(1), masks.reshape(N, -1).max(1)),
}, indent=1) + "\n")
