"""What can be read off an image without looking at it, and how rare that is.

Where one of these tells anomalies from normals, the data has a shortcut: a model may be winning by it.

N images, n training normals.
"""

import zlib

import numpy as np
from jaxtyping import Float, Int32, UInt8
from scipy.spatial import KDTree

from vae_jax.data.image_store import Images

# A tenth of the full range: the frame around an endoscope's picture is darker than this.
_DARK = 26


def features(
    images: UInt8[Images, "N H W C"], stored_size: Int32[np.ndarray, "N 3"]
) -> dict[str, Float[np.ndarray, "N"]]:
    """Returns each trivial feature of each image.

    Args:
        images: as the model sees them.
        stored_size: width, height (pixels) and bytes of the file on disk.

    Returns:
        `mean` and `std` over pixels and channels, in units of the [0, 1] image; for colour images
        `channel_mean_0`, 1 and 2; `dark_fraction`, the share of values below a tenth; `compressed_size`,
        bytes; `stored_width`, `stored_height` and `stored_bytes`.
    """
    found = {
        # One at a time, here and below, because all of them might not fit.
        "mean": np.array([image.mean() for image in images]) / 255,
        "std": np.array([image.std() for image in images]) / 255,
    }
    if images.shape[3] > 1:
        channel_means = np.array([image.mean(axis=(0, 1)) for image in images]) / 255
        found |= {f"channel_mean_{i}": values for i, values in enumerate(channel_means.T)}
    found["dark_fraction"] = np.array([np.mean(image < _DARK) for image in images])
    found["compressed_size"] = np.array([_compressed_size(image) for image in images], np.float64)
    names = ("stored_width", "stored_height", "stored_bytes")
    return found | dict(zip(names, stored_size.T.astype(np.float64), strict=True))


def rarity(train: Float[np.ndarray, "n"], test: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Returns how rare a feature's value is among training normals, in the feature's unit.

    The distance to the sqrt(n)-th nearest training value: small where training values are dense, growing
    without end outside their range. It takes no side, because a trivial feature has no direction that
    could be called abnormal before anomalies are seen, and no single centre either, because images come
    in two or three widths. A value that so many training normals share exactly scores 0.
    """
    rank = max(1, round(np.sqrt(len(train))))
    distance, _ = KDTree(train[:, None]).query(test[:, None], k=[rank])
    return distance[:, 0]


def _compressed_size(image: UInt8[np.ndarray, "H W C"]) -> int:
    """Returns the bytes of an image after PNG's `Sub` filter (differences along a line) and deflate."""
    differences = np.diff(image, axis=1, prepend=np.uint8(0))  # modulo 256, as PNG has it
    return len(zlib.compress(differences.tobytes()))
