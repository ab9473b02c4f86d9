"""Training: fit on the normals, then evaluate, then report."""

import contextlib
import functools
import logging
import math
import pathlib
import time

import jax
import ml_collections
import numpy as np

from vae_jax import evaluate
from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.data.augment import make_augmentation
from vae_jax.data.conditions import conditions
from vae_jax.data.pipeline import Dataset
from vae_jax.errors import UserError
from vae_jax.model.objective import Distortion, make_beta_schedule
from vae_jax.model.vae import build_model, num_params
from vae_jax.progress import progress
from vae_jax.report.film import Film
from vae_jax.scoring.reconstruct import Reconstruct, make_reconstruct
from vae_jax.scoring.scorer import make_scorer
from vae_jax.training import epoch as epoch_lib
from vae_jax.training import processes, validation
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.history import History
from vae_jax.training.memory import peak_memory_bytes
from vae_jax.training.optimizer import make_learning_rate, make_optimizer, make_plateau
from vae_jax.training.parallel import make_run_steps, replicas_agree
from vae_jax.training.placement import WHERE, place
from vae_jax.training.state import TrainState, create_state
from vae_jax.training.step import Knobs, make_train_step

log = logging.getLogger(__name__)

_SHOWN = 8  # validation images in TensorBoard
_RISEN = 0.999  # share of objective.beta from which on a state may be the best
_AT_ONCE = 50  # images that are reconstructed together, to be shown
# Read at every validation, beside the loss's terms.
_QUALITY = ("quality_mse", "quality_psnr", "quality_ssim")


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """The mode `train`: trains, then evaluates and reports from the best checkpoint."""
    dataset = pipeline.load(config.data, config.seed)
    train(config, workdir, dataset)
    evaluate.judge(config, workdir, dataset)


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset) -> TrainState:
    """Fits the model to the training normals; goes on from the latest checkpoint where there is one.

    Args:
        config: resolved and valid.
        workdir: gets `checkpoints/`, `metrics.jsonl` and `tensorboard/`.
        dataset: its `train` and `val` roles are used.

    Returns:
        The state after the last step. The best one lies in the checkpoints.

    Raises:
        UserError: if a loss is no longer finite (the last finite checkpoint stays), if the workdir was
            trained on other data, or if the devices cannot share the batch evenly.
    """
    processes.check_same(workdir_lib.of_the_run(config), dataset.fingerprint)
    settings, seed = config.train, config.seed
    images, val_images = dataset.train.images, dataset.val.images
    # As many training images as validation ones, so that the two lines of an epoch can be compared; drawn,
    # because they lie in the order of their classes.
    glance = np.random.default_rng(seed).permutation(len(images))[: len(val_images)]
    steps_per_epoch = math.ceil(len(images) / settings.batch_size)
    devices = jax.devices()

    model = build_model(config)
    learning_rate = make_learning_rate(settings, steps_per_epoch)
    optimizer = make_optimizer(settings, learning_rate)
    plateau = make_plateau(settings)
    beta = make_beta_schedule(config.objective, steps_per_epoch)
    augmentation = make_augmentation(config.augment)
    distortion = Distortion(config.objective.pixel_weight, config.objective.frequency_weight)
    knobs = Knobs(np.uint32(seed), np.float32(config.objective.beta))
    classes, val_classes = (
        conditions(config, dataset, role) for role in (dataset.train, dataset.val)
    )

    def make_step(axis_name: str | None):
        return make_train_step(
            model, optimizer, learning_rate, beta, distortion, augmentation,
            settings.accumulate, axis_name,
        )  # fmt: skip

    run_steps = make_run_steps(
        make_step, settings.parallel, settings.batch_size, devices, settings.accumulate
    )
    validated = (*distortion.names, "kl", *_QUALITY)
    score = make_scorer(model, validated, config.scoring, seed, devices, most=len(val_images))
    reconstruct = make_reconstruct(model, min(settings.batch_size, _AT_ONCE))
    placement = place(images, config.data.cache)

    film = None
    if settings.epochs_per_frame and processes.leads():
        film = Film(workdir, dataset.test.images, dataset.test.classes, seed)
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        state, epoch = _start(create_state(model, optimizer, plateau, seed), dataset, checkpoints)
        if epoch == 0:
            checkpoints.save(state, _position(dataset, 0), config.to_dict(), None)
        log.info(
            "%s: %d training images %dx%dx%d on %s, %s parameters, epoch %d of %d, images %s",
            config.name, len(images), *images.shape[1:], _describe(devices),
            f"{num_params(state.params):,}", epoch, settings.epochs, WHERE[placement.cache],
        )  # fmt: skip
        with (
            _record(workdir, state) as history,
            progress(
                settings.epochs * len(images), "training", "image", epoch * len(images)
            ) as bar,
        ):
            while epoch < settings.epochs and not validation.has_stalled(state, settings):
                started, first_step = time.perf_counter(), int(state.step)
                plans = epoch_lib.plans(
                    seed,
                    epoch,
                    np.zeros(len(images), np.int32) if classes is None else classes,
                    settings.batch_size,
                    settings.steps_per_call,
                )
                state, metrics = epoch_lib.run_epoch(
                    run_steps, placement, state, plans, knobs, bar.update
                )
                epoch_lib.check_finite(metrics, first_step, workdir / "checkpoints")
                seconds = time.perf_counter() - started
                epoch += 1
                train_line = epoch_lib.mean(metrics) | {
                    "images_per_second": len(images) / seconds,
                    "seconds": seconds,
                    "peak_memory_bytes": peak_memory_bytes(),
                }

                val_line, judged = None, False
                if epoch % settings.epochs_per_validation == 0 or epoch == settings.epochs:
                    rates = {name: train_line[name] for name in ("beta", "learning_rate")}
                    columns = score(state.params, val_images, val_classes)
                    val_line = validation.summarise(columns, rates, distortion)
                    as_step = {name: np.array([value]) for name, value in val_line.items()}
                    epoch_lib.check_finite(as_step, int(state.step), workdir / "checkpoints")
                    columns = score(state.params, images, classes, rows=glance)
                    seen = validation.summarise(columns, rates, distortion)
                    train_line |= {name: seen[name] for name in ("mse", "psnr", "ssim")}
                    # While beta rises, a state copies well because the KL does not weigh yet.
                    judged = epoch == settings.epochs or rates["beta"] >= _RISEN * knobs.beta
                    if judged:
                        state = validation.tell(
                            state, validation.distortion_of(val_line), plateau, settings
                        )
                    told = f"val {val_line['reconstruction']:.4g} + kl {val_line['kl']:.3g} nats"
                    bar.set_postfix_str(told, refresh=False)
                if history:
                    history.write(int(state.step), epoch, "train", train_line)
                if history and val_line:
                    history.write(int(state.step), epoch, "val", val_line)

                if film and epoch % settings.epochs_per_frame == 0:
                    film.add(epoch, functools.partial(_look, reconstruct, state.params))

                improved = judged and int(state.stale) == 0
                ends = epoch == settings.epochs or validation.has_stalled(state, settings)
                if improved or ends or epoch % settings.epochs_per_checkpoint == 0:
                    if not replicas_agree(state):
                        raise RuntimeError(f"the devices' states differ at step {int(state.step)}")
                    if history:
                        shown = val_images[np.arange(min(_SHOWN, len(val_images)))]
                        pairs = [shown / np.float32(255), reconstruct(state.params, shown).x_hat]
                        history.images(
                            int(state.step), "val/image_and_copy", np.concatenate(pairs, axis=2)
                        )
                    found = validation.distortion_of(val_line) if judged else None
                    checkpoints.save(state, _position(dataset, epoch), config.to_dict(), found)
        if validation.has_stalled(state, settings):
            log.info(
                "stopped at epoch %d: %d validations without a better one", epoch, int(state.stale)
            )
    return state


def _record(
    workdir: pathlib.Path, state: TrainState
) -> contextlib.AbstractContextManager[History | None]:
    return History(workdir, int(state.step)) if processes.leads() else contextlib.nullcontext()


def _start(fresh: TrainState, dataset: Dataset, checkpoints: Checkpoints) -> tuple[TrainState, int]:
    """Returns the state to go on from and the number of epochs behind it."""
    step = checkpoints.latest()
    if step is None:
        return fresh, 0
    state, position = checkpoints.restore(step, fresh)
    if position["fingerprint"] != dataset.fingerprint:
        raise UserError(
            f"the data has changed since this run began (fingerprint {position['fingerprint']} then, "
            f"{dataset.fingerprint} now); take another --workdir, or the data of then"
        )
    return state, position["epoch"]


def _position(dataset: Dataset, epoch: int) -> dict:
    """Where in the data training stands: the order within an epoch follows from the seed."""
    return {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "epoch": epoch}


def _look(
    reconstruct: Reconstruct, params: dict, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    found = reconstruct(params, images)
    return found.mu, found.x_hat


def _describe(devices: list[jax.Device]) -> str:
    told = f"{len(devices)} {devices[0].device_kind}"
    return f"{told} of {jax.process_count()} processes" if processes.several() else told
