"""Labels images as normal or abnormal by the names of their classes.

N images; a label is 0 (normal), 1 (anomaly) or -1 (`NO_LABEL`: no role takes the image).
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int, Int32

from vae_jax.data.examples import NO_LABEL
from vae_jax.errors import UserError, suggest_name

_log = logging.getLogger(__name__)


def resolve_class_names(
    names: Sequence[str], classes: Sequence[str], aliases: Mapping[str, str], dataset: str
) -> tuple[str, ...]:
    """Replaces aliases of classes by the names that the dataset itself uses, and drops repetitions.

    Args:
        names: names to resolve.
        classes: names that the dataset uses.
        aliases: other name of a class -> name that the dataset uses.
        dataset: name of the dataset, for the message.

    Raises:
        UserError: if the dataset has no class of a name; the message suggests similar names.
    """
    for name in names:
        if name not in classes and name not in aliases:
            hint = suggest_name(name, [*classes, *aliases], max_suggestions=3)
            message = f"{dataset} has no class {name!r}; valid: {', '.join(classes)}"
            raise UserError(f"{message}; {hint}" if hint else message)
    return tuple(dict.fromkeys(aliases.get(name, name) for name in names))


def label_images(
    classes: Sequence[str],
    normal_classes: Sequence[str],
    anomaly_classes: Sequence[str],
    dataset: str,
) -> Int32[np.ndarray, "N"]:
    """Labels each image by its class.

    If one of the two lists is empty, it stands for all classes that are not in the other list. If both are
    empty, all images are normal. If both have names, images of any other class get `NO_LABEL`.

    Args:
        classes: class of each of N images.
        normal_classes: classes of normal images.
        anomaly_classes: classes of anomalies.
        dataset: name of the dataset, for messages.

    Raises:
        UserError: if a class is in both lists, or there is no image of any class of a list.
    """
    in_both = sorted(set(normal_classes) & set(anomaly_classes))
    if in_both:
        raise UserError(
            f"class {in_both[0]} is in both data.normal_classes and data.anomaly_classes; remove it from "
            "one of them"
        )
    present = sorted(set(classes))
    for name in (*normal_classes, *anomaly_classes):
        if name not in present:
            _log.info("%s: there is no image of class %s; continuing without it", dataset, name)
    normal = set(normal_classes) or set(present) - set(anomaly_classes)
    abnormal = set(anomaly_classes) or (set(present) - normal if normal_classes else set())
    labels = np.array(
        [0 if name in normal else 1 if name in abnormal else NO_LABEL for name in classes], np.int32
    )
    for label, field, names in ((0, "normal", normal_classes), (1, "anomaly", anomaly_classes)):
        if not np.any(labels == label) and (label == 0 or names):
            raise UserError(
                f"{dataset} has no image of data.{field}_classes={','.join(names) or '()'}; "
                f"classes with images: {', '.join(present)}"
            )
    return labels


def leave_out_unmarked(
    labels: Int32[np.ndarray, "N"], unmarked: Bool[np.ndarray, "N"] | None, dataset: str
) -> Int32[np.ndarray, "N"]:
    """Returns labels in which slices of abnormal volumes without a marked pixel have `NO_LABEL`.

    Such a slice shows nothing abnormal, but its volume is abnormal, so it is not known to be normal either.

    Args:
        labels: label of each image, by its class.
        unmarked: `Examples.unmarked`.
        dataset: name of the dataset, for the log.
    """
    left_out = np.zeros(len(labels), bool) if unmarked is None else unmarked & (labels == 1)
    if left_out.any():
        _log.info(
            "%s: %d of %d abnormal images are not used, because they are slices in which the mask of their "
            "volume marks nothing",
            dataset, left_out.sum(), (labels == 1).sum(),
        )  # fmt: skip
    return np.where(left_out, np.int32(NO_LABEL), labels)


def select_anomalies(
    classes: Sequence[str],
    official_test: Bool[np.ndarray, "N"] | None,
    anomaly_classes: Sequence[str],
    dataset: str,
) -> Int[np.ndarray, "M"]:
    """Selects the images of a dataset that serve as the anomalies of another dataset.

    Args:
        classes: class of each of N images.
        official_test: which images belong to the official test split, which alone is used; None if there
            is no such split.
        anomaly_classes: classes to select; () selects all.
        dataset: name of the dataset of anomalies, for the message.

    Returns:
        Indices of the selected images, ascending.

    Raises:
        UserError: if no image is left.
    """
    selected = np.ones(len(classes), bool) if official_test is None else official_test
    if anomaly_classes:
        selected = selected & np.isin(classes, anomaly_classes)
    if not selected.any():
        raise UserError(
            f"{dataset} has no image of data.anomaly_classes={','.join(anomaly_classes)}"
            f"{'' if official_test is None else ' in its official test split'}; name other classes"
        )
    return np.flatnonzero(selected)
