"""Which classes are normal and which abnormal. Names alone decide this, before any image is read."""

from typing import Any

import ml_collections

from vae_jax.data.labels import resolve_class_names
from vae_jax.data.prepare import BUILDERS, list_manual_files
from vae_jax.errors import UserError
from vae_jax.field_syntax import parse_names


def choose_class_roles(
    data_config: ml_collections.ConfigDict,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the normal and the abnormal classes, spelled as in the dataset; () means all other classes.

    If the classes are named by the user's folders and the config names no normal class, then the
    classes with a usual name for normal images are normal.

    Args:
        data_config: the `data` group of the config.

    Raises:
        UserError: if the config names a class that does not exist, or if it names no class and no
            class has a usual name. The message lists the classes that exist.
    """
    classes = _list_classes(data_config.dataset, data_config.manual_dir)
    normal = _spell_as_in_dataset(data_config.normal_classes, data_config.dataset, classes)
    if data_config.anomaly_dataset:
        anomaly_classes = _list_classes(data_config.anomaly_dataset, data_config.anomaly_manual_dir)
        anomaly = _spell_as_in_dataset(
            data_config.anomaly_classes, data_config.anomaly_dataset, anomaly_classes
        )
    else:
        anomaly = _spell_as_in_dataset(data_config.anomaly_classes, data_config.dataset, classes)
    usual_names = BUILDERS[data_config.dataset].USUAL_NORMAL_CLASSES
    if usual_names and not normal:
        normal = tuple(name for name in classes if name.lower() in usual_names)
        if not normal and (data_config.anomaly_dataset or not anomaly):
            raise UserError(
                f"no class in {data_config.manual_dir} is called {', '.join(usual_names)}; name the normal "
                f"classes with --config.data.normal_classes=NAME; the classes are {', '.join(classes)}"
            )
    return normal, anomaly


def _spell_as_in_dataset(names: Any, dataset: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    return resolve_class_names(parse_names(names), classes, BUILDERS[dataset].ALIASES, dataset)


def _list_classes(dataset: str, manual_dir: str) -> tuple[str, ...]:
    builder_class = BUILDERS[dataset]
    if builder_class.CLASSES is not None:
        return builder_class.CLASSES
    return builder_class.list_classes(list_manual_files(dataset, manual_dir))
