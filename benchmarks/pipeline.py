"""Training through the whole pipeline compared with the bare step, in turns on the same machine.

    python benchmarks/pipeline.py --model=kvasir --cache=device

The bare step runs repeatedly on one batch on the device. The pipeline does what an epoch of a run does:
it draws the order of the images, divides them into batches, indexes the images where `data.cache` keeps
them (`none` means on disk, in a file that the system still has in memory), trains, and reads the metrics
of every step. Neither side augments. The ratio is the time of the pipeline over the time of the bare step
for the same number of images; the aim is at most 1.05. The last line is one JSON object.
"""

import json
import tempfile

import models
import turns


def make_bare(model: str, batch: int, num_steps: int, cache: str):
    """Returns the work of `num_steps` training steps on one batch."""
    import jax

    from vae_jax.training.step import make_train_step

    del cache
    models.set_up_process("float32")
    config = models.make_comparable_config(model, "float32")
    recipe, state, hyperparameters = models.make_our_training(config, num_steps)
    train_step = jax.jit(make_train_step(recipe), donate_argnums=0)
    images = models.make_our_batch(config, batch)

    def epoch():
        nonlocal state
        for _ in range(num_steps):
            state, metrics = train_step(state, images, hyperparameters)
        jax.block_until_ready((state, metrics))

    return turns.Work(epoch, jax.devices()[0].device_kind, num_steps)


def make_pipeline(model: str, batch: int, num_steps: int, cache: str, precision: str = "float32"):
    """Returns the work of one epoch of `num_steps` batches through the pipeline."""
    import jax
    import numpy as np

    from vae_jax.data.image_store import ImagesOnDisk
    from vae_jax.training.epoch import run_epoch
    from vae_jax.training.parallel import make_run_steps
    from vae_jax.training.placement import place_images
    from vae_jax.training.plans import make_plans

    models.set_up_process(precision)
    config = models.make_comparable_config(model, precision)
    recipe, state, hyperparameters = models.make_our_training(config, num_steps)
    run_steps = make_run_steps(recipe, "jit", batch, jax.devices())
    count = batch * num_steps
    images = models.make_inputs(config, count)
    if cache == "none":
        with tempfile.TemporaryFile() as file:
            images.tofile(file)
            images = ImagesOnDisk.from_parts([np.memmap(file, np.uint8, "r", shape=images.shape)])
    elif isinstance(images, np.ndarray):
        images = images.copy()  # stored images are contiguous in memory
    placement = place_images(images, cache)
    epoch_number = 0

    def epoch():
        nonlocal state, epoch_number
        plans = make_plans(
            config.seed, epoch_number, np.zeros(count, np.int32), batch, config.train.steps_per_call
        )
        state, _ = run_epoch(
            run_steps, placement, state, plans, hyperparameters, lambda images: None
        )
        epoch_number += 1

    return turns.Work(epoch, jax.devices()[0].device_kind, num_steps)


def main() -> None:
    """Measures and prints one setting."""
    parser = turns.make_parser(__doc__)
    parser.add_argument("--model", choices=models.MODELS, default="kvasir")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=64, help="number of steps in an epoch")
    parser.add_argument("--cache", choices=("device", "host", "none"), default="device")
    options = parser.parse_args()
    turns.warn_if_unreliable(options.turns)
    setting = (options.model, options.batch, options.steps, options.cache)
    bare, pipeline = turns.measure_sides(
        [(make_bare, setting), (make_pipeline, setting)], options.turns, warm_up=1
    )
    turns.print_sides({"bare step": bare, "pipeline": pipeline}, options.batch)
    print(
        json.dumps(
            {
                "model": options.model,
                "batch": options.batch,
                "steps": options.steps,
                "cache": options.cache,
                "device": bare.device,
                "bare_images_per_second": round(options.batch / bare.median, 1),
                "pipeline_images_per_second": round(options.batch / pipeline.median, 1),
                "ratio": round(turns.median_ratio(pipeline, bare), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
