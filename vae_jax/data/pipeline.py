"""Prepared data -> a `Dataset` of decoded uint8 images, each of which has a role.

N images, M images of a role.
"""

import dataclasses
import logging

import ml_collections
import numpy as np
from jaxtyping import Int

from vae_jax.data import class_roles
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.examples import NO_LABEL, Dataset, Examples, join_examples
from vae_jax.data.folder_log import log_cropping, log_labels, log_stored_values
from vae_jax.data.framing import Framing
from vae_jax.data.framing_choice import choose_framing
from vae_jax.data.image_store import binarise_images, zero_outside_region
from vae_jax.data.intensity import OWN_RANGE, check_levels
from vae_jax.data.labels import label_images, leave_out_unmarked, select_anomalies
from vae_jax.data.material_contrast import fit_material_levels, normalise_materials
from vae_jax.data.prepare import list_folders_once
from vae_jax.data.prepared_images import read_prepared_images
from vae_jax.data.prepared_sources import join_fingerprints, prepare_anomalies, prepare_normals
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.data.record_decoding import fit_window
from vae_jax.data.region import Region, load_region
from vae_jax.data.role_assignment import assign_roles, group_whole_images
from vae_jax.data.split_summary import SplitSummary, log_split, summarise_split
from vae_jax.data.view import hide_outside_region, measure_view_shares
from vae_jax.data.whole_images import take_whole_images

_log = logging.getLogger(__name__)


@list_folders_once()
def prepare_datasets(data_config: ml_collections.ConfigDict) -> None:
    """Prepares the datasets that the `data` group names; checks the group before any image is read.

    It does not start JAX.

    Raises:
        UserError: if files are missing or damaged, a class does not exist, or two fields contradict.
    """
    class_roles.choose_class_roles(data_config)
    Framing.from_config(data_config)
    prepare_normals(data_config)
    if data_config.anomaly_dataset:
        prepare_anomalies(data_config)


@list_folders_once()
def load_dataset(data_config: ml_collections.ConfigDict, seed: int) -> Dataset:
    """Prepares and decodes images if no earlier start has done so, and gives each image its role.

    Args:
        data_config: the `data` group of the config.
        seed: seed of the split into roles.

    Raises:
        UserError: if files are missing or damaged, a class does not exist, a role would be empty, the
            images cannot be cut into tiles or normalised, or few of their grey levels would be left.
    """
    framing = _choose_framing(data_config)
    region = load_region(data_config)
    groups = None
    if framing.intensity.kind == "percentile":
        framing, groups = _fit_intensity(data_config, framing, region, seed)
    examples, rows_of_role, builder, fingerprints, split = _read_with_roles(
        data_config, framing, seed, groups
    )
    log_split(split, data_config.dataset)
    view_share = measure_view_shares(examples.stored_size, framing)
    examples = dataclasses.replace(examples, view_share=view_share)
    images = take_whole_images(examples)
    if builder.CLASSES is None:
        log_labels(images, data_config.dataset)
        log_cropping(images, data_config)
    train_rows = rows_of_role["train"]
    levels = examples.stored_levels
    check_levels(levels, levels[train_rows], framing.intensity, data_config.dataset)
    log_stored_values(images, data_config)
    material_levels = None
    if data_config.normalise == "material":
        material_levels = fit_material_levels(examples, train_rows, data_config.dataset)
        examples = normalise_materials(examples, material_levels)
    return Dataset(
        name=data_config.dataset,
        fingerprint=join_fingerprints(fingerprints, region),
        image_size=data_config.image_size,
        channels=data_config.channels,
        region=region,
        split=split,
        preprocessing=Preprocessing(
            data_config.dataset,
            framing,
            region,
            material_levels,
            data_config.max_pixels,
            bool(data_config.binarise),
        ),
        **{
            role: binarise_role(take_role(examples, rows, region), data_config.binarise, role)
            for role, rows in rows_of_role.items()
        },
    )


def _choose_framing(data_config: ml_collections.ConfigDict) -> Framing:
    """Returns the framing of the config, with the choice that "auto" stands for."""
    framing = Framing.from_config(data_config)
    if framing.framing != "auto":
        return framing
    builder = prepare_normals(data_config)
    normal_classes, anomaly_classes = class_roles.choose_class_roles(data_config)
    if data_config.anomaly_dataset:
        anomaly_classes = ()  # they are classes of the other dataset
    return choose_framing(framing, builder, data_config, normal_classes, anomaly_classes)


def _fit_intensity(
    data_config: ml_collections.ConfigDict, framing: Framing, region: Region | None, seed: int
) -> tuple[Framing, list[str]]:
    """Returns a framing with a window in place of the percentiles, and the group of each image.

    Roles depend on labels, groups and the seed. The images are therefore decoded once with another
    intensity, to learn which ones train the model. With the window, other images could nearly agree, so
    the groups are kept. Pixels outside the region do not count.
    """
    first = dataclasses.replace(framing, intensity=OWN_RANGE)
    examples, rows_of_role, builder, *_ = _read_with_roles(data_config, first, seed)
    files = {examples.files[row] for row in rows_of_role["train"]}
    window = fit_window(builder, files, framing, region)
    _log.info(
        "%s: data.intensity=%s is %s of the stored values of %d training images",
        data_config.dataset, data_config.intensity, window.key, len(files),
    )  # fmt: skip
    return dataclasses.replace(framing, intensity=window), examples.groups


def _read_with_roles(
    data_config: ml_collections.ConfigDict,
    framing: Framing,
    seed: int,
    groups: list[str] | None = None,
) -> tuple[Examples, dict[str, Int[np.ndarray, "M"]], ImageDatasetBuilder, list[str], SplitSummary]:
    """Returns all images, role -> rows of its images, the builder, the fingerprints, and the split.

    `groups` replaces the groups of the dataset, unless it is None.
    """
    normal_classes, anomaly_classes = class_roles.choose_class_roles(data_config)
    builder = prepare_normals(data_config)
    examples = read_prepared_images(builder, framing, data_config.cache)
    fingerprints = [builder.preparation["fingerprint"]]
    if data_config.anomaly_dataset:
        examples = _label(examples, normal_classes, (), data_config.dataset)
        # Only images of the other dataset are anomalies.
        labels = np.where(examples.labels == 1, np.int32(NO_LABEL), examples.labels)
        examples = dataclasses.replace(examples, labels=labels)
        anomalies, other_fingerprint = _load_anomalies(data_config, framing, anomaly_classes)
        examples = _append_anomalies(examples, anomalies)
        fingerprints.append(other_fingerprint)
    else:
        examples = _label(examples, normal_classes, anomaly_classes, data_config.dataset)
    groups_before = examples.groups
    if groups is None and data_config.group_near_duplicates:
        groups = group_whole_images(examples, framing, builder, data_config.dataset)
    if groups is not None:
        examples = dataclasses.replace(examples, groups=groups)
    rows_of_role = assign_roles(examples, builder, data_config, seed)
    equal_images = builder.preparation.get("equal_images", ())
    split = summarise_split(examples, rows_of_role, equal_images, groups_before)
    return examples, rows_of_role, builder, fingerprints, split


def _label(
    examples: Examples,
    normal_classes: tuple[str, ...],
    anomaly_classes: tuple[str, ...],
    dataset: str,
) -> Examples:
    labels = label_images(examples.classes, normal_classes, anomaly_classes, dataset)
    labels = leave_out_unmarked(labels, examples.unmarked, dataset)
    return dataclasses.replace(examples, labels=labels)


def _load_anomalies(
    data_config: ml_collections.ConfigDict, framing: Framing, classes: tuple[str, ...]
) -> tuple[Examples, str]:
    """Reads the dataset whose images are the anomalies.

    Args:
        data_config: the `data` group of the config; `anomaly_dataset` names the dataset.
        framing: which parts of a stored image the model sees.
        classes: classes to take; () takes all.

    Returns:
        Images of its official test split, or all of them if it has none, with the label 1; and the
        fingerprint of the whole dataset.

    Raises:
        UserError: if no image is left.
    """
    dataset = data_config.anomaly_dataset
    builder = prepare_anomalies(data_config)
    examples = read_prepared_images(builder, framing, data_config.cache)
    rows = select_anomalies(examples.classes, examples.official_test, classes, dataset)
    anomalies = examples.take(rows)
    anomalies = dataclasses.replace(
        anomalies,
        labels=leave_out_unmarked(np.ones(len(anomalies), np.int32), anomalies.unmarked, dataset),
        # Both datasets may have a class 3, or a file of the same name.
        classes=[f"{dataset}/{name}" for name in anomalies.classes],
        files=[f"{dataset}/{name}" for name in anomalies.files],
        groups=[f"{dataset}/{name}" for name in anomalies.groups],
    )
    return anomalies, builder.preparation["fingerprint"]


def _append_anomalies(examples: Examples, anomalies: Examples) -> Examples:
    """Returns the images of both; if `examples` has an official test split, all anomalies belong to it."""
    official_test = None if examples.official_test is None else np.ones(len(anomalies), bool)
    return join_examples([examples, dataclasses.replace(anomalies, official_test=official_test)])


def take_role(examples: Examples, rows: Int[np.ndarray, "M"], region: Region | None) -> Examples:
    """Returns the images of a role. Pixels outside the region are black, so that no method uses them."""
    role = examples.take(rows)
    images, masks, has_mask = role.images, role.masks, role.has_mask
    out_of_view = role.out_of_view
    if region is not None and role.boxes is None:
        out_of_view = hide_outside_region(role, region)
        images = zero_outside_region(images, region.mask)
        masks = None if masks is None else zero_outside_region(masks, region.mask)
    if masks is not None:
        has_mask = has_mask | (role.labels == 0)  # the mask of a normal image is known to be empty
    return dataclasses.replace(
        role, images=images, masks=masks, has_mask=has_mask, out_of_view=out_of_view
    )


def binarise_role(examples: Examples, protocol: str, role: str) -> Examples:
    """Returns the images of a role, black and white if `data.binarise` is not "".

    Training images that are drawn anew in every step keep their greys.

    Args:
        examples: images of the role.
        protocol: `data.binarise`.
        role: name of the role.
    """
    if not protocol:
        return examples
    grey = examples.images if protocol == "dynamic" and role == "train" else None
    return dataclasses.replace(examples, images=binarise_images(examples.images), grey=grey)
