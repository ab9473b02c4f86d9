"""Groups of images that nearly agree, for example frames of one video or one object in several lights.

If one of two such images trains the model and the other one calibrates it, the other one is scored lower
than a new image will be, so that more normal images raise an alarm than promised.

Two images nearly agree if their thumbnails correlate, apart from what all images share. The brightness and
the contrast of an image do not matter. The mean thumbnail is subtracted first, because objects that always
lie in the same place would correlate otherwise. The details must correlate too, because images of one
object whose lighting varies from left to right would agree otherwise.

N images, M K images to compare, D pixels of a thumbnail.
"""

import collections
import logging
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int
from PIL import Image

from vae_jax.data.examples import NO_LABEL, Examples
from vae_jax.data.image_store import Images
from vae_jax.data.joined_groups import join_groups
from vae_jax.data.medical import is_slice

MAX_IMAGES = 20_000  # that are compared; the time grows with the square of their number

_SIDE = 32  # of a thumbnail, pixels
_BLOCK = 4  # pixels of a thumbnail; what is coarser than a block is no detail
_MIN_CONTRAST = (
    1.0  # standard deviation of a thumbnail, grey levels; a flatter one agrees with none
)
# Correlation from which on two thumbnails agree. If it joins most images, as it does where all objects look
# alike, the next one is tried.
_AGREEMENTS = (0.93, 0.95, 0.97, 0.98, 0.99)
_DETAIL_AGREEMENT = 0.5  # the same for their details
_MAX_GROUP_SHARE = 1 / 3  # largest share of the images in one group
_SMALL_GROUP = 6  # images that may be in one group whatever their share is
_CHUNK = 1024  # thumbnails that are compared with all others at a time

_log = logging.getLogger(__name__)


def group_near_duplicates(
    examples: Examples, test_only: Bool[np.ndarray, "N"], padded: bool, dataset: str
) -> list[str]:
    """Returns the group of each image, after groups were merged whose images nearly agree.

    Only normal images that may be in training are compared, and no slices of volumes. Images of the
    official test split keep their groups and stay in test; the log says how many of them nearly agree with
    an image outside it.

    Args:
        examples: all images of a dataset, with labels.
        test_only: images that may only be in test.
        padded: whether images are in the middle of black squares; the black does not count.
        dataset: name of the dataset, for the log.
    """
    outside = ~test_only & (examples.official_test is None or ~examples.official_test)
    # Slices of one height nearly agree in all volumes, which would all become one group.
    no_slice = ~np.array([is_slice(file) for file in examples.files], bool)
    rows = np.flatnonzero((examples.labels == 0) & outside & no_slice)
    test_rows = np.flatnonzero((examples.labels != NO_LABEL) & ~outside & ~test_only & no_slice)
    if not no_slice.any():
        return examples.groups
    if len(rows) + len(test_rows) > MAX_IMAGES:
        _log.warning(
            "%s: near-duplicates are not grouped, because %d images are too many to compare; the limit "
            "is %d",
            dataset, len(rows) + len(test_rows), MAX_IMAGES,
        )  # fmt: skip
        return examples.groups
    thumbnails = make_thumbnails(examples.images, rows, padded)
    views = make_views(thumbnails, thumbnails)
    grouping = choose_agreement(views)
    if grouping is None:
        _log.warning(
            "%s: near-duplicates are not grouped, because so many images agree that a group would have "
            "more than %d of %d images; a file groups.csv can name groups",
            dataset, _limit_group(len(rows)), len(rows),
        )  # fmt: skip
        return examples.groups
    agreement, components = grouping
    sizes = np.bincount(components, minlength=1)
    _log.info(
        "%s: %d of %d normal images nearly agree with another one (correlation %g); they are in %d groups "
        "of at most %d images, and a group has one role",
        dataset, sizes[sizes > 1].sum(), len(rows), agreement, (sizes > 1).sum(), sizes.max(),
    )  # fmt: skip
    if len(test_rows):
        tested = make_views(make_thumbnails(examples.images, test_rows, padded), thumbnails)
        agree = [_agree(tested, views, part, agreement).any(1) for part in _cut(len(test_rows))]
        _log.info(
            "%s: %d of %d images of the official test split nearly agree with a normal image outside it; "
            "they stay in test",
            dataset, np.concatenate(agree).sum(), len(test_rows),
        )  # fmt: skip
    return merge_components(examples.groups, rows, components)


def make_thumbnails(
    images: Images, rows: Int[np.ndarray, "M"], padded: bool
) -> Float32[np.ndarray, "M D"]:
    """Returns grey thumbnails with mean 0 and length 1; those of flat images are 0.

    Args:
        images: uint8 images, in memory or on disk.
        rows: the images to take.
        padded: whether to cut off black rows and columns at the border.
    """
    thumbnails = np.zeros((len(rows), _SIDE * _SIDE), np.float32)
    for i, row in enumerate(rows):
        pixels = images[int(row)]
        image = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0]).convert("L")
        if padded:
            image = image.crop(image.getbbox())
        # Values between two grey levels distinguish images of low contrast.
        small = image.convert("F").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        thumbnails[i] = np.asarray(small).ravel()
    thumbnails -= thumbnails.mean(1, keepdims=True)
    thumbnails[thumbnails.std(1) < _MIN_CONTRAST] = 0
    return _normalise(thumbnails)


def choose_agreement(
    views: list[Float32[np.ndarray, "M D"]],
) -> tuple[float, Int[np.ndarray, "M"]] | None:
    """Returns the lowest correlation that does not join most images, and the component of each image.

    Args:
        views: thumbnails and their details, from `make_views`.

    Returns:
        The correlation from which on two thumbnails agree, and the numbers of `find_components`; None if
        every one of the correlations joins so many images that they all look alike.
    """
    limit = _limit_group(len(views[0]))
    for agreement in _AGREEMENTS:
        components = find_components(views, agreement, limit)
        if components is not None:
            return agreement, components
    return None


def list_agreeing_pairs(
    views: list[Float32[np.ndarray, "M D"]], agreement: float
) -> Iterator[tuple[Int[np.ndarray, "K"], Int[np.ndarray, "K"]]]:
    """Yields all pairs of images that nearly agree, as the lower and the higher row of each pair."""
    for part in _cut(len(views[0])):
        first, second = np.nonzero(_agree(views, views, part, agreement))
        first = first + part.start
        yield first[first < second], second[first < second]


def find_components(
    views: list[Float32[np.ndarray, "M D"]], agreement: float, limit: int
) -> Int[np.ndarray, "M"] | None:
    """Returns the number of the connected component of each image in the graph of agreeing pairs.

    Args:
        views: thumbnails and their details, of length 1 each.
        agreement: correlation from which on two thumbnails agree.
        limit: largest number of images in a component.

    Returns:
        One number per image; None if a component is larger than `limit`.
    """
    from scipy import sparse  # slow imports that only this function needs
    from scipy.sparse import csgraph

    count = len(views[0])
    components = np.arange(count)
    for part in _cut(count):
        first, second = np.nonzero(_agree(views, views, part, agreement))
        # Edges to the first image of each component stand for all earlier parts.
        first = np.concatenate([first + part.start, np.arange(count)])
        second = np.concatenate([second, np.unique(components, return_index=True)[1][components]])
        edges = sparse.coo_array((np.ones(len(first), bool), (first, second)), (count, count))
        components = csgraph.connected_components(edges, directed=False)[1]
        if np.bincount(components).max() > limit:
            return None
    return components


def _limit_group(num_images: int) -> int:
    """Returns how many images a group may have."""
    return max(_SMALL_GROUP, int(_MAX_GROUP_SHARE * num_images))


def make_views(
    thumbnails: Float32[np.ndarray, "M D"], reference: Float32[np.ndarray, "K D"]
) -> list[Float32[np.ndarray, "M D"]]:
    """Returns thumbnails without what the images of reference share, and the details of these."""
    seen = thumbnails.any(1, keepdims=True)
    different = thumbnails - reference.mean(0, keepdims=True) if len(reference) else thumbnails
    blocks = different.reshape(-1, _SIDE // _BLOCK, _BLOCK, _SIDE // _BLOCK, _BLOCK)
    details = (blocks - blocks.mean((2, 4), keepdims=True)).reshape(different.shape)
    return [_normalise(different * seen), _normalise(details * seen)]


def _agree(
    views: list[Float32[np.ndarray, "M D"]],
    others: list[Float32[np.ndarray, "K D"]],
    part: slice,
    agreement: float,
) -> Bool[np.ndarray, "_ K"]:
    """Returns which images of a part of `views` nearly agree with which others."""
    whole, details = (view[part] @ other.T for view, other in zip(views, others, strict=True))
    return (whole >= agreement) & (details >= _DETAIL_AGREEMENT)


def _normalise(rows: Float32[np.ndarray, "M D"]) -> Float32[np.ndarray, "M D"]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, np.float32(1))


def _cut(count: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]


def merge_components(
    groups: list[str], rows: Int[np.ndarray, "M"], components: Int[np.ndarray, "M"]
) -> list[str]:
    """Returns the groups after those of each component became one, named by the first in the alphabet."""
    members = collections.defaultdict(list)
    for row, component in zip(rows, components, strict=True):
        members[component].append(groups[row])
    names = join_groups(members.values())
    return [names.get(group, group) for group in groups]
