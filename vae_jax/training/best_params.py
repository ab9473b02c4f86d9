"""The parameters of a finished run: those of its best checkpoint, for the data that it was trained on."""

import functools
import logging
import pathlib

from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError
from vae_jax.training.checkpoint import Checkpoints

log = logging.getLogger(__name__)


def refuse_other_data(workdir: pathlib.Path, fingerprint: str) -> None:
    """Refuses data that differs from the data of a run, because its report would be about other images.

    Args:
        workdir: workdir of the run; without a checkpoint nothing is refused here.
        fingerprint: fingerprint of the data.

    Raises:
        UserError: if the fingerprints differ.
    """
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        step = checkpoints.best_step()
        data = {} if step is None else checkpoints.read_data(step)
    trained = data.get("fingerprint", fingerprint)  # who reads the parameters reports damage
    if trained != fingerprint:
        raise UserError(
            f"these are not the images of the run in {workdir} (fingerprint {trained} in training, "
            f"{fingerprint} now), and its report is about those images; judge others with "
            "--mode=evaluate --input=DIR, or name the run's own with --config.data.manual_dir=DIR"
        )


def load_best_params(workdir: pathlib.Path, fingerprint: str) -> dict:
    """Returns the parameters of a run's best checkpoint, and warns if the data has changed since training.

    Args:
        workdir: workdir of the run.
        fingerprint: fingerprint of the data that the parameters will be used with.

    Raises:
        UserError: if the workdir holds no checkpoint of a validated epoch, or if the best one is gone,
            damaged or of another config than config.json.
    """
    # A run that was trained by calls in Python has no config.json.
    has_config = (workdir / "config.json").exists()
    read_config = functools.partial(workdir_lib.read_config, workdir) if has_config else None
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        step = checkpoints.best_step()
        if step is None:
            raise UserError(f"{workdir} holds no checkpoint of a validated epoch; train it first")
        params, data = checkpoints.restore_params(step, read_config)
    if data["fingerprint"] != fingerprint:
        log.warning(
            "the data differs from the data that this model was trained on "
            "(fingerprint %s in training, %s now)",
            data["fingerprint"], fingerprint,
        )  # fmt: skip
    return params
