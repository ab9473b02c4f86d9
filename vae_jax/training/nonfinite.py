"""Training breaks where a loss, a gradient or a parameter is NaN or infinite: how this is noticed."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.errors import UserError
from vae_jax.training.state import TrainState

# In the order of computation: the first of them that is not finite shows where a step broke.
_TERMS = ("reconstruction", "frequency", "kl", "loss", "gradient_norm")
# What a term is called in messages, where that is not its name in metrics.jsonl.
_DESCRIPTIONS = {"frequency": "frequency (the spectral term)"}
ADVICE = (
    "a lower train.learning_rate or train.clip_norm, a warm-up (train.warmup_epochs), or a higher "
    "model.sigma"
)


class NonFiniteError(UserError):
    """A number of the training is NaN or infinite.

    Attributes:
        step: number of updates that were made before the number was computed.
        fault: the step, what is not finite, and its value, as the beginning of a sentence.
        params: the parameters that were there, if a state after the step was checked; None if the number
            was computed within a step, whose parameters are not there any more.
    """

    def __init__(self, step: int, fault: str, folder: pathlib.Path, params: dict | None = None):
        self.step, self.params = step, params
        self.fault = f"training broke at step {step}: {fault}"
        super().__init__(
            f"{self.fault}; the last finite checkpoint stays in {folder}. Train again into another "
            f"--workdir with {ADVICE}"
        )


def check_metrics(
    metrics: dict[str, np.ndarray],
    first_step: int,
    folder: pathlib.Path,
    params: dict | None = None,
) -> None:
    """Raises an error if a metric is NaN or infinite.

    Args:
        metrics: values of each metric for consecutive steps, [steps], or for one validation, [1].
        first_step: number of the first of these steps.
        folder: folder of the checkpoints, which the error names.
        params: parameters that the metrics were computed with, if these are still there.

    Raises:
        NonFiniteError: names the step, the first term that is not finite, and what to try.
    """
    first_broken = {
        name: int(np.argmin(np.isfinite(metrics[name])))
        for name in _TERMS
        if name in metrics and not np.isfinite(metrics[name]).all()
    }
    if not first_broken:
        return
    step = min(first_broken.values())
    term = next(name for name, broken_step in first_broken.items() if broken_step == step)
    fault = f"{_DESCRIPTIONS.get(term, term)} is {metrics[term][step]}"
    raise NonFiniteError(first_step + step, fault, folder, params)


def check_state(state: TrainState, folder: pathlib.Path) -> None:
    """Raises an error if a parameter, or a number of the optimizer, is NaN or infinite.

    Args:
        state: state that is about to be saved.
        folder: folder of the checkpoints, which the error names.

    Raises:
        NonFiniteError: names the parameter.
    """
    if has_finite_arrays(state):
        return
    path = find_nonfinite(state.params)
    fault = f"the parameter {path} is not finite" if path else "the optimizer is not finite"
    raise NonFiniteError(int(state.step), fault, folder, state.params)


def has_finite_arrays(state: TrainState) -> bool:
    """Returns whether all parameters and all numbers of the optimizer are finite."""
    return bool(_are_finite((state.params, state.opt_state)))


@jax.jit
def _are_finite(tree):
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def find_nonfinite(params: dict) -> str | None:
    """Returns the path of the first parameter that is not finite, for example `encoder/mu/kernel`."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        if not np.isfinite(np.asarray(leaf)).all():
            return format_path(path)
    return None


def format_path(path: tuple) -> str:
    """Returns a path of JAX as names that are separated by slashes."""
    return "/".join(str(key.key) for key in path)
