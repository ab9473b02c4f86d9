"""Samples of each class: decoded under the label of the class, or from the codes of its images.

K classes, S samples of each, H W image, C channels, Z latent.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32

from vae_jax.data.class_indices import list_class_names
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError
from vae_jax.exploration.latent_draws import aggregate_posteriors, draw_from_aggregated
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.exploration.training_set import EncodedTrainingSet

_MAX_TEST_IMAGES = 500  # images that are encoded for a class that only the test images have


@dataclasses.dataclass(frozen=True)
class ClassSamples:
    """Samples in one row per class.

    Attributes:
        images: samples in [0, 1].
        classes: class of each row.
        from_test: whether the codes of the row belong to test images, because no training image has the
            class.
        by_label: whether the decoder was given the class. All images of a column then have the same code.
    """

    images: Float32[np.ndarray, "K S H W C"]
    classes: list[str]
    from_test: list[bool]
    by_label: bool

    @property
    def labels(self) -> list[str]:
        """The label of each row; it marks the classes that no training image has."""
        return [
            f"{name} (test)" if from_test else name
            for name, from_test in zip(self.classes, self.from_test, strict=True)
        ]


def sample_by_label(trained: TrainedRun, z: Float[np.ndarray, "S Z"]) -> ClassSamples:
    """Decodes the same codes under each label of a conditional model.

    Raises:
        UserError: if the model is not conditional.
    """
    num_classes = trained.model.num_classes
    if not num_classes:
        raise UserError(
            "the model is not conditional, so its decoder takes no label; draw from the codes of a class, "
            "or train with --config.model.num_classes=K"
        )
    class_indices = np.repeat(np.arange(num_classes, dtype=np.int32), len(z))
    images = trained.decode(np.tile(z, (num_classes, 1)), class_indices)
    names = list_class_names(trained.dataset)
    rows = images.reshape(num_classes, len(z), *images.shape[1:])
    return ClassSamples(rows, names, [False] * len(names), by_label=True)


def sample_from_codes(
    trained: TrainedRun, training_set: EncodedTrainingSet, count: int
) -> ClassSamples:
    """Decodes draws from the aggregated posterior of each class, classes of training images first.

    Args:
        trained: trained model.
        training_set: encoded training images.
        count: samples of each class.
    """
    test, seed = trained.dataset.test, trained.config.seed
    rng = np.random.default_rng(seed)
    training_classes = sorted(set(training_set.examples.classes))
    test_classes = sorted(set(test.classes) - set(training_classes))
    posteriors = [training_set.select_class(name) for name in training_classes]
    for name in test_classes:
        rows = np.flatnonzero(np.array(test.classes) == name)
        rows = rows[draw_rows(len(rows), _MAX_TEST_IMAGES, seed, in_order=True)]
        posteriors.append(trained.encode(test.images[rows]))
    z = [
        draw_from_aggregated(aggregate_posteriors(posterior), count, rng)
        for posterior in posteriors
    ]
    images = trained.decode(np.concatenate(z))
    return ClassSamples(
        images.reshape(len(z), count, *images.shape[1:]),
        [*training_classes, *test_classes],
        [False] * len(training_classes) + [True] * len(test_classes),
        by_label=False,
    )
