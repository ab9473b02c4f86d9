"""Samples of one class at a time: by its label where the model takes one, else from its own codes.

K classes, S samples of each, H W image, C channels, Z latent.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32
from sklearn.mixture import GaussianMixture

from vae_jax.data.class_indices import list_class_names
from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError
from vae_jax.exploration import latent_draws
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.model.vae import Posterior

_MOST_OF_CLASS = 500  # test images behind the codes of a class that is not trained on


@dataclasses.dataclass(frozen=True)
class EncodedTrainingSet:
    """What several parts of an exploration rest on.

    Attributes:
        examples: training images.
        posterior: theirs, NumPy.
        mixture: of Gaussians, fitted to their codes.
    """

    examples: Examples
    posterior: Posterior
    mixture: GaussianMixture

    def of(self, name: str) -> Posterior:
        """Returns the posteriors of one class."""
        own = np.array(self.examples.classes) == name
        logvar = self.posterior.logvar
        return Posterior(self.posterior.mu[own], None if logvar is None else logvar[own])


@dataclasses.dataclass(frozen=True)
class ClassSamples:
    """Samples in rows.

    Attributes:
        images: in [0, 1].
        classes: of the rows.
        tested: whether the row's codes are of test images, because no training image has the class.
        by_label: whether the model was given the class; then a column is one code.
    """

    images: Float32[np.ndarray, "K S H W C"]
    classes: list[str]
    tested: list[bool]
    by_label: bool


def by_label(trained: TrainedRun, z: Float[np.ndarray, "S Z"]) -> ClassSamples:
    """Decodes the same codes under each label of a conditional model.

    Raises:
        UserError: if the model is not conditional.
    """
    num_classes = trained.model.num_classes
    if not num_classes:
        raise UserError(
            "the model takes no label; draw from the codes of a class, or train with "
            "--config.model.num_classes=K"
        )
    given = np.repeat(np.arange(num_classes, dtype=np.int32), len(z))
    images = trained.decode(np.tile(z, (num_classes, 1)), given)
    names = list_class_names(trained.dataset)
    rows = images.reshape(num_classes, len(z), *images.shape[1:])
    return ClassSamples(rows, names, [False] * len(names), by_label=True)


def from_codes(trained: TrainedRun, known: EncodedTrainingSet, count: int) -> ClassSamples:
    """Decodes draws from the aggregated posterior of each class, training classes first."""
    test, seed = trained.dataset.test, trained.config.seed
    rng = np.random.default_rng(seed)
    posteriors = {name: known.of(name) for name in sorted(set(known.examples.classes))}
    trained_on = set(posteriors)
    for name in sorted(set(test.classes) - trained_on):
        rows = np.flatnonzero(np.array(test.classes) == name)
        rows = rows[draw_rows(len(rows), _MOST_OF_CLASS, seed, in_order=True)]
        posteriors[name] = trained.encode(test.images[rows])
    z = [
        latent_draws.from_aggregate(latent_draws.aggregate(found), count, rng)
        for found in posteriors.values()
    ]
    images = trained.decode(np.concatenate(z))
    rows = images.reshape(len(z), count, *images.shape[1:])
    tested = [name not in trained_on for name in posteriors]
    return ClassSamples(rows, list(posteriors), tested, by_label=False)
