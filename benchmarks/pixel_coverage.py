"""Measures how often the 95 % intervals of pixel metrics contain the true value, in simulations.

    python benchmarks/pixel_coverage.py

Maps have 16x16 pixels of normal noise. Half of the images hold one defect, a rectangle whose values are
higher. Images differ in their noise level and defects in size and strength, so pixels of one image resemble
each other. In the second table five images of one group share level and strength. The true value is
that of 20,000 images. `--trials=N` sets the number of simulated test sets per cell.
"""

import argparse

import numpy as np
from jaxtyping import Bool, Float

from vae_jax.metrics.localisation import Localisation

METRICS = ("pixel_auroc", "pixel_ap", "aupro")
NUM_IMAGES = (20, 40, 100, 200)
_SIDE = 16
_GROUP_SIZE = 5
_NUM_TRUE = 20_000


def draw(
    rng: np.random.Generator, num_images: int, group_size: int
) -> tuple[Float[np.ndarray, "N H W"], Bool[np.ndarray, "N H W"], list[str]]:
    """Returns maps, masks and groups; every second image has a defect."""
    numbers = np.arange(num_images) // group_size
    level = rng.standard_normal(numbers.max() + 1)[numbers]
    strength = 1.5 + rng.standard_normal(numbers.max() + 1)[numbers]
    maps = rng.standard_normal((num_images, _SIDE, _SIDE)) + 0.5 * level[:, None, None]
    masks = np.zeros(maps.shape, bool)
    for i in range(1, num_images, 2):
        height, width = rng.integers(1, 7, 2)
        top, left = rng.integers(0, _SIDE - height), rng.integers(0, _SIDE - width)
        masks[i, top : top + height, left : left + width] = True
    return maps + strength[:, None, None] * masks, masks, [str(number) for number in numbers]


def measure(rng: np.random.Generator, num_images: int, group_size: int, seed: int) -> dict:
    """Returns the pixel metrics of one simulated test set."""
    localisation = Localisation(seed)
    maps, masks, groups = draw(rng, num_images, group_size)
    localisation.update(maps, masks, groups=groups)
    return localisation.result()


def find_true_values(seed: int = 1) -> dict[str, float]:
    """Returns the pixel metrics of many images."""
    localisation = Localisation(num_resamples=1)
    rng = np.random.default_rng(seed)
    for _ in range(_NUM_TRUE // 500):
        maps, masks, _ = draw(rng, 500, 1)
        localisation.update(maps, masks)
    return localisation.result()


def measure_coverage(
    truths: dict[str, float], num_images: int, group_size: int, trials: int
) -> list[float]:
    """Returns the coverage of the interval of each metric."""
    rng = np.random.default_rng(0)
    covered = np.zeros(len(METRICS))
    for trial in range(trials):
        intervals = measure(rng, num_images, group_size, trial)["intervals"]
        covered += [
            intervals[name]["low"] <= truths[name] <= intervals[name]["high"] for name in METRICS
        ]
    return (covered / trials).tolist()


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=400)
    trials = parser.parse_args().trials
    truths = find_true_values()
    for group_size in (1, _GROUP_SIZE):
        print(f"\nGroups of {group_size}:\n\n| images | {' | '.join(METRICS)} |\n|---|---|---|---|")
        for num_images in NUM_IMAGES:
            shares = measure_coverage(truths, num_images, group_size, trials)
            print(f"| {num_images} | {' | '.join(f'{s:.3f}' for s in shares)} |", flush=True)


if __name__ == "__main__":
    main()
