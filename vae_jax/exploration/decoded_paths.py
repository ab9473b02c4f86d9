"""Images along paths through the latent space.

R rows, S steps, P pairs, N = P * S images, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Float32, Int, Int32

from vae_jax.data.class_indices import list_class_names
from vae_jax.errors import UserError
from vae_jax.exploration.image_choice import choose_pairs
from vae_jax.exploration.paths import (
    LatentDimensions,
    find_active_dimensions,
    interpolate_linearly,
    interpolate_spherically,
    traverse_dimension,
)
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.exploration.training_set import EncodedTrainingSet


@dataclasses.dataclass(frozen=True)
class Traversals:
    """Images decoded while one dimension of the code moves.

    Attributes:
        images: images in [0, 1], one row for each of the first active dimensions.
        dimensions: all active dimensions.
        sampled: whether the model has posteriors; an autoencoder has none.
        class_name: class that the decoder of a conditional model is given; None for other models.
    """

    images: Float32[np.ndarray, "R S H W C"]
    dimensions: LatentDimensions
    sampled: bool
    class_name: str | None


def decode_traversals(
    trained: TrainedRun, training_set: EncodedTrainingSet, max_rows: int
) -> Traversals:
    """Decodes a traversal of each active dimension, starting from the mean code of the training images.

    A conditional model is given the same class for all images, so that only the dimension changes.

    Args:
        trained: trained model.
        training_set: encoded training images.
        max_rows: maximum number of dimensions.

    Raises:
        UserError: if no dimension is active.
    """
    dimensions = find_active_dimensions(training_set.posterior)
    if not len(dimensions.active):
        raise UserError(
            f"a traversal needs an active latent dimension; found none among {len(dimensions.mean)}; train "
            "with a smaller objective.beta or a slower warm-up"
        )
    steps, rows = trained.config.explore.steps, dimensions.active[:max_rows]
    z = np.concatenate([traverse_dimension(dimensions, int(row), steps) for row in rows])
    conditional = bool(trained.model.num_classes)
    images = trained.decode(z, np.zeros(len(z), np.int32) if conditional else None)
    return Traversals(
        images.reshape(len(rows), steps, *images.shape[1:]),
        dimensions,
        trained.model.sampled,
        list_class_names(trained.dataset)[0] if conditional else None,
    )


@dataclasses.dataclass(frozen=True)
class Interpolations:
    """Images decoded on paths between the codes of two test images.

    Attributes:
        linear: images along the straight lines.
        spherical: images along the paths that turn by equal angles.
        ends: the two test images of each pair, in [0, 1].
        classes: classes of the two test images of each pair.
        conditional: whether the decoder is given a class.
    """

    linear: Float32[np.ndarray, "P S H W C"]
    spherical: Float32[np.ndarray, "P S H W C"]
    ends: Float32[np.ndarray, "P 2 H W C"]
    classes: list[tuple[str, str]]
    conditional: bool


def decode_interpolations(trained: TrainedRun, max_pairs: int) -> Interpolations:
    """Decodes paths between test images of different classes.

    Args:
        trained: trained model.
        max_pairs: maximum number of pairs of test images.

    Raises:
        UserError: if there is only one test image.
    """
    test, steps = trained.dataset.test, trained.config.explore.steps
    pairs = choose_pairs(test, max_pairs, trained.config.seed)
    images = test.images[pairs.ravel()]
    mu = trained.encode(images).mu.reshape(len(pairs), 2, -1)
    class_indices = _choose_nearer_class_indices(trained, pairs, steps)

    def decode(path):
        z = np.concatenate([path(start, end, steps) for start, end in mu])
        return trained.decode(z, class_indices).reshape(len(pairs), steps, *images.shape[1:])

    return Interpolations(
        linear=decode(interpolate_linearly),
        spherical=decode(interpolate_spherically),
        ends=(images / np.float32(255)).reshape(len(pairs), 2, *images.shape[1:]),
        classes=[(test.classes[start], test.classes[end]) for start, end in pairs],
        conditional=bool(trained.model.num_classes),
    )


def _choose_nearer_class_indices(
    trained: TrainedRun, pairs: Int[np.ndarray, "P 2"], steps: int
) -> Int32[np.ndarray, "N"] | None:
    """Returns the class index of the nearer end for each step; None if the model is not conditional."""
    indices = trained.index_classes(trained.dataset.test)
    if indices is None:
        return None
    in_first_half = (np.arange(steps) < steps / 2)[None]
    nearer = np.where(in_first_half, indices[pairs[:, :1]], indices[pairs[:, 1:]])
    return nearer.astype(np.int32).ravel()
