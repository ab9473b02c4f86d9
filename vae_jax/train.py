"""Training: fit the model to the normal images, then evaluate, then report."""

import contextlib
import logging
import pathlib
from collections.abc import Callable

import ml_collections
import numpy as np

from vae_jax import evaluate
from vae_jax import workdir as workdir_lib
from vae_jax.audit.training_check import check_dataset
from vae_jax.config_differences import run_fields
from vae_jax.data import pipeline
from vae_jax.data.examples import Dataset
from vae_jax.model.vae import VAE
from vae_jax.observation.observed import get_inputs, observe_dataset
from vae_jax.report.film import TrainingFilm, open_film
from vae_jax.runtime import processes
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.runtime.signals import delay_signals
from vae_jax.scoring.inference import TrainedModel
from vae_jax.training.break_record import is_broken
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.closed_form import fit_linear
from vae_jax.training.epoch_part import EpochPart
from vae_jax.training.history import History
from vae_jax.training.nonfinite import NonFiniteError, check_state
from vae_jax.training.parallel import replicas_agree
from vae_jax.training.rollback import Rollback
from vae_jax.training.state import TrainState
from vae_jax.training.validation import (
    ValidationResult,
    has_stalled,
    is_checkpoint_due,
)
from vae_jax.training_recovery import recover
from vae_jax.training_setup import Training, set_up_training
from vae_jax.training_start import Start, describe_position, start_or_resume

log = logging.getLogger(__name__)

_NUM_SHOWN = 8  # validation images that TensorBoard shows
_MAX_BATCH_SIZE = 50  # images per batch in reconstructions for TensorBoard and for the films


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the mode `train`: trains, then evaluates and reports from the best checkpoint."""
    dataset = pipeline.load_dataset(config.data, config.seed)
    if not processes.are_several():  # each of them reads only its share of the training images
        check_dataset(dataset, config)
    dataset = observe_dataset(dataset, config)
    train(config, workdir, dataset)
    evaluate.evaluate_and_report(config, workdir, dataset)


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset) -> TrainState:
    """Fits the model to the training normals; continues from the latest checkpoint if there is one.

    Args:
        config: resolved and valid config.
        workdir: folder that receives `checkpoints/`, `metrics.jsonl` and `tensorboard/`.
        dataset: dataset whose roles `train` and `val` are used, and no other.

    Returns:
        The state after the last step. The best state is in the checkpoints.

    Raises:
        StoppedError: after SIGTERM or SIGINT, when a checkpoint has been saved.
        UserError: if a loss is not finite and `train.on_nan` does not go back to a checkpoint (the last
            finite one stays), if the run began with other data, or if the devices cannot share a batch
            evenly.
    """
    processes.check_same(run_fields(config), dataset.fingerprint)
    if processes.is_first():
        workdir_lib.mark_output(workdir)
    training = set_up_training(config, workdir, dataset)
    if config.model.kind == "linear":
        return _fit_in_closed_form(training, workdir)
    train_config = training.config.train
    film = None
    if train_config.epochs_per_frame and processes.is_first():
        film = open_film(workdir, dataset.val, training.recipe.model, config.seed)
    with delay_signals() as get_signal, Checkpoints(workdir / "checkpoints") as checkpoints:
        start = start_or_resume(training, checkpoints, _is_rate_free(workdir, checkpoints))
        # Several processes must stop at the same place, so there an epoch is finished first.
        is_stopping = (lambda: False) if processes.are_several() else get_signal
        while True:
            try:
                return _train_from(
                    start, training, workdir, checkpoints, film, get_signal, is_stopping
                )
            except NonFiniteError as error:
                before = start.rollbacks
                start = recover(training, workdir, checkpoints, error, before, is_stopping)


def _train_from(
    start: Start,
    training: Training,
    workdir: pathlib.Path,
    checkpoints: Checkpoints,
    film: TrainingFilm | None,
    get_signal: Callable[[], int | None],
    is_stopping: Callable[[], object],
) -> TrainState:
    """Trains from a start until the last epoch, until the model stops improving, or until a signal.

    Raises:
        NonFiniteError: if a loss, a gradient or a parameter is not finite.
    """
    train_config, num_images = training.config.train, len(get_inputs(training.dataset.train))
    state, epoch, part = start.state, start.epoch, start.part
    num_done = epoch * num_images + (int(part.metrics["count"].sum()) if part else 0)
    with (
        _open_history(workdir, state) as history,
        open_progress_bar(train_config.epochs * num_images, "training", "image", num_done) as bar,
    ):
        while epoch < train_config.epochs and not has_stalled(state, train_config):
            state, train_line = training.trainer.train(state, epoch, bar.update, part, is_stopping)
            if isinstance(train_line, EpochPart):
                _save(training, state, epoch, start.rollbacks, checkpoints, part=train_line)
                break
            part = None
            epoch += 1
            result = ValidationResult()
            if training.validator.is_due(epoch):
                state, result = training.validator.validate(state, epoch, train_line)
                bar.set_postfix_str(_describe(result.val_line), refresh=False)
            if history:
                train_line |= result.train_quality
                if start.rollbacks:
                    train_line["rollbacks"] = len(start.rollbacks)
                history.write_metrics(int(state.step), epoch, "train", train_line)
                if result.val_line:
                    history.write_metrics(int(state.step), epoch, "val", result.val_line)
            if film and epoch % train_config.epochs_per_frame == 0:
                check_state(state, training.trainer.checkpoint_folder)
                film.add_frame(epoch, _make_trained_model(training, state))
            has_signal = processes.has_any(get_signal() is not None)
            if has_signal or is_checkpoint_due(state, epoch, result, train_config):
                _save(training, state, epoch, start.rollbacks, checkpoints, result.distortion)
                _write_images(training, state, history)
            if has_signal:
                break
    if has_stalled(state, train_config):
        log.info(
            "training stopped at epoch %d, because the last %d validations brought no improvement",
            epoch, int(state.validations_since_best),
        )  # fmt: skip
    return state


def _is_rate_free(workdir: pathlib.Path, checkpoints: Checkpoints) -> bool:
    """Returns whether the run broke, so that its checkpoints may be of another learning rate."""
    newest_step = checkpoints.latest_step() or 0
    return processes.compute_on_first(lambda: is_broken(workdir, newest_step))


def _fit_in_closed_form(training: Training, workdir: pathlib.Path) -> TrainState:
    """Fits a linear model and saves it, unless the workdir already holds it."""
    config, train_inputs = training.config, get_inputs(training.dataset.train)
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        state = start_or_resume(training, checkpoints).state
        if int(state.step):
            return state
        epoch = config.train.epochs
        state, cost = fit_linear(training.recipe.model, state, train_inputs, config.seed)
        rates = {"beta": config.objective.beta, "learning_rate": 0.0}
        state, result = training.validator.validate(state, epoch, rates)
        train_line = training.validator.summarise_train(state, rates) | cost
        with _open_history(workdir, state) as history:
            if history:
                history.write_metrics(int(state.step), epoch, "train", train_line)
                history.write_metrics(int(state.step), epoch, "val", result.val_line)
            _save(training, state, epoch, (), checkpoints, result.distortion)
            _write_images(training, state, history)
    return state


def _save(
    training: Training,
    state: TrainState,
    epoch: int,
    rollbacks: tuple[Rollback, ...],
    checkpoints: Checkpoints,
    distortion: float | None = None,
    part: EpochPart | None = None,
) -> None:
    """Saves a checkpoint of a finite state; with a part, in the middle of an epoch."""
    check_state(state, training.trainer.checkpoint_folder)
    if not replicas_agree(state):
        raise RuntimeError(f"the devices' states differ at step {int(state.step)}")
    position = describe_position(training.dataset, epoch, rollbacks)
    if part:
        position["part"] = part.to_json()
    checkpoints.save(state, position, training.config.to_dict(), distortion)


def _write_images(training: Training, state: TrainState, history: History | None) -> None:
    """Writes for TensorBoard a few validation images beside their reconstructions."""
    if history and isinstance(training.recipe.model, VAE):
        val_images = training.dataset.val.images
        shown = val_images[np.arange(min(_NUM_SHOWN, len(val_images)))]
        x_hat = _make_trained_model(training, state).reconstruct(shown).x_hat
        pairs = np.concatenate([shown / np.float32(255), x_hat], axis=2)
        history.write_images(int(state.step), "val/image_and_reconstruction", pairs)


def _make_trained_model(training: Training, state: TrainState) -> TrainedModel:
    batch_size = min(training.config.train.batch_size, _MAX_BATCH_SIZE)
    return TrainedModel(training.recipe.model, state.params, batch_size)


def _open_history(
    workdir: pathlib.Path, state: TrainState
) -> contextlib.AbstractContextManager[History | None]:
    """Returns the history in the first process, and None in others, which write no files."""
    return History(workdir, int(state.step)) if processes.is_first() else contextlib.nullcontext()


def _describe(val_line: dict[str, float]) -> str:
    return f"val {val_line['reconstruction']:.4g} + kl {val_line['kl']:.3g} nats"
