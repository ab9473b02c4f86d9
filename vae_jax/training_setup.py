"""Everything that a training loop needs and that stays the same from its first step to the last."""

import dataclasses
import math
import pathlib

import jax
import ml_collections
import numpy as np

from vae_jax.data.class_indices import index_classes
from vae_jax.data.examples import Dataset
from vae_jax.data.row_draw import draw_rows
from vae_jax.model.branched import build_branches
from vae_jax.observation.observed import get_inputs
from vae_jax.scoring.scorer import make_scorer
from vae_jax.training.epoch import EpochTrainer, extend_epochs
from vae_jax.training.parallel import make_run_steps
from vae_jax.training.placement import place_images
from vae_jax.training.recipe import Recipe, make_recipe
from vae_jax.training.step import TracedHyperparameters
from vae_jax.training.validation import Validator, list_quality_columns


@dataclasses.dataclass(frozen=True)
class Training:
    """What stays the same from the first step of a run to the last.

    Attributes:
        config: resolved config of the run.
        dataset: dataset of the run.
        recipe: how the model is trained.
        trainer: trains for one epoch per call.
        validator: validates a state.
    """

    config: ml_collections.ConfigDict
    dataset: Dataset
    recipe: Recipe
    trainer: EpochTrainer
    validator: Validator


def set_up_training(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> Training:
    """Builds the model and all functions of the training loop; nothing is compiled yet.

    Args:
        config: resolved and valid config.
        workdir: folder of the run, which errors name; nothing is written.
        dataset: dataset whose roles `train` and `val` are used, and no other.

    Raises:
        UserError: if the devices cannot share a batch evenly.
    """
    images, val_images = get_inputs(dataset.train), get_inputs(dataset.val)
    grey = dataset.train.grey  # each step draws black and white images from these
    devices = jax.devices()
    config = extend_epochs(config, len(images))
    model = build_branches(config, dataset.region)
    recipe = make_recipe(config, model, math.ceil(len(images) / config.train.batch_size))
    all_known = config.scoring.condition == "given"
    train_classes, val_classes = (
        index_classes(dataset, examples, model.num_classes, all_known)
        for examples in (dataset.train, dataset.val)
    )
    trainer = EpochTrainer(
        train_config=config.train,
        class_indices=np.zeros(len(images), np.int32) if train_classes is None else train_classes,
        run_steps=make_run_steps(recipe, config.train.parallel, config.train.batch_size, devices),
        placement=place_images(images if grey is None else grey, config.data.cache),
        hyperparameters=TracedHyperparameters(
            np.uint32(config.seed), np.float32(config.objective.beta)
        ),
        checkpoint_folder=workdir / "checkpoints",
    )
    score = make_scorer(
        model, (*recipe.objective.term_names, *list_quality_columns(model)), config.scoring, config.seed,
        devices, max_images=len(val_images),
    )  # fmt: skip
    # The quality of training images is measured on as many images as there are validation images, so that
    # the two lines of an epoch can be compared. They are drawn at random, because the images are sorted by
    # class.
    compared_rows = draw_rows(len(images), len(val_images), config.seed, in_order=False)
    validator = Validator(
        recipe=recipe,
        train_config=config.train,
        max_beta=config.objective.beta,
        score_val=lambda params: score(params, val_images, val_classes),
        score_train=lambda params: score(params, images, train_classes, rows=compared_rows),
        checkpoint_folder=workdir / "checkpoints",
    )
    return Training(config, dataset, recipe, trainer, validator)
