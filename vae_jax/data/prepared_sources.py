"""The prepared data that a config names: its dataset and, if there is one, the dataset of its anomalies."""

import hashlib

import ml_collections

from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.prepare import list_folders_once, prepare_dataset
from vae_jax.data.region import Region, load_region


def prepare_normals(data_config: ml_collections.ConfigDict) -> ImageDatasetBuilder:
    """Prepares `data.dataset`; it holds the anomalies, too, unless they are from another dataset."""
    return _prepare(data_config, data_config.dataset, data_config.manual_dir)


def prepare_anomalies(data_config: ml_collections.ConfigDict) -> ImageDatasetBuilder:
    """Prepares `data.anomaly_dataset`, which must not be empty."""
    return _prepare(data_config, data_config.anomaly_dataset, data_config.anomaly_manual_dir)


@list_folders_once()
def read_fingerprint(data_config: ml_collections.ConfigDict) -> str:
    """Returns the fingerprint of the data that a config names, without decoding any image.

    It equals the fingerprint of the loaded dataset.

    Raises:
        UserError: if files are missing or damaged.
    """
    fingerprints = [prepare_normals(data_config).preparation["fingerprint"]]
    if data_config.anomaly_dataset:
        fingerprints.append(prepare_anomalies(data_config).preparation["fingerprint"])
    return join_fingerprints(fingerprints, load_region(data_config))


def join_fingerprints(fingerprints: list[str], region: Region | None) -> str:
    """Returns the fingerprint of one or two datasets and of a region of interest from a file."""
    if region is not None and region.digest:
        fingerprints = [*fingerprints, region.digest]
    joined, *others = fingerprints
    for other in others:
        joined = hashlib.sha256((joined + other).encode()).hexdigest()[:16]
    return joined


def _prepare(
    data_config: ml_collections.ConfigDict, dataset: str, manual_dir: str
) -> ImageDatasetBuilder:
    return prepare_dataset(
        dataset,
        manual_dir,
        data_config.dir,
        data_config.skip_corrupt,
        data_config.mask_like_images,
        data_config.mask_values,
        data_config.max_pixels,
    )
