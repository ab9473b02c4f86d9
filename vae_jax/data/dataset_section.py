"""The section `dataset` of results.json. A value that does not apply is absent."""

import numpy as np

from vae_jax.data.examples import Dataset
from vae_jax.data.split_summary import SplitSummary
from vae_jax.data.view import Coverage, count_mask_regions, summarise_view
from vae_jax.data.whole_images import view_whole_images

_MAX_DUPLICATE_FILES = 1000  # named in results.json; the others are only counted


def describe_dataset(dataset: Dataset) -> dict:
    """Describes the data: its name, its images and the number of images of each role.

    Whole images are counted; the entry `tiles` says how many tiles they were cut into. The entry `view` is
    there if not all of each test image, or not every marked anomaly, is in view. The entry
    `mask_regions` is there if masks mark regions: `enlarged` is the number of those that have one pixel
    only because no region may be lost where masks are resized. The entry `split` is there if images were
    left out of training or kept together.
    """
    images = view_whole_images(dataset)
    labels = images.test.labels
    view = summarise_view(images.test)
    num_regions, num_kept = count_mask_regions(dataset.test)
    regions = {"marked": num_regions, "enlarged": num_kept}
    is_seen_whole = view.num_partial == view.num_out_of_view == 0
    roles = ("train", "val", "calibration", "test")
    tiles = {role: len(getattr(dataset, role)) for role in roles}
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "image_size": dataset.image_size,
        "channels": dataset.channels,
        "counts": {
            "train": len(images.train),
            "val": len(images.val),
            "calibration": len(images.calibration),
            "test_normal": int(np.sum(labels == 0)),
            "test_anomaly": int(np.sum(labels == 1)),
        },
        **({} if dataset.test.boxes is None else {"tiles": tiles}),
        **({} if is_seen_whole else {"view": _describe_view(view)}),
        **({"mask_regions": regions} if num_regions else {}),
        **({"split": split} if (split := _describe_split(dataset.split)) else {}),
    }


def _describe_split(split: SplitSummary | None) -> dict:
    """Returns what the split left out or kept together; an entry that would be 0 is absent."""
    if split is None:
        return {}
    entry = {}
    if split.duplicates:
        entry["duplicates_left_out"] = len(split.duplicates)
        entry["duplicate_files"] = dict(list(split.duplicates.items())[:_MAX_DUPLICATE_FILES])
    if split.grouped:
        entry["grouped_left_out"] = len(split.grouped)
    if split.num_near_duplicates:
        entry["near_duplicates"] = split.num_near_duplicates
        entry["near_duplicate_groups"] = split.num_near_duplicate_groups
    return entry


def _describe_view(view: Coverage) -> dict:
    entry = {"mean_share": view.mean_share, "partial_images": view.num_partial}
    if view.num_masked_anomalies:
        entry["masked_anomalies"] = view.num_masked_anomalies
        entry["anomalies_out_of_view"] = view.num_out_of_view
    return entry
