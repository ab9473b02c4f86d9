"""Which classes are normal and which abnormal, told from names alone, before any image is read."""

from typing import Any

import ml_collections

from vae_jax.data.labels import resolve_class_names
from vae_jax.data.prepare import BUILDERS, list_manual_files
from vae_jax.errors import UserError
from vae_jax.validate import parse_names


def choose_class_roles(data: ml_collections.ConfigDict) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the normal and the abnormal classes in the datasets' own spelling; () stands for all others.

    Where folders name the classes and the configuration names no normal one, those are normal that are
    called as normal ones usually are.

    Args:
        data: the `data` group of the configuration.

    Raises:
        UserError: names a class that is not known, or, if no class is named and none has a usual name, all
            that are there.
    """
    present = _classes(data.dataset, data.manual_dir)
    normal = _known(data.normal_classes, data.dataset, present)
    if data.anomaly_dataset:
        others = _classes(data.anomaly_dataset, data.anomaly_manual_dir)
        anomaly = _known(data.anomaly_classes, data.anomaly_dataset, others)
    else:
        anomaly = _known(data.anomaly_classes, data.dataset, present)
    usual = BUILDERS[data.dataset].USUAL_NORMAL_CLASSES
    if usual and not normal:
        normal = tuple(name for name in present if name.lower() in usual)
        if not normal and (data.anomaly_dataset or not anomaly):
            raise UserError(
                f"no class in {data.manual_dir} is called {', '.join(usual)}; say which are normal with "
                f"--config.data.normal_classes=NAME; there are {', '.join(present)}"
            )
    return normal, anomaly


def _known(names: Any, dataset: str, present: tuple[str, ...]) -> tuple[str, ...]:
    return resolve_class_names(parse_names(names), present, BUILDERS[dataset].ALIASES, dataset)


def _classes(dataset: str, manual_dir: str) -> tuple[str, ...]:
    cls = BUILDERS[dataset]
    return cls.CLASSES or cls.list_classes(list_manual_files(dataset, manual_dir))
