"""Scores images with an exported detector: python score_onnx.py screws.onnx images.npy

It needs NumPy and ONNX Runtime, and nothing of vae_jax or JAX. images.npy holds uint8 images
[n, height, width, channels], framed as the metadata of the model say.
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
info = json.loads(session.get_modelmeta().custom_metadata_map["vae_jax"])
print(f"images {info['images']['shape']}, decided by {info['decision']['score']}", file=sys.stderr)

outputs = [output.name for output in session.get_outputs() if output.name != "anomaly_map"]
columns = session.run(outputs, {"images": np.load(sys.argv[2])})
for row in zip(*columns, strict=True):
    print(json.dumps({name: value.item() for name, value in zip(outputs, row, strict=True)}))
