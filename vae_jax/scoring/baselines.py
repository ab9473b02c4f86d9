"""What a score has to beat: rules without a network, fitted on the same training normals.

Higher is more anomalous. All directions are fixed before a test image is seen.

N test images, n training normals, P = H W C pixel values, F features.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, UInt8
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances_argmin_min

from vae_jax.data.examples import Examples
from vae_jax.data.image_store import Images
from vae_jax.data.row_draw import draw_rows
from vae_jax.scoring import band_energy, trivial

# Training normals are drawn at random down to these, which bounds time and memory.
_MOST_TRIVIAL = 2_000  # images behind a trivial feature
_MOST_NEIGHBOURS = 10_000  # images that a test image is compared with
_MOST_VALUES = 2**27  # pixel values as float32: 512 MB

_BAND_COMPONENTS = 64
_CHUNK = 1024  # test images in memory as floats


def scores(
    train: Examples, test: Examples, pca_components: int, seed: int
) -> dict[str, Float[np.ndarray, "N"]]:
    """Returns one score for each test image and baseline.

    Args:
        train: training normals.
        test: images to score.
        pca_components: of the `pca` baseline.
        seed: of the draw of training normals where there are more than a baseline takes.

    Returns:
        `trivial.rarity` of each of `trivial.features`, under the feature's name; `pca`,
        `nearest_neighbour` and `band_energy`.
    """
    rng = np.random.default_rng(seed)
    few = draw_rows(len(train.images), _MOST_TRIVIAL, rng, in_order=True)
    known = trivial.features(train.images[few], train.stored_size[few])
    found = trivial.features(test.images, test.stored_size)
    values_each = train.images[0].size
    fits = train.images[
        draw_rows(len(train.images), _MOST_VALUES // values_each, rng, in_order=True)
    ]
    neighbours = fits[draw_rows(len(fits), _MOST_NEIGHBOURS, rng, in_order=True)]
    return {name: trivial.rarity(known[name], found[name]) for name in found} | {
        "pca": pca(fits, test.images, pca_components, seed),
        "nearest_neighbour": nearest_neighbour(neighbours, test.images),
        "band_energy": band_energy_distance(neighbours, test.images, seed),
    }


def pca(
    train: UInt8[np.ndarray, "n H W C"],
    test: UInt8[Images, "N H W C"],
    num_components: int,
    seed: int,
) -> Float[np.ndarray, "N"]:
    """Returns the mean squared error of a reconstruction from the leading principal components.

    The linear autoencoder with the least error, per pixel of a [0, 1] image. At most as many components
    as there are training images or pixel values.
    """
    residual = fit_pca(train, num_components, seed)
    chunks = (test[start : start + _CHUNK] for start in range(0, len(test), _CHUNK))
    return np.concatenate([residual(chunk).mean(axis=(1, 2), dtype=np.float64) for chunk in chunks])


def fit_pca(
    train: UInt8[Images, "n H W C"], num_components: int, seed: int
) -> Callable[[UInt8[np.ndarray, "N H W C"]], Float[np.ndarray, "N H W"]]:
    """Returns images -> squared error of each pixel, mean over channels, of `pca`'s reconstruction.

    Of more training images than fit into half a gigabyte as floats some are drawn by the seed.
    """
    few = draw_rows(len(train), _MOST_VALUES // train[0].size, seed, in_order=True)
    train = train[few]
    num_components = min(num_components, len(train), train[0].size)
    model = PCA(num_components, copy=False, random_state=seed).fit(_flat(train))

    def residual(images):
        x = _flat(images)
        error = np.square(x - model.inverse_transform(model.transform(x)))
        return error.reshape(images.shape).mean(axis=3)

    return residual


def nearest_neighbour(
    train: UInt8[np.ndarray, "n H W C"], test: UInt8[Images, "N H W C"]
) -> Float[np.ndarray, "N"]:
    """Returns the root mean squared difference to the nearest training image, in [0, 1]."""
    known = _flat(train)
    distance = np.concatenate([_nearest(known, x) for x in _flat_chunks(test)])
    return distance / np.sqrt(train[0].size)


def band_energy_distance(
    train: UInt8[np.ndarray, "n H W C"], test: UInt8[Images, "N H W C"], seed: int
) -> Float[np.ndarray, "N"]:
    """Returns the distance to the nearest training image in `band_energy.features`.

    Features are standardised over training normals and cut to their first 64 principal components.
    """
    known, found = band_energy.features(train), band_energy.features(test)
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    deviation[deviation == 0] = 1
    known, found = (known - mean) / deviation, (found - mean) / deviation
    model = PCA(min(_BAND_COMPONENTS, *known.shape), random_state=seed).fit(known)
    return _nearest(model.transform(known), model.transform(found))


def _nearest(
    train: Float[np.ndarray, "n F"], test: Float[np.ndarray, "N F"]
) -> Float[np.ndarray, "N"]:
    """Returns the Euclidean distance of each row of `test` to the nearest of `train`."""
    _, distance = pairwise_distances_argmin_min(test, train)
    return distance.astype(np.float64)


def _flat(images: UInt8[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N P"]:
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat /= 255
    return flat


def _flat_chunks(images: UInt8[Images, "N H W C"]) -> Iterator[Float[np.ndarray, "B P"]]:
    for start in range(0, len(images), _CHUNK):
        yield _flat(images[start : start + _CHUNK])
