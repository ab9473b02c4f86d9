"""The recipe of training: everything that a training step needs besides parameters and images."""

import dataclasses

import ml_collections
import optax

from vae_jax.data.augment import Augmentation, make_augmentation
from vae_jax.model.branched import Model
from vae_jax.model.objective import Objective, make_beta_schedule, make_objective
from vae_jax.training.optimizer import make_learning_rate, make_optimizer, make_plateau


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        model: the model, which computes the terms of the loss.
        objective: the loss as a function of its terms.
        beta_schedule: step -> factor in [0, 1] by which the largest KL weight is multiplied.
        augmentation: random changes of the training images, keyed by example.
        optimizer: optax chain; it contains the learning-rate schedule.
        learning_rate: step -> learning rate, the same schedule again, for the metrics.
        plateau: scheduler that lowers the learning rate when validation stops improving.
        accumulate: number of equal parts into which a batch is divided; they are computed one after the
            other.
        is_binary: whether images become black and white after the augmentation, by a new draw in every
            step; images that are black and white stay as they are.
    """

    model: Model
    objective: Objective
    beta_schedule: optax.Schedule
    augmentation: Augmentation
    optimizer: optax.GradientTransformation
    learning_rate: optax.Schedule
    plateau: optax.GradientTransformationExtraArgs
    accumulate: int
    is_binary: bool = False


def make_recipe(config: ml_collections.ConfigDict, model: Model, steps_per_epoch: int) -> Recipe:
    """Returns the recipe that a resolved config describes.

    Args:
        config: resolved config of the run.
        model: model to train.
        steps_per_epoch: number of training steps in one epoch; the schedules count in epochs.
    """
    learning_rate = make_learning_rate(config.train, steps_per_epoch)
    return Recipe(
        model=model,
        objective=make_objective(config.objective),
        beta_schedule=make_beta_schedule(config.objective, steps_per_epoch),
        augmentation=make_augmentation(config.augment),
        optimizer=make_optimizer(config.train, learning_rate),
        learning_rate=learning_rate,
        plateau=make_plateau(config.train),
        accumulate=config.train.accumulate,
        is_binary=bool(config.data.binarise),
    )
