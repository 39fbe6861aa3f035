"""What people write instead: images in, a verdict out, with FastAPI and ONNX Runtime.

    MODEL=model.onnx uvicorn fastapi_app:app --workers 2
"""
import io
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("THREADS", "1"))  # one a worker: they share the cores
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
_, height, width, _ = session.get_inputs()[0].shape
app = FastAPI()


def judge(body: bytes):
    image = Image.open(io.BytesIO(body)).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    score, label, maps = session.run(["pred_score", "pred_label", "anomaly_map"], {"input": np.asarray(image)[None]})
    return {"score": float(score[0]), "anomalous": bool(label[0])}


@app.post("/images")
async def images(request: Request):
    return await run_in_threadpool(judge, await request.body())


@app.get("/ready")
async def ready():
    return {}
