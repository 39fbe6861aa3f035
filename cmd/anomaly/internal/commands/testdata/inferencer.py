"""Prints what anomalib's OpenVINOInferencer finds in images: a JSON object a line. Needs scripts/requirements-anomalib.txt.

    inferencer.py MODEL FOLDER PRECISION[,PRECISION] IMAGE...

PRECISION is f32, bf16, or default for what OpenVINO takes by itself. Map and mask of image i go to FOLDER/PRECISION-i.map.npy and
FOLDER/PRECISION-i.mask.npy. The inferencer leaves its cache of compiled models in the working folder.
"""
import json
import sys

import numpy as np
from anomalib.deploy import OpenVINOInferencer

model, folder, precisions, *images = sys.argv[1:]
for precision in precisions.split(","):
    config = None if precision == "default" else {"INFERENCE_PRECISION_HINT": precision}
    inferencer = OpenVINOInferencer(path=model, device="CPU", config=config)
    used = inferencer.model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    for i, image in enumerate(images):
        p = inferencer.predict(image)
        np.save(f"{folder}/{precision}-{i}.map.npy", p.anomaly_map)
        np.save(f"{folder}/{precision}-{i}.mask.npy", p.pred_mask)
        print(json.dumps({"precision": precision, "used": used, "score": float(p.pred_score.item()), "anomalous": bool(p.pred_label.item())}))
