"""How a number varies over training runs that differ only in their seed. Names: `S` runs."""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit


def summarise_runs(values: Float[np.ndarray, "S"]) -> dict[str, float | int]:
    """Returns mean, spread and interval of a number over training runs.

    Args:
        values: the number of each run.

    Returns:
        `mean`; `num_seeds`; `spread`, the standard deviation over runs (S - 1 in the denominator); `low`
        and `high`, the 95 % t-interval of the mean. For a single run there is neither spread nor interval.

    Raises:
        ValueError: if there is no value, or if a value is not finite.
    """
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f"values are {values.tolist()}; give one finite number per seed, at least one"
        )
    num_seeds, mean = len(values), float(values.mean())
    if num_seeds == 1:
        return {"mean": mean, "num_seeds": num_seeds}
    spread = float(values.std(ddof=1))
    reach = float(stdtrit(num_seeds - 1, 0.975)) * spread / math.sqrt(num_seeds)
    return {
        "mean": mean,
        "num_seeds": num_seeds,
        "spread": spread,
        "low": mean - reach,
        "high": mean + reach,
    }
