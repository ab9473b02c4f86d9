"""What several training runs, alike but for their seed, say about a number. S runs."""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit


def over_seeds(values: Float[np.ndarray, "S"]) -> dict[str, float | int]:
    """Returns how a number varies from training run to training run.

    Args:
        values: the number, one a seed.

    Returns:
        `mean`; `num_seeds`; `spread`, the standard deviation of a run (S - 1 in the denominator); `low`
        and `high`, the 95 % t-interval of the mean. One run has neither spread nor interval.

    Raises:
        ValueError: without a value, or if one is not finite.
    """
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"values are {values.tolist()}; one finite number a seed is needed")
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
