"""Trivial features of an image, such as its mean brightness, and how rare their values are.

If one of these features separates anomalies from normals, the data contains a shortcut, and a model may
detect anomalies by this shortcut alone.

N images, n training normals, H W image, C channels.
"""

import zlib

import numpy as np
from jaxtyping import Float, Int32, UInt8
from scipy.spatial import KDTree

# Values below a tenth of the full range are dark, as in the frame around an endoscope's picture.
_DARK = 26


def compute_features(
    images: UInt8[np.ndarray, "N H W C"], stored_size: Int32[np.ndarray, "N 3"]
) -> dict[str, Float[np.ndarray, "N"]]:
    """Computes every trivial feature of each image.

    Args:
        images: images as the model sees them.
        stored_size: width and height in pixels, and bytes, of the file on disk.

    Returns:
        `mean` and `std` over pixels and channels, in units of the [0, 1] image; `channel_mean_0`, 1 and 2
        for colour images; `dark_fraction`, the share of values below a tenth; `compressed_size`, bytes;
        `stored_width` and `stored_height`, pixels; and `stored_bytes`.
    """
    # One image at a time, because statistics of all images at once would need them as floats.
    statistics = [_compute_pixel_features(image) for image in images]
    features = {
        name: np.array([values[name] for values in statistics], np.float64)
        for name in statistics[0]
    }
    names = ("stored_width", "stored_height", "stored_bytes")
    return features | dict(zip(names, stored_size.T.astype(np.float64), strict=True))


def rarity(train: Float[np.ndarray, "n"], test: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Returns how rare the values of a feature are among training normals, in the unit of the feature.

    The rarity is the distance to the sqrt(n)-th nearest training value. It is small where there are many
    training values, and it grows without limit outside their range. It is 0 for a value that at least
    sqrt(n) training normals share.

    High and low values count alike, because nobody knows which direction is abnormal before anomalies are
    seen. The distance is not measured from a centre, because a dataset may have several usual values, for
    example two image widths.
    """
    rank = max(1, round(np.sqrt(len(train))))
    distance, _ = KDTree(train[:, None]).query(test[:, None], k=[rank])
    return distance[:, 0]


def _compute_pixel_features(image: UInt8[np.ndarray, "H W C"]) -> dict[str, float]:
    features = {"mean": image.mean() / 255, "std": image.std() / 255}
    if image.shape[2] > 1:
        channel_means = image.mean(axis=(0, 1)) / 255
        features |= {f"channel_mean_{i}": value for i, value in enumerate(channel_means)}
    features["dark_fraction"] = np.mean(image < _DARK)
    features["compressed_size"] = _compute_compressed_size(image)
    return features


def _compute_compressed_size(image: UInt8[np.ndarray, "H W C"]) -> int:
    """Returns the bytes of the image after the `Sub` filter of PNG (row differences) and deflate."""
    differences = np.diff(image, axis=1, prepend=np.uint8(0))  # modulo 256, as in PNG
    return len(zlib.compress(differences.tobytes()))
