"""The label of each image, as a run would label it; classes that a run would refuse become a finding.

M rows.
"""

import dataclasses
from collections.abc import Sequence

import ml_collections
import numpy as np
from jaxtyping import Bool, Int32

from vae_jax.audit.findings import Finding, make_refusal
from vae_jax.audit.inventory import Inventory
from vae_jax.data import class_roles
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.examples import NO_LABEL
from vae_jax.data.labels import label_images, select_anomalies
from vae_jax.data.prepare import BUILDERS
from vae_jax.errors import UserError


def choose_classes(
    data_config: ml_collections.ConfigDict, inventory: Inventory, findings: list[Finding]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the normal and the abnormal classes; if a run would refuse them, those that exist."""
    try:
        return class_roles.choose_class_roles(data_config)
    except UserError as error:
        if not inventory.findings:  # otherwise the same error is listed already
            findings.append(make_refusal("classes", "the classes cannot be chosen", error))
    present = {source.class_name for source in inventory.sources}
    usual = BUILDERS[data_config.dataset].USUAL_NORMAL_CLASSES
    normal = [name for name in data_config.normal_classes if name in present]
    normal = normal or [name for name in sorted(present) if name.lower() in usual]
    abnormal = [name for name in data_config.anomaly_classes if name in present]
    return tuple(normal), tuple(abnormal)


def list_anomalies(
    data_config: ml_collections.ConfigDict,
    other: Inventory,
    classes: tuple[str, ...],
    findings: list[Finding],
) -> list[SourceImage]:
    """Returns the images of the dataset of anomalies that a run tests, under their full names."""
    name = data_config.anomaly_dataset
    class_names = [source.class_name for source in other.sources]
    try:
        rows = select_anomalies(class_names, other.official_test, classes, name)
    except UserError as error:
        findings.append(make_refusal("classes", "the classes cannot be chosen", error))
        rows = np.arange(len(other.sources))
    return [
        dataclasses.replace(
            other.sources[row],
            class_name=f"{name}/{class_names[row]}",
            file=f"{name}/{other.sources[row].file}",
            group=f"{name}/{other.sources[row].group}",
        )
        for row in rows
    ]


def label_rows(
    classes: Sequence[str],
    in_other: Bool[np.ndarray, "M"],
    normal: tuple[str, ...],
    abnormal: tuple[str, ...],
    data_config: ml_collections.ConfigDict,
    findings: list[Finding],
) -> Int32[np.ndarray, "M"]:
    """Returns the label of each row; `NO_LABEL` for all if a run would refuse the classes."""
    labels = np.ones(len(classes), np.int32)
    own = [name for name, is_other in zip(classes, in_other, strict=True) if not is_other]
    if not normal and any(finding.kind in ("classes", "layout") for finding in findings):
        labels[~in_other] = NO_LABEL
        return labels
    anomaly_classes = () if data_config.anomaly_dataset else abnormal
    try:
        own_labels = label_images(own, normal, anomaly_classes, data_config.dataset)
    except UserError as error:
        findings.append(make_refusal("classes", "the classes cannot be labelled", error))
        own_labels = np.array([0 if name in normal else NO_LABEL for name in own], np.int32)
    if data_config.anomaly_dataset:  # only images of the other dataset are anomalies
        own_labels = np.where(own_labels == 1, np.int32(NO_LABEL), own_labels)
    labels[~in_other] = own_labels
    return labels
