"""Which fields of a config distinguish one run from another, and in which of them two configs differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from vae_jax.workdir import flatten_config

# Two configs that differ only in these fields are the same run: the fields say where the data is stored, or
# what other modes do with a finished run.
_FIELDS_OUTSIDE_A_RUN = (
    "data.dir",
    "data.manual_dir",
    "data.anomaly_manual_dir",
    "data.cache",
    "explore.",
    "ablate.",
)

# With `train.min_steps`, a checkpoint holds other values of these fields than config.json.
_EXTENDED_FIELDS = (
    "train.epochs",
    "train.warmup_epochs",
    "objective.beta_warmup",
    "objective.beta_cycle",
)


# A run that goes on may have another value of these fields, which change nothing unless it breaks.
FREE_FIELDS = ("train.on_nan",)


def run_fields(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns `{"group.field": value}` of the fields that distinguish one run from another."""
    values = flatten_config(config)
    return {
        field: value
        for field, value in values.items()
        if not field.startswith(_FIELDS_OUTSIDE_A_RUN)
    }


def list_differences(
    stored: Mapping[str, Any],
    config: ml_collections.ConfigDict,
    model_only: bool = False,
    changeable: Sequence[str] = (),
) -> str:
    """Compares a config with the one that a checkpoint holds.

    Fields that only one of them has are not compared, nor are fields that `train.min_steps` changes, nor
    those that do not change what is trained.

    Args:
        stored: config in the checkpoint, as nested dicts.
        config: config of the run.
        model_only: whether fields of training are left out too: the parameters can be used anyway.
        changeable: further fields that are left out.

    Returns:
        The fields that differ, with both values; "" if none does.
    """
    old, new = run_fields(ml_collections.ConfigDict(stored)), run_fields(config)
    passed_over = (*_EXTENDED_FIELDS, *FREE_FIELDS, *changeable, "name", "scoring.", "report.")
    passed_over += ("train.",) * model_only
    different = sorted(
        field
        for field in old.keys() & new.keys()
        if old[field] != new[field] and not field.startswith(passed_over)
    )
    return describe_differences(old, new, different)


def describe_differences(
    stored: Mapping[str, Any], new: Mapping[str, Any], fields: Sequence[str]
) -> str:
    """Returns the named fields with their values in both configs, on one line."""
    return "; ".join(f"{field} is {stored[field]} there and {new[field]} here" for field in fields)
