"""Which runs differ only in their seed, which have the same dataset, and how they are called."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.comparison.stored_run import StoredRun
from vae_jax.config_differences import FREE_FIELDS
from vae_jax.errors import UserError
from vae_jax.metrics.seeds import summarise_runs
from vae_jax.runtime.printable import make_printable

# Fields that change nothing that the deciding score of a run depends on.
_FIELDS_WITHOUT_EFFECT = (
    "seed",
    "name",
    "report.",
    "scoring.names",
    "scoring.decision",  # the deciding score itself is compared
    "scoring.bootstrap_resamples",
    *FREE_FIELDS,
)
# Fields that say which images are normal and abnormal; all others say what is done with them.
_FIELDS_OF_DATASET = (
    "data.dataset",
    "data.anomaly_dataset",
    "data.normal_classes",
    "data.anomaly_classes",
)
# Further fields in which one method has to differ between datasets.
_FIELDS_BESIDE_METHOD = (
    *_FIELDS_OF_DATASET,
    "data.channels",
    "data.mask_values",
    "data.mask_like_images",
    "data.max_pixels",
    "data.skip_corrupt",
)
_MAX_FIELDS = 3  # that a label shows


@dataclasses.dataclass(frozen=True)
class Setting:
    """Runs that differ only in their seed.

    Attributes:
        label: name for readers, unique in a comparison.
        dataset: name of their dataset, unique in a comparison.
        method: what identifies a config apart from its dataset.
        runs: the runs, in ascending order of their seeds.
    """

    label: str
    dataset: str
    method: str
    runs: tuple[StoredRun, ...]

    @property
    def deciding(self) -> str:
        """Name of the score that decides."""
        return self.runs[0].deciding

    def summarise_auroc(self) -> dict[str, float | int]:
        """Returns mean, spread and interval of the AUROC over seeds, as `summarise_runs` does."""
        return summarise_runs(np.array([run.auroc["value"] for run in self.runs]))


def group_runs(runs: Sequence[StoredRun]) -> list[Setting]:
    """Returns the settings of the runs, in the order of their first runs.

    Raises:
        UserError: if two runs have the same config and the same seed: one of them would count twice.
    """
    groups: dict[str, list[StoredRun]] = {}
    for run in runs:
        groups.setdefault(_encode(_list_effective(run) | _list_task(run)), []).append(run)
    for members in groups.values():
        _refuse_repetition(members)
    firsts = [members[0] for members in groups.values()]
    labels = label_settings(
        [(run.name, _list_effective(run)) for run in firsts], [run.fingerprint for run in firsts]
    )
    datasets = _label_datasets(firsts)
    return [
        Setting(
            label,
            dataset,
            _encode(_drop(_list_effective(members[0]), _FIELDS_BESIDE_METHOD)),
            tuple(sorted(members, key=lambda run: run.seed)),
        )
        for label, dataset, members in zip(labels, datasets, groups.values(), strict=True)
    ]


def label_settings(
    settings: Sequence[tuple[str, Mapping[str, Any]]], fingerprints: Sequence[str] = ()
) -> list[str]:
    """Returns a unique label for each setting: its name, and where names repeat also fields that differ.

    Args:
        settings: name and fields of each setting.
        fingerprints: fingerprint of the dataset of each setting, for labels that would be equal otherwise.
    """
    labels = []
    for name, fields in settings:
        same = [other for other_name, other in settings if other_name == name]
        names = set().union(*same)
        different = sorted(
            field
            for field in names
            if any(other.get(field) != same[0].get(field) for other in same)
        )
        texts = [f"{field}={_shorten(fields.get(field))}" for field in different[:_MAX_FIELDS]]
        if len(different) > _MAX_FIELDS:
            texts.append(f"{len(different) - _MAX_FIELDS} more")
        labels.append(f"{name} ({', '.join(texts)})" if texts else name)
    if fingerprints:
        labels = [
            label if labels.count(label) == 1 else f"{label}, images {fingerprint[:8]}"
            for label, fingerprint in zip(labels, fingerprints, strict=True)
        ]
    return [
        make_printable(f"{label} #{labels[:i].count(label) + 1}" if label in labels[:i] else label)
        for i, label in enumerate(labels)
    ]


def label_methods(settings: Iterable[Setting]) -> dict[str, str]:
    """Returns method -> name for readers, which is unique."""
    firsts: dict[str, StoredRun] = {}
    names: dict[str, list[str]] = {}
    for setting in settings:
        firsts.setdefault(setting.method, setting.runs[0])
        names.setdefault(setting.method, []).append(setting.runs[0].name)
    labels = label_settings(
        [
            (
                "/".join(dict.fromkeys(names[method])),
                _drop(_list_effective(run), _FIELDS_BESIDE_METHOD),
            )
            for method, run in firsts.items()
        ]
    )
    return dict(zip(firsts, labels, strict=True))


def _list_effective(run: StoredRun) -> dict[str, Any]:
    """Returns the fields that the deciding score depends on, and the name of that score."""
    return _drop(run.fields, _FIELDS_WITHOUT_EFFECT) | {"score": run.deciding}


def _list_task(run: StoredRun) -> dict[str, Any]:
    """Returns what identifies the dataset of a run: its images, and which of them are abnormal."""
    return {"images": run.fingerprint[:8]} | {
        field: run.fields.get(field) for field in _FIELDS_OF_DATASET
    }


def _label_datasets(runs: Sequence[StoredRun]) -> list[str]:
    """Returns the name of the dataset of each run; equal names stand for equal datasets."""
    tasks: dict[str, tuple[str, dict[str, Any]]] = {}
    for run in runs:
        tasks.setdefault(_encode(_list_task(run)), (_name_dataset(run), _list_task(run)))
    labels = dict(zip(tasks, label_settings(list(tasks.values())), strict=True))
    return [labels[_encode(_list_task(run))] for run in runs]


def _name_dataset(run: StoredRun) -> str:
    """Returns the name of the dataset; a folder of the user is called as the config is."""
    name = run.results["dataset"]["name"]
    return run.name if name == "folder" else name


def _refuse_repetition(runs: Sequence[StoredRun]) -> None:
    by_seed: dict[int, StoredRun] = {}
    for run in runs:
        if run.seed in by_seed:
            raise UserError(
                f"--workdir={by_seed[run.seed].workdir} and --workdir={run.workdir} have the same config "
                f"and the seed {run.seed}, and one run must not count twice; leave one of them out"
            )
        by_seed[run.seed] = run


def _drop(fields: Mapping[str, Any], dropped: tuple[str, ...]) -> dict[str, Any]:
    return {field: value for field, value in fields.items() if not field.startswith(dropped)}


def _encode(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, default=str)


def _shorten(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = text or "none"
    return text if len(text) <= 40 else f"{text[:37]}..."
