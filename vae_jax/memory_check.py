"""Refuses a config whose sizes certainly do not fit into memory, before anything is computed."""

import ml_collections

from vae_jax.config import default
from vae_jax.memory_needs import Need, list_needs
from vae_jax.runtime.available_memory import check_fits, has_accelerator, measure_available_bytes
from vae_jax.workdir import flatten_config, override_fields

_GROUPS_OF_SIZES = ("data.", "model.", "train.", "scoring.", "report.", "explore.")
_MAX_NAMED = 3  # fields that a message names


def check_memory(
    config: ml_collections.ConfigDict, mode: str, available: int | None = None
) -> None:
    """Refuses what does not fit into the memory of this machine, without JAX.

    What a device holds is left out if JAX may have an accelerator: `check_device_memory` checks it later.

    Args:
        config: resolved and valid config.
        mode: mode of the command.
        available: bytes of memory for all needs; None asks the system.

    Raises:
        UserError: has the memory that is needed, the memory that there is, and the fields to lower.
    """
    needs = list_needs(config, mode)
    if available is None:
        available = measure_available_bytes()
        if has_accelerator():
            needs = [need for need in needs if not need.on_device]
    _check_needs(config, mode, needs, available, 1)


def check_device_memory(config: ml_collections.ConfigDict, mode: str) -> None:
    """Refuses what does not fit into the memory of JAX's devices; this starts JAX.

    Raises:
        UserError: has the memory that is needed, the memory that there is, and the fields to lower.
    """
    import jax

    if jax.default_backend() == "cpu":
        # All devices of a process share the memory of the machine.
        available, num_devices = measure_available_bytes(), jax.process_count()
    else:
        available = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
        num_devices = jax.device_count()
    if available:
        needs = [need for need in list_needs(config, mode, num_devices) if need.on_device]
        _check_needs(config, mode, needs, available, num_devices)


def _check_needs(
    config: ml_collections.ConfigDict,
    mode: str,
    needs: list[Need],
    available: int,
    num_devices: int,
) -> None:
    worst = max(needs, key=lambda need: need.num_bytes, default=None)
    if worst is None or worst.num_bytes <= available:
        return
    fields = _find_fields(config, mode, worst, available, num_devices)
    values = flatten_config(config)
    named = " or ".join(f"{field} (it is {values[field]})" for field in fields)
    advice = f"lower {named}" if named else "use a machine with more memory"
    check_fits(worst.purpose, worst.num_bytes, available, advice)


def _find_fields(
    config: ml_collections.ConfigDict, mode: str, need: Need, available: int, num_devices: int
) -> list[str]:
    """Returns the fields that make a need large, the one that matters most first.

    Each field by itself gets its default value. The fields with which the need would then fit are returned;
    if there are none, those that lower it most.
    """
    defaults, reduced = flatten_config(default()), {}
    for field, value in flatten_config(config).items():
        if not field.startswith(_GROUPS_OF_SIZES) or value == defaults[field]:
            continue
        numbers = value if isinstance(value, list) else [value]
        if any(type(number) is not int for number in numbers):  # neither a size nor widths
            continue
        changed = config.copy_and_resolve_references()
        override_fields(changed, {field: defaults[field]})
        sizes = {n.purpose: n.num_bytes for n in list_needs(changed, mode, num_devices)}
        if sizes.get(need.purpose, 0) < need.num_bytes:
            reduced[field] = sizes.get(need.purpose, 0)
    order = sorted(reduced, key=reduced.get)
    return ([field for field in order if reduced[field] <= available] or order)[:_MAX_NAMED]
