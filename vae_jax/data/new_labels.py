"""Which class folders of new images are normal: those that are normal for the run, by their names.

A label is 0 (normal), 1 (anomaly) or -1 (`NO_LABEL`: the image is not judged).
"""

import pathlib
from collections.abc import Sequence

import ml_collections

from vae_jax.data.builders.folder import Folder
from vae_jax.data.examples import NO_LABEL
from vae_jax.data.prepare import BUILDERS
from vae_jax.errors import UserError
from vae_jax.field_syntax import parse_names


def spell_class(name: str, dataset: str) -> str:
    """Returns a class as the dataset of a run spells it; a name that the dataset lacks stays as it is."""
    builder = BUILDERS[dataset]
    for known in (*(builder.CLASSES or ()), *builder.ALIASES):
        if known.lower() == name.lower():
            return builder.ALIASES.get(known, known)
    return name


def label_classes(
    names: Sequence[str], data_config: ml_collections.ConfigDict, folder: pathlib.Path
) -> dict[str, int]:
    """Labels classes by their names, as training would; upper and lower case are the same.

    Normal are the classes that the config names. If none of them is there, normal are the usual names of
    the folder dataset. If the config names anomalies alone, all other classes are normal.

    Args:
        names: the classes, from `spell_class`.
        data_config: the `data` group of the config.
        folder: the folder of the new images, for the message.

    Raises:
        UserError: if no class is normal and none is named as abnormal.
    """
    dataset = data_config.dataset
    # With another dataset of anomalies, `data.anomaly_classes` are classes of that one.
    named_anomalies = () if data_config.anomaly_dataset else data_config.anomaly_classes
    normal = _match(names, data_config.normal_classes, dataset)
    abnormal = _match(names, named_anomalies, dataset)
    if not data_config.normal_classes and data_config.anomaly_dataset:
        normal = _match(names, BUILDERS[dataset].CLASSES or (), dataset)
    if not normal:
        usual = set(Folder.USUAL_NORMAL_CLASSES)
        normal = {name for name in names if name.lower() in usual} - abnormal
    if not normal and not data_config.normal_classes and named_anomalies:
        normal = set(names) - abnormal
    if not normal and not abnormal:
        wanted = parse_names(data_config.normal_classes) or Folder.USUAL_NORMAL_CLASSES
        raise UserError(
            f"no class in {folder} is called {', '.join(wanted)}; name the normal classes with "
            "--config.data.normal_classes=NAME or, if all images are abnormal, their classes with "
            f"--config.data.anomaly_classes=NAME; the classes are {', '.join(sorted(set(names)))}"
        )
    other = NO_LABEL if named_anomalies else 1
    return {name: 0 if name in normal else 1 if name in abnormal else other for name in names}


def _match(names: Sequence[str], wanted: object, dataset: str) -> set[str]:
    """Returns those of the names that are wanted."""
    keys = {spell_class(name, dataset).lower() for name in parse_names(wanted)}
    return {name for name in names if name.lower() in keys}
