"""Which classes are normal and which abnormal, told from names alone, before any image is read."""

import ml_collections

from vae_jax.data import splits
from vae_jax.data.prepare import BUILDERS, manual_files
from vae_jax.errors import UserError
from vae_jax.names import listed


def chosen(data: ml_collections.ConfigDict) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the normal and the abnormal classes in the datasets' own spelling; () stands for all others.

    Where folders name the classes and the configuration names none, those are normal that are called as
    normal ones usually are.

    Args:
        data: the `data` group of the configuration.

    Raises:
        UserError: names a class that is not known, or all that are there if none has a usual name.
    """
    normal = _known(data.dataset, data.manual_dir, data.normal_classes)
    if data.anomaly_dataset:
        other = _known(data.anomaly_dataset, data.anomaly_manual_dir, data.anomaly_classes)
        return normal, other
    anomaly = _known(data.dataset, data.manual_dir, data.anomaly_classes)
    usual = BUILDERS[data.dataset].USUAL_NORMALS
    if usual and not normal and not anomaly:
        present = _classes(data.dataset, data.manual_dir)
        normal = tuple(name for name in present if name.lower() in usual)
        if not normal:
            raise UserError(
                f"no class in {data.manual_dir} is called {', '.join(usual)}; say which are normal with "
                f"--config.data.normal_classes=NAME; there are {', '.join(present)}"
            )
    return normal, anomaly


def _known(dataset: str, manual_dir: str, names) -> tuple[str, ...]:
    names = listed(names)
    if not names:
        return ()
    return splits.canonical(
        names, _classes(dataset, manual_dir), BUILDERS[dataset].ALIASES, dataset
    )


def _classes(dataset: str, manual_dir: str) -> tuple[str, ...]:
    cls = BUILDERS[dataset]
    return cls.CLASSES or cls.classes_in(manual_files(dataset, manual_dir))
