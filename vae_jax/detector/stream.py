"""Any number of images through a detector in constant memory: decoding in threads, scoring in steps.

An image has one row of scores. Where a strip is cut into tiles that are judged by themselves, each tile has
a row. Where tiles cover an image, they are joined before anything is decided, as in an evaluation.

N rows of one image, T crops of one image, H W crop, C channels, h w picture of a row.
"""

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data import decode
from vae_jax.data.crops import Crops
from vae_jax.data.framing import Framing
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.data.tiling import lay_out_tiles
from vae_jax.data.whole_images import assemble_image
from vae_jax.detector.exported_scorer import Scorer
from vae_jax.detector.sources import Source
from vae_jax.scoring.role_scores import Columns
from vae_jax.scoring.stitching import WholeMaps
from vae_jax.scoring.whole_images import join_tiles

_MAX_WAITING = 1024  # images, most of them without pixels, that wait for a step to be full
# The last step of some crops is padded. So many steps may wait until padding is a small share of them.
_MAX_STEPS = 8
_SMALL_SHARE = 1 / 8


@dataclasses.dataclass(frozen=True)
class ScoredImage:
    """One image with its scores, or with the reason why it has none.

    Attributes:
        source: the image.
        framing: how it was cut.
        error: why it could not be scored, one line; "" if it was.
        crops: the image as the model sees it; None with an error, and for an image that was scored before.
        columns: name of a score -> its value for each row; empty without crops.
        maps: anomaly map of each row; None if no maps are computed.
    """

    source: Source
    framing: Framing
    error: str = ""
    crops: Crops | None = None
    columns: Columns = dataclasses.field(default_factory=dict)
    maps: list[Float[np.ndarray, "_ _"]] | None = None

    @property
    def names(self) -> list[str]:
        """Name of each row: that of the image, followed by `@` and the offset where it is a tile."""
        if self.crops is None or not self.framing.cuts_strips:
            return [self.source.name]
        return [f"{self.source.name}@{offset}" for offset in self.crops.offsets]

    @property
    def pictures(self) -> list[UInt8[np.ndarray, "h w C"]]:
        """The picture of each row: a crop as the model sees it, or the image that tiles cover."""
        if not self.framing.covers_image:
            return list(self.crops.images)
        layout = lay_out_tiles(self.crops.boxes, self.framing.image_size)
        return [assemble_image(self.crops.images, layout)]


def score_sources(
    sources: Iterable[Source],
    preprocessing: Preprocessing,
    scorer: Scorer,
    *,
    with_maps: bool = False,
) -> Iterator[ScoredImage]:
    """Yields every source with its scores, in their order.

    Args:
        sources: images; they are requested a few at a time. A source without `read` has been scored before,
            and is passed on without scores.
        preprocessing: how a stored image becomes what the model sees.
        scorer: computes the scores.
        with_maps: whether to compute the anomaly maps.
    """
    images = decode_sources(sources, preprocessing, scorer.step)
    return score_images(images, scorer, with_maps=with_maps)


def score_images(
    images: Iterable[ScoredImage], scorer: Scorer, *, with_maps: bool = False
) -> Iterator[ScoredImage]:
    """Yields images, which have been decoded, with their scores.

    Args:
        images: images; those without crops are passed on as they are.
        scorer: computes the scores.
        with_maps: whether to compute the anomaly maps.
    """
    waiting: list[ScoredImage] = []
    num_crops = 0
    for image in images:
        waiting.append(image)
        num_crops += 0 if image.crops is None else len(image.crops.images)
        if _fills_steps(num_crops, scorer.step) or not num_crops or len(waiting) >= _MAX_WAITING:
            yield from _score(waiting, scorer, with_maps)
            waiting, num_crops = [], 0
    yield from _score(waiting, scorer, with_maps)


def decode_sources(
    sources: Iterable[Source], preprocessing: Preprocessing, step: int
) -> Iterator[ScoredImage]:
    """Yields the decoded images, without scores, in the order of the sources.

    While images are scored, threads decode those of the next step. So fewer images wait in memory where
    an image has many crops.

    Args:
        sources: images; a source without `read` is passed on without crops.
        preprocessing: how a stored image becomes what the model sees.
        step: number of crops that are scored at the same time.
    """
    num_threads = os.cpu_count() or 1
    at_least = 2 * num_threads
    num_images = num_crops = 0
    # Pillow releases the interpreter's lock while it decodes and resizes.
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        futures: collections.deque[concurrent.futures.Future[ScoredImage]] = collections.deque()
        try:
            for source in sources:
                futures.append(pool.submit(_decode_source, source, preprocessing))
                ahead = step * num_images // max(num_crops, num_images, 1)
                while len(futures) > max(ahead, at_least):
                    image = futures.popleft().result()
                    num_images += 1
                    num_crops += 0 if image.crops is None else len(image.crops.images)
                    yield image
            while futures:
                yield futures.popleft().result()
        finally:
            for future in futures:
                future.cancel()


def _decode_source(source: Source, preprocessing: Preprocessing) -> ScoredImage:
    framing = preprocessing.framing
    if source.read is None:
        return ScoredImage(source, framing)
    try:
        encoded = source.read()
        if not source.is_frame:
            decode.check_before_decoding(encoded, preprocessing.max_pixels)
        crops = preprocessing.apply(encoded, source.name)
    except Exception as error:  # Pillow's plugins raise any error on damaged files
        return ScoredImage(source, framing, decode.describe_error(error))
    if not len(crops.images):
        return ScoredImage(source, framing, "every part of it has too many near-white pixels")
    return ScoredImage(source, framing, crops=crops)


def _fills_steps(num_crops: int, step: int) -> bool:
    """Returns whether crops fill whole steps nearly, or so many that they should wait no longer."""
    if num_crops < step:
        return False
    return -num_crops % step <= _SMALL_SHARE * num_crops or num_crops >= _MAX_STEPS * step


def _score(waiting: list[ScoredImage], scorer: Scorer, with_maps: bool) -> Iterator[ScoredImage]:
    """Yields the images with their scores; all crops are scored together."""
    readable = [image for image in waiting if image.crops is not None]
    if not readable:
        yield from waiting
        return
    counts = [len(image.crops.images) for image in readable]
    pixels: UInt8[np.ndarray, "_ H W C"] = np.concatenate(
        [image.crops.images for image in readable]
    )
    columns, maps = scorer.score(pixels, with_maps=with_maps)
    # Row of the first score and of the first crop of each image, and of the one behind them.
    crop_ends = row_ends = np.concatenate([[0], np.cumsum(counts)])
    if readable[0].framing.covers_image:
        columns = join_tiles(columns, np.repeat(np.arange(len(counts)), counts))
        row_ends = np.arange(len(counts) + 1)
    columns = scorer.combine(columns)
    is_finite = np.all([np.isfinite(values) for values in columns.values()], axis=0)
    number = 0
    for image in waiting:
        if image.crops is None:
            yield image
            continue
        rows, crops = (slice(*ends[number : number + 2]) for ends in (row_ends, crop_ends))
        number += 1
        own = {name: values[rows] for name, values in columns.items()}
        if not is_finite[rows].all():
            broken = next(name for name in own if not np.isfinite(own[name]).all())
            reason = f"the score {broken} is not a finite number"
            yield ScoredImage(image.source, image.framing, reason)
        else:
            own_maps = None if maps is None else _join_maps(image, maps[crops])
            yield dataclasses.replace(image, columns=own, maps=own_maps)


def _join_maps(
    image: ScoredImage, maps: Float[np.ndarray, "T H W"]
) -> list[Float[np.ndarray, "_ _"]]:
    """Returns the map of each row of an image, from those of its crops."""
    if not image.framing.covers_image:
        return list(maps)
    whole = WholeMaps(lay_out_tiles(image.crops.boxes, image.framing.image_size))
    whole.add(0, {"map": maps})
    return [values for _, values in whole.take_maps()]
