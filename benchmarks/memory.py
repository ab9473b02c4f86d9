"""Peak memory of training and of scoring each shipped config, and whether scoring a large set stays flat.

    python benchmarks/memory.py
    python benchmarks/memory.py --configs=kvasir,mnist --few=500 --many=5000 --scored=10000

Each figure comes from a fresh process, on images that are made up: their content changes nothing. A
process that has only built the model and its images stands in the first column, so that the rest is what
training and scoring need on top. Scoring is flat when its peak does not grow with the images; those
given to it here take the memory of one row of pixels each. The last line is one JSON object.
"""

import argparse
import concurrent.futures
import json
import multiprocessing

import models

_STEPS = 4  # of training; memory is at its peak after the first
_MASK = 24  # side of the square that counts as abnormal in each image


def of_training(file: str, variant: str) -> dict[str, int]:
    """Returns peaks in bytes of a config's training: before the first step, and after a few."""
    import jax

    from vae_jax.runtime.memory import measure_peak_memory_bytes
    from vae_jax.training.step import make_train_step

    config = models.shipped(file, variant)
    models.set_up(config.train.precision)
    size, channels = config.data.image_size, config.data.channels
    recipe, state, hyperparameters = models.our_training(config, _STEPS)
    batch = models.our_batch(models.scrolled(config.train.batch_size, size, channels))
    jax.block_until_ready((state, batch))
    before = measure_peak_memory_bytes()
    train_step = jax.jit(make_train_step(recipe), donate_argnums=0)
    for _ in range(_STEPS):
        state, metrics = train_step(state, batch, hyperparameters)
    jax.block_until_ready((state, metrics))
    return {"model": before, "training": measure_peak_memory_bytes()}


def of_scoring(file: str, variant: str, counts: list[int]) -> dict[int, int]:
    """Returns the peak in bytes after scoring each number of images, the fewest first, by every score."""
    import jax
    import numpy as np

    from vae_jax.model.vae import build_model
    from vae_jax.runtime.memory import measure_peak_memory_bytes
    from vae_jax.scoring.fits import fit_scores
    from vae_jax.scoring.inference import TrainedModel
    from vae_jax.scoring.scorer import make_scorer

    config = models.shipped(file, variant)
    models.set_up(config.train.precision)
    scoring_config, size, channels = config.scoring, config.data.image_size, config.data.channels
    names = [name for name in scoring_config.names if name != "fusion"]
    images = models.scrolled(max(counts), size, channels)
    given = None
    if scoring_config.condition == "given":
        given = np.zeros(max(counts), np.int32)
    _, state, _ = models.our_training(config, _STEPS)
    trained = TrainedModel(build_model(config), state.params, scoring_config.batch_size)
    fits = fit_scores(
        names, trained, images[:512].copy(), scoring_config, config.seed,
        None if given is None else given[:512],
    )  # fmt: skip
    score = make_scorer(trained.model, names, scoring_config, config.seed, jax.devices())
    peaks = {}
    for count in counts:
        classes = None if given is None else given[:count]
        score(trained.params, images[:count], classes, fits=fits)
        peaks[count] = measure_peak_memory_bytes()
    return peaks


def of_localising(file: str, variant: str, counts: list[int]) -> dict[int, int]:
    """Returns the same of holding each score's maps against masks."""
    import numpy as np

    from vae_jax.data.examples import Dataset, Examples
    from vae_jax.model.vae import build_model
    from vae_jax.runtime.memory import measure_peak_memory_bytes
    from vae_jax.scoring.anomaly_maps import measure_localisation
    from vae_jax.scoring.baselines import Baselines
    from vae_jax.scoring.inference import TrainedModel
    from vae_jax.scoring.setup import ScoringSetup

    config = models.shipped(file, variant)
    models.set_up(config.train.precision)
    size, channels = config.data.image_size, config.data.channels
    images = models.scrolled(max(counts), size, channels)
    square = np.zeros((size, size), np.uint8)
    square[:_MASK, :_MASK] = 1

    def examples(count: int) -> Examples:
        return Examples(
            images=images[:count],
            labels=np.ones(count, np.int32),
            classes=[""] * count,
            files=[""] * count,
            groups=[""] * count,
            stored_size=np.ones((count, 3), np.int32),
            masks=np.broadcast_to(square, (count, size, size)),
            has_mask=np.ones(count, bool),
        )

    _, state, _ = models.our_training(config, _STEPS)
    trained = TrainedModel(build_model(config), state.params, config.scoring.batch_size)
    train, calibration = examples(512), examples(256)
    peaks = {}
    for count in counts:
        dataset = Dataset("", "", size, channels, train, calibration, calibration, examples(count))
        setup = ScoringSetup(trained, dataset, config.scoring, config.seed)
        baselines = Baselines(train, config.scoring.pca_components, config.seed)
        measure_localisation(setup, config.scoring.names, baselines)
        peaks[count] = measure_peak_memory_bytes()
    return peaks


def fresh(measure, *arguments):
    """Returns what a function finds in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(measure, *arguments).result()


def main() -> None:
    """Measures every config, then the large sets on the Kvasir model, and prints both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", default="digits,mnist,fashion_mnist,kvasir,aitex,chest_xray,"
                        "chest_xray:512", help="files in configs/, with :VARIANT")  # fmt: skip
    parser.add_argument("--few", type=int, default=5_000, help="images of the smaller set")
    parser.add_argument("--many", type=int, default=50_000, help="of the larger one, with maps")
    parser.add_argument(
        "--scored", type=int, default=100_000, help="of the larger one, scores alone"
    )
    options = parser.parse_args()

    mebi = 2**20
    result: dict = {"configs": {}}
    print(f"{'MiB':20} {'model':>8} {'training':>9} {'scoring':>8}")
    for name in options.configs.split(","):
        file, _, variant = name.partition(":")
        found = fresh(of_training, file, variant)
        found["scoring"] = fresh(of_scoring, file, variant, [1024])[1024]
        result["configs"][name] = found
        print(f"{name:20} " + " ".join(f"{found[key] / mebi:{width}.0f}" for key, width in
              (("model", 8), ("training", 9), ("scoring", 8))))  # fmt: skip
    print(f"\n{'Kvasir, MiB':20} {'images':>8} {'peak':>8} {'images':>8} {'peak':>8} {'growth':>8}")
    for name, measure, many in (
        ("scoring", of_scoring, options.scored),
        ("localising", of_localising, options.many),
    ):
        few = options.few
        # A process each: the second call in one finds the first's memory in pieces, and takes more.
        found = {count: fresh(measure, "kvasir", "", [count])[count] for count in (few, many)}
        result[name] = {
            "few": few,
            "few_bytes": found[few],
            "many": many,
            "many_bytes": found[many],
        }
        print(f"{name:20} {few:8} {found[few] / mebi:8.0f} {many:8} {found[many] / mebi:8.0f} "
              f"{(found[many] - found[few]) / mebi:8.0f}")  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
