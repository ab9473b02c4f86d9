"""Peak memory of training and scoring for each shipped config, and its growth with the number of images.

    python benchmarks/memory.py
    python benchmarks/memory.py --configs=kvasir,mnist --few=500 --many=5000 --scored=10000

Each figure comes from a new process, with generated images, because their content does not matter. The
first column is the peak after building the model and the images; training and scoring need the difference
to it. The memory of scoring must not grow with the number of images. Each of the images that it gets here
needs the memory of one row of pixels. The last line is one JSON object.
"""

import argparse
import concurrent.futures
import json
import multiprocessing

import models

_STEPS = 4  # training steps; memory reaches its peak in the first one
_MASK_SIDE = 24  # pixels; side of the square that is abnormal in each image


def measure_training(file: str, variant: str) -> dict[str, int]:
    """Returns the peak memory in bytes before the first training step and after a few of them."""
    import jax

    from vae_jax.runtime.memory import measure_peak_memory_bytes
    from vae_jax.training.step import make_train_step

    config = models.load_config(file, variant)
    models.set_up_process(config.train.precision)
    recipe, state, hyperparameters = models.make_our_training(config, _STEPS)
    batch = models.make_our_batch(config, config.train.batch_size)
    jax.block_until_ready((state, batch))
    before = measure_peak_memory_bytes()
    train_step = jax.jit(make_train_step(recipe), donate_argnums=0)
    for _ in range(_STEPS):
        state, metrics = train_step(state, batch, hyperparameters)
    jax.block_until_ready((state, metrics))
    return {"model": before, "training": measure_peak_memory_bytes()}


def measure_scoring(file: str, variant: str, counts: list[int]) -> dict[int, int]:
    """Returns number of images -> peak memory in bytes after computing every score; counts must rise."""
    import jax
    import numpy as np

    from vae_jax.model.vae import build_model
    from vae_jax.runtime.memory import measure_peak_memory_bytes
    from vae_jax.scoring.fits import fit_scores
    from vae_jax.scoring.inference import TrainedModel
    from vae_jax.scoring.scorer import make_scorer

    config = models.load_config(file, variant)
    models.set_up_process(config.train.precision)
    scoring_config, size, channels = config.scoring, config.data.image_size, config.data.channels
    names = [name for name in scoring_config.names if name != "fusion"]
    images = models.make_scrolled_images(max(counts), size, channels)
    classes = None
    if scoring_config.condition == "given":
        classes = np.zeros(max(counts), np.int32)
    _, state, _ = models.make_our_training(config, _STEPS)
    trained = TrainedModel(build_model(config), state.params, scoring_config.batch_size)
    fits = fit_scores(
        names, trained, images[:512].copy(), scoring_config, config.seed,
        None if classes is None else classes[:512],
    )  # fmt: skip
    score = make_scorer(trained.model, names, scoring_config, config.seed, jax.devices())
    peaks = {}
    for count in counts:
        given_classes = None if classes is None else classes[:count]
        score(trained.params, images[:count], given_classes, fits=fits)
        peaks[count] = measure_peak_memory_bytes()
    return peaks


def measure_localising(file: str, variant: str, counts: list[int]) -> dict[int, int]:
    """Returns number of images -> peak memory in bytes after comparing all maps with masks."""
    import numpy as np

    from vae_jax.data.examples import Dataset, Examples
    from vae_jax.model.vae import build_model
    from vae_jax.runtime.memory import measure_peak_memory_bytes
    from vae_jax.scoring.anomaly_maps import measure_localisation
    from vae_jax.scoring.baselines import Baselines
    from vae_jax.scoring.inference import TrainedModel
    from vae_jax.scoring.setup import ScoringSetup

    config = models.load_config(file, variant)
    models.set_up_process(config.train.precision)
    size, channels = config.data.image_size, config.data.channels
    images = models.make_scrolled_images(max(counts), size, channels)
    square = np.zeros((size, size), np.uint8)
    square[:_MASK_SIDE, :_MASK_SIDE] = 1

    def make_examples(count: int) -> Examples:
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

    _, state, _ = models.make_our_training(config, _STEPS)
    trained = TrainedModel(build_model(config), state.params, config.scoring.batch_size)
    train, calibration = make_examples(512), make_examples(256)
    peaks = {}
    for count in counts:
        dataset = Dataset(
            "", "", size, channels, train, calibration, calibration, make_examples(count)
        )
        setup = ScoringSetup(trained, dataset, config.scoring, config.seed)
        baselines = Baselines(train, config.scoring.pca_components, config.seed)
        measure_localisation(setup, config.scoring.names, baselines)
        peaks[count] = measure_peak_memory_bytes()
    return peaks


def run_in_new_process(measure, *arguments):
    """Returns the result of a function that runs in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(measure, *arguments).result()


def main() -> None:
    """Measures and prints every config, then large sets of images with the Kvasir model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", default="digits,mnist,fashion_mnist,kvasir,aitex,chest_xray,"
                        "chest_xray:512", help="names of files in configs/, with :VARIANT")  # fmt: skip
    parser.add_argument(
        "--few", type=int, default=5_000, help="number of images in the smaller set"
    )
    parser.add_argument(
        "--many", type=int, default=50_000, help="number of images in the larger set for localising"
    )
    parser.add_argument(
        "--scored", type=int, default=100_000, help="number of images in the larger set for scoring"
    )
    options = parser.parse_args()

    mebibyte = 2**20
    result: dict = {"configs": {}}
    print(f"{'MiB':20} {'model':>8} {'training':>9} {'scoring':>8}")
    for name in options.configs.split(","):
        file, _, variant = name.partition(":")
        peaks = run_in_new_process(measure_training, file, variant)
        peaks["scoring"] = run_in_new_process(measure_scoring, file, variant, [1024])[1024]
        result["configs"][name] = peaks
        print(f"{name:20} " + " ".join(f"{peaks[key] / mebibyte:{width}.0f}" for key, width in
              (("model", 8), ("training", 9), ("scoring", 8))))  # fmt: skip
    print(f"\n{'Kvasir, MiB':20} {'images':>8} {'peak':>8} {'images':>8} {'peak':>8} {'growth':>8}")
    for name, measure, many in (
        ("scoring", measure_scoring, options.scored),
        ("localising", measure_localising, options.many),
    ):
        few = options.few
        # Each count has its own process, because a second call needs more: the memory is fragmented then.
        peaks = {
            count: run_in_new_process(measure, "kvasir", "", [count])[count]
            for count in (few, many)
        }
        result[name] = {
            "few": few,
            "few_bytes": peaks[few],
            "many": many,
            "many_bytes": peaks[many],
        }
        print(f"{name:20} {few:8} {peaks[few] / mebibyte:8.0f} {many:8} {peaks[many] / mebibyte:8.0f} "
              f"{(peaks[many] - peaks[few]) / mebibyte:8.0f}")  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
