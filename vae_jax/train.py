"""Training: fit the model to the normal images, then evaluate, then report."""

import contextlib
import dataclasses
import logging
import math
import pathlib
import time

import jax
import ml_collections
import numpy as np
from jaxtyping import Int, Int32

from vae_jax import evaluate
from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.data.class_indices import class_indices
from vae_jax.data.examples import Dataset
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError
from vae_jax.model.vae import build_model, count_params
from vae_jax.report.film import TrainingFilm
from vae_jax.runtime import processes
from vae_jax.runtime.memory import measure_peak_memory_bytes
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.scorer import Scorer, make_scorer
from vae_jax.training import epoch as epoch_lib
from vae_jax.training import validation
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.history import History
from vae_jax.training.parallel import RunSteps, make_run_steps, replicas_agree
from vae_jax.training.placement import LOCATIONS, Placement, place_images
from vae_jax.training.recipe import Recipe, make_recipe
from vae_jax.training.state import TrainState, create_state
from vae_jax.training.step import TracedHyperparameters

log = logging.getLogger(__name__)

_NUM_SHOWN = 8  # validation images in TensorBoard
_FULL_BETA = 0.999  # share of objective.beta from which on a state may be the best
_RECONSTRUCTED_TOGETHER = 50  # images of one batch, where they are to be shown
# Image quality is measured at every validation, beside the terms of the loss.
_QUALITY = ("quality_mse", "quality_psnr", "quality_ssim")


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the mode `train`: trains, then evaluates and reports from the best checkpoint."""
    dataset = pipeline.load_dataset(config.data, config.seed)
    train(config, workdir, dataset)
    evaluate.evaluate_and_report(config, workdir, dataset)


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset) -> TrainState:
    """Fits the model to the training normals; continues from the latest checkpoint if there is one.

    Args:
        config: resolved and valid.
        workdir: receives `checkpoints/`, `metrics.jsonl` and `tensorboard/`.
        dataset: only its roles `train` and `val` are used.

    Returns:
        The state after the last step. The best state lies in the checkpoints.

    Raises:
        UserError: if a loss is no longer finite (the last finite checkpoint stays), if the workdir was
            trained on other data, or if the devices cannot share the batch evenly.
    """
    processes.check_same(workdir_lib.run_fields(config), dataset.fingerprint)
    training = _set_up(config, workdir, dataset)
    train_config = config.train
    film = None
    if train_config.epochs_per_frame and processes.is_first():
        film = TrainingFilm(workdir, dataset.val.images, dataset.val.classes, config.seed)
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        state, epoch = _start(training, checkpoints)
        num_images = len(dataset.train.images)
        with (
            _open_history(workdir, state) as history,
            open_progress_bar(
                train_config.epochs * num_images, "training", "image", epoch * num_images
            ) as bar,
        ):
            while epoch < train_config.epochs and not validation.has_stalled(state, train_config):
                state, train_line = _run_epoch(training, state, epoch, bar.update)
                epoch += 1
                result = _NO_VALIDATION
                if epoch % train_config.epochs_per_validation == 0 or epoch == train_config.epochs:
                    state, result = _validate(training, state, epoch, train_line)
                    bar.set_postfix_str(_postfix(result.val_line), refresh=False)
                if history:
                    history.write_metrics(
                        int(state.step), epoch, "train", train_line | result.quality
                    )
                    if result.val_line:
                        history.write_metrics(int(state.step), epoch, "val", result.val_line)
                if film and epoch % train_config.epochs_per_frame == 0:
                    film.add_frame(epoch, _trained_model(training, state))
                if _checkpoint_is_due(state, epoch, result, train_config):
                    _keep(training, state, epoch, result.distortion, checkpoints, history)
        if validation.has_stalled(state, train_config):
            log.info(
                "stopped at epoch %d: no better validation for %d validations",
                epoch, int(state.validations_since_best),
            )  # fmt: skip
    return state


@dataclasses.dataclass(frozen=True)
class _Training:
    """What stays the same from the first step of a run to the last.

    Attributes:
        config: of the run.
        workdir: of the run.
        dataset: of the run.
        recipe: how the model is trained.
        hyperparameters: traced ones.
        run_steps: the compiled loop over steps.
        placement: where the training images wait.
        classes: class index of each training image; zeros where the model is not conditional.
        score: computes the terms of the loss and the image quality, without augmentation.
        given: class indices of the training and of the validation images, as the scorer takes them.
        compared: rows of as many training images as there are validation images.
    """

    config: ml_collections.ConfigDict
    workdir: pathlib.Path
    dataset: Dataset
    recipe: Recipe
    hyperparameters: TracedHyperparameters
    run_steps: RunSteps
    placement: Placement
    classes: Int32[np.ndarray, "N"]
    score: Scorer
    given: tuple[Int32[np.ndarray, "N"] | None, Int32[np.ndarray, "n"] | None]
    compared: Int[np.ndarray, "n"]


@dataclasses.dataclass(frozen=True)
class _Validation:
    """What a validation gives: lines for the history, and what the best state is chosen by.

    Attributes:
        val_line: metrics of the validation images; None where no validation took place.
        quality: image quality of the compared training images.
        distortion: of the validation images; None while beta still rises, when no state may be the best.
    """

    val_line: dict[str, float] | None
    quality: dict[str, float]
    distortion: float | None


_NO_VALIDATION = _Validation(None, {}, None)


def _set_up(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> _Training:
    """Builds the model and compiles nothing yet."""
    images, val_images = dataset.train.images, dataset.val.images
    devices = jax.devices()
    model = build_model(config, dataset.region)
    recipe = make_recipe(config, model, math.ceil(len(images) / config.train.batch_size))
    all_known = config.scoring.condition == "given"
    given = tuple(
        class_indices(dataset, role, model.num_classes, all_known)
        for role in (dataset.train, dataset.val)
    )
    return _Training(
        config=config,
        workdir=workdir,
        dataset=dataset,
        recipe=recipe,
        hyperparameters=TracedHyperparameters(
            np.uint32(config.seed), np.float32(config.objective.beta)
        ),
        run_steps=make_run_steps(recipe, config.train.parallel, config.train.batch_size, devices),
        placement=place_images(images, config.data.cache),
        classes=np.zeros(len(images), np.int32) if given[0] is None else given[0],
        score=make_scorer(
            model, (*recipe.objective.term_names, *_QUALITY), config.scoring, config.seed, devices,
            max_images=len(val_images),
        ),
        given=given,
        # As many as validation images, so that the two lines of an epoch can be compared; drawn at random,
        # because the images are sorted by class.
        compared=draw_rows(len(images), len(val_images), config.seed, in_order=False),
    )  # fmt: skip


def _start(training: _Training, checkpoints: Checkpoints) -> tuple[TrainState, int]:
    """Returns the state to continue from and the number of epochs that it has behind it."""
    config, dataset = training.config, training.dataset
    state, epoch = create_state(training.recipe, config.seed), 0
    step = checkpoints.latest_step()
    if step is None:
        checkpoints.save(state, _data_position(dataset, 0), config.to_dict(), None)
    else:
        state, position = checkpoints.restore(step, state)
        epoch = position["epoch"]
        if position["fingerprint"] != dataset.fingerprint:
            raise UserError(
                f"the data has changed since this run began (fingerprint {position['fingerprint']} then, "
                f"{dataset.fingerprint} now); take another --workdir, or restore the data"
            )
    images = dataset.train.images
    log.info(
        "%s: %d training images %dx%dx%d on %s, %s parameters, epoch %d of %d, images %s",
        config.name, len(images), *images.shape[1:], _describe_devices(jax.devices()),
        f"{count_params(state.params):,}", epoch, config.train.epochs,
        LOCATIONS[training.placement.cache],
    )  # fmt: skip
    return state, epoch


def _run_epoch(
    training: _Training, state: TrainState, epoch: int, on_images
) -> tuple[TrainState, dict[str, float]]:
    """Trains on every image once; returns the next state and the metrics of the epoch."""
    config = training.config
    started, first_step = time.perf_counter(), int(state.step)
    plans = epoch_lib.make_plans(
        config.seed, epoch, training.classes, config.train.batch_size, config.train.steps_per_call
    )
    state, metrics = epoch_lib.run_epoch(
        training.run_steps, training.placement, state, plans, training.hyperparameters, on_images
    )
    epoch_lib.check_finite(metrics, first_step, training.workdir / "checkpoints")
    seconds = time.perf_counter() - started
    return state, epoch_lib.average_steps(metrics) | {
        "images_per_second": len(training.classes) / seconds,
        "seconds": seconds,
        "peak_memory_bytes": measure_peak_memory_bytes(),
    }


def _validate(
    training: _Training, state: TrainState, epoch: int, train_line: dict[str, float]
) -> tuple[TrainState, _Validation]:
    """Scores the validation images and the compared training images; updates scheduler and counter."""
    config, dataset, objective = training.config, training.dataset, training.recipe.objective
    rates = {name: train_line[name] for name in ("beta", "learning_rate")}
    given_train, given_val = training.given
    columns = training.score(state.params, dataset.val.images, given_val)
    summary = validation.summarise(columns, rates, objective)
    as_metrics = {name: np.array([value]) for name, value in summary.line.items()}
    epoch_lib.check_finite(as_metrics, int(state.step), training.workdir / "checkpoints")
    columns = training.score(
        state.params, dataset.train.images, given_train, rows=training.compared
    )
    train_summary = validation.summarise(columns, rates, objective)
    quality = {name: train_summary.line[name] for name in ("mse", "psnr", "ssim")}
    # While beta rises, a state reconstructs well because the KL hardly counts yet.
    full_beta = _FULL_BETA * training.hyperparameters.beta
    if epoch < config.train.epochs and rates["beta"] < full_beta:
        return state, _Validation(summary.line, quality, None)
    state = validation.update_after_validation(
        state, summary.distortion, training.recipe.plateau, config.train
    )
    return state, _Validation(summary.line, quality, summary.distortion)


def _checkpoint_is_due(
    state: TrainState, epoch: int, result: _Validation, train_config: ml_collections.ConfigDict
) -> bool:
    improved = result.distortion is not None and int(state.validations_since_best) == 0
    ends = epoch == train_config.epochs or validation.has_stalled(state, train_config)
    return improved or ends or epoch % train_config.epochs_per_checkpoint == 0


def _keep(
    training: _Training,
    state: TrainState,
    epoch: int,
    distortion: float | None,
    checkpoints: Checkpoints,
    history: History | None,
) -> None:
    """Saves a checkpoint, and validation images beside their reconstructions for TensorBoard."""
    if not replicas_agree(state):
        raise RuntimeError(f"the devices' states differ at step {int(state.step)}")
    if history:
        val_images = training.dataset.val.images
        shown = val_images[np.arange(min(_NUM_SHOWN, len(val_images)))]
        x_hat = _trained_model(training, state).reconstruct(shown).x_hat
        pairs = np.concatenate([shown / np.float32(255), x_hat], axis=2)
        history.write_images(int(state.step), "val/image_and_reconstruction", pairs)
    position = _data_position(training.dataset, epoch)
    checkpoints.save(state, position, training.config.to_dict(), distortion)


def _trained_model(training: _Training, state: TrainState) -> TrainedModel:
    batch_size = min(training.config.train.batch_size, _RECONSTRUCTED_TOGETHER)
    return TrainedModel(training.recipe.model, state.params, batch_size)


def _open_history(
    workdir: pathlib.Path, state: TrainState
) -> contextlib.AbstractContextManager[History | None]:
    return History(workdir, int(state.step)) if processes.is_first() else contextlib.nullcontext()


def _data_position(dataset: Dataset, epoch: int) -> dict:
    """Returns where in the data training stands; the order within an epoch follows from the seed."""
    return {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "epoch": epoch}


def _postfix(val_line: dict[str, float]) -> str:
    return f"val {val_line['reconstruction']:.4g} + kl {val_line['kl']:.3g} nats"


def _describe_devices(devices: list[jax.Device]) -> str:
    description = f"{len(devices)} {devices[0].device_kind}"
    if processes.are_several():
        return f"{description} of {jax.process_count()} processes"
    return description
