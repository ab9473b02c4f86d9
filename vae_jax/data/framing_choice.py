"""The choice that `data.framing=auto` stands for: tiles for large images and for those that are not square.

The choice depends on the sizes of normal images outside the official test split, and on nothing else. It is
therefore the same at every start with the same data.

N images.
"""

import collections
import dataclasses
import json
import logging
import pathlib

import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int

from vae_jax import workdir as workdir_lib
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.framing import Framing
from vae_jax.data.labels import label_images
from vae_jax.data.tiling import compute_boxes

# Longer side of the median image, as a multiple of its shorter side, from which on it counts as not square.
_MAX_ASPECT = 1.25
# Shorter side of the median image, as a multiple of `data.image_size`, from which on it is much larger. In
# an image that is stretched so far, a defect of four pixels becomes one.
_MAX_SCALE = 4.0

_log = logging.getLogger(__name__)


def choose_framing(
    framing: Framing,
    builder: ImageDatasetBuilder,
    data_config: ml_collections.ConfigDict,
    normal_classes: tuple[str, ...],
    anomaly_classes: tuple[str, ...],
) -> Framing:
    """Replaces the framing "auto" by "tiles" or "stretch", and logs the choice; returns any other as it is.

    Args:
        framing: framing of the config.
        builder: builder of the prepared data.
        data_config: the `data` group of the config.
        normal_classes: classes of normal images; () for all that are not in the other list.
        anomaly_classes: classes of anomalies.

    Raises:
        UserError: if there is no normal image.
    """
    if framing.framing != "auto":
        return framing
    dataset = data_config.dataset
    rows = _read_sizes(builder)
    labels = label_images(rows["class"], normal_classes, anomaly_classes, dataset)
    normal = labels == 0
    outside_test = np.array([split != "test" for split in rows["split"]])
    if (normal & outside_test).any():
        normal &= outside_test
    sizes = np.array(rows["size"])[normal]
    kind, reason = judge_sizes(sizes, framing)
    if data_config.roi:
        kind, reason = "stretch", "data.roi names a region of whole images"
    if kind == "tiles":
        chosen = dataclasses.replace(framing, framing="tiles")
        counts = [
            len(compute_boxes(*_scale(size, framing.crop), chosen.tile_side, chosen.tile_stride))
            for size in sizes
        ]
        _log.info(
            "%s: data.framing=auto chose tiles of %d pixels, on average %.1f for each image, because %s; "
            "--config.data.framing=stretch shows every image at once, --config.data.tile_size=N cuts other "
            "tiles",
            dataset, chosen.tile_side, np.mean(counts), reason,
        )  # fmt: skip
    else:
        chosen = dataclasses.replace(framing, framing="stretch", tile_stride=0)
        _log.info(
            "%s: data.framing=auto chose to stretch each image to a square of %d pixels, because %s; "
            "--config.data.framing=tiles cuts it into tiles instead",
            dataset, framing.image_size, reason,
        )  # fmt: skip
    return chosen


def judge_sizes(sizes: Int[np.ndarray, "N 2"], framing: Framing) -> tuple[str, str]:
    """Returns the framing for images of these sizes, and the reason in words."""
    short, long = np.sort(sizes, axis=1).T
    aspect = float(np.median(long / short))
    side = float(np.median(short)) * framing.crop
    size = framing.image_size
    if aspect > _MAX_ASPECT:
        return (
            "tiles",
            f"the longer side of the median image is {aspect:.2g} times its shorter side",
        )
    if side > _MAX_SCALE * size:
        reason = f"the sides of the median image are {side / size:.2g} times the {size} pixels seen"
        return "tiles", reason
    return "stretch", (
        f"the median image is nearly square and not much larger than that (sides {side:.0f} pixels)"
    )


def _scale(size: Int[np.ndarray, "2"], crop: float) -> tuple[int, int]:
    width, height = np.maximum(1, np.round(crop * size)).astype(int).tolist()
    return width, height


def _read_sizes(builder: ImageDatasetBuilder) -> dict[str, list]:
    """Returns `size` (width and height), `class` and `split` of each image, from a file beside the records.

    The first call writes the file, because it has to read all records, with their pixels.
    """
    path = pathlib.Path(builder.data_path) / f"sizes-{builder.preparation['fingerprint']}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    rows = collections.defaultdict(list)
    encoded = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    for split in builder.info.splits:
        for record in builder.as_data_source(split, decoders=encoded):
            rows["size"].append([int(record["width"]), int(record["height"])])
            rows["class"].append(record["class"].decode())
            rows["split"].append(split)
    try:
        workdir_lib.write_text(path, json.dumps(rows))
    except OSError as error:
        _log.warning("the sizes of the images cannot be kept for the next start: %s", error)
    return dict(rows)
