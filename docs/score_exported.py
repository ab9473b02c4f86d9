"""Scores images with an exported detector: python score_exported.py screws.zip images.npy

It needs JAX, NumPy and flatbuffers (which jax.export reads its files with), and nothing of vae_jax.
images.npy holds uint8 images [n, height, width, channels], of the size and framed as `programs.json` says.
"""

import io
import json
import sys
import zipfile
import zlib

import jax
import jax.export
import numpy as np


def load(path):
    """Returns a function from images to their scores, p-values and anomaly maps."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    info = json.loads(files["programs.json"])
    arrays = np.load(io.BytesIO(files["arrays.npz"]))
    read = {name: jax.numpy.asarray(arrays[name]) for name in info["arrays"]}
    programs = {
        name: jax.jit(jax.export.deserialize(bytearray(files[f"{name}.stablehlo"])).call)
        for name in info["sha256"]
    }
    normals = np.sort(arrays[f"calibration/{info['decision']['score']}"])

    def score(images):
        index = np.array([zlib.crc32(image.tobytes()) for image in images], np.uint32)
        scores = programs["score"](read, images, index.view(np.int32))
        if "combine" in programs:
            scores |= programs["combine"]({n: scores[n] for n in info["combination_inputs"]})
        deciding = np.asarray(scores[info["decision"]["score"]], np.float64)
        above = len(normals) - np.searchsorted(normals, deciding)
        low, high = info["decision"]["threshold_low"], info["decision"]["threshold"]
        anomalous = (deciding > high) | (deciding < (-np.inf if low is None else low))
        maps = programs["map"](read, images, index.view(np.int32))
        return scores, (1 + above) / (len(normals) + 1), anomalous, maps

    return score


if __name__ == "__main__":
    scores, p_values, anomalous, maps = load(sys.argv[1])(np.load(sys.argv[2]))
    for i in range(len(p_values)):
        values = {name: float(column[i]) for name, column in scores.items()}
        print(json.dumps({"p_value": p_values[i], "anomalous": bool(anomalous[i])} | values))
