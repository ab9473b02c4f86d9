"""Any number of images through a detector in constant memory: decoding in threads, scoring in steps.

N crops of one image, H W image that the model sees, C channels.
"""

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data import decode
from vae_jax.data.framing import Crops
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.detector.image_scorer import ImageScorer
from vae_jax.detector.sources import Source
from vae_jax.scoring.role_scores import Columns

# Decoded images that wait for each thread.
_WINDOW = 8
_MAX_WAITING = 1024  # images, most of them without pixels, that wait for a step to be full


@dataclasses.dataclass(frozen=True)
class ScoredImage:
    """One image with its scores, or with the reason why it has none.

    Attributes:
        source: the image.
        error: why it could not be scored, one line; "" if it was.
        crops: the image as the model sees it, one or several crops; None with an error, and for an image
            that was scored before.
        columns: name of a score -> one value for each crop; empty with an error.
        maps: anomaly map of each crop; None with an error, or if no maps are computed.
        is_tiled: whether the crops are tiles.
    """

    source: Source
    error: str = ""
    crops: Crops | None = None
    columns: Columns = dataclasses.field(default_factory=dict)
    maps: Float[np.ndarray, "N H W"] | None = None
    is_tiled: bool = False

    @property
    def names(self) -> list[str]:
        """Name of each crop: that of the image, followed by `@` and the offset where it is a tile."""
        if self.crops is None or not self.is_tiled:
            return [self.source.name]
        return [f"{self.source.name}@{offset}" for offset in self.crops.offsets]


def score_sources(
    sources: Iterable[Source],
    preprocessing: Preprocessing,
    scorer: ImageScorer,
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
    waiting: list[ScoredImage] = []
    num_crops = 0
    for image in _decode(sources, preprocessing):
        waiting.append(image)
        num_crops += 0 if image.crops is None else len(image.crops.images)
        if num_crops >= scorer.step or not num_crops or len(waiting) >= _MAX_WAITING:
            yield from _score(waiting, scorer, with_maps)
            waiting, num_crops = [], 0
    yield from _score(waiting, scorer, with_maps)


def _decode(sources: Iterable[Source], preprocessing: Preprocessing) -> Iterator[ScoredImage]:
    """Yields the decoded images in the order of the sources; a bounded number of them waits in memory."""
    num_threads = os.cpu_count() or 1
    # Pillow releases the interpreter's lock while it decodes and resizes.
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        futures: collections.deque[concurrent.futures.Future[ScoredImage]] = collections.deque()
        try:
            for source in sources:
                futures.append(pool.submit(_decode_source, source, preprocessing))
                if len(futures) >= _WINDOW * num_threads:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            for future in futures:
                future.cancel()


def _decode_source(source: Source, preprocessing: Preprocessing) -> ScoredImage:
    if source.read is None:
        return ScoredImage(source)
    try:
        encoded = source.read()
        decode.check_image(encoded)
        crops = preprocessing.apply(encoded, source.name)
    except Exception as error:  # Pillow's plugins raise any error on damaged files
        return ScoredImage(source, decode.describe_error(error))
    if not len(crops.images):
        return ScoredImage(source, "every part of it has too many near-white pixels")
    return ScoredImage(source, crops=crops, is_tiled=preprocessing.framing.tile_stride > 0)


def _score(
    waiting: list[ScoredImage], scorer: ImageScorer, with_maps: bool
) -> Iterator[ScoredImage]:
    """Yields the images with their scores."""
    readable = [image for image in waiting if image.crops is not None]
    if readable:
        pixels: UInt8[np.ndarray, "N H W C"] = np.concatenate(
            [image.crops.images for image in readable]
        )
        columns, maps = scorer.score(pixels, with_maps=with_maps)
    start = 0
    for image in waiting:
        if image.crops is None:
            yield image
            continue
        rows = slice(start, start + len(image.crops.images))
        start = rows.stop
        own = scorer.combine({name: values[rows] for name, values in columns.items()})
        broken = [name for name, values in own.items() if not np.isfinite(values).all()]
        if broken:
            yield ScoredImage(image.source, f"the score {broken[0]} is not a finite number")
        else:
            yield dataclasses.replace(image, columns=own, maps=None if maps is None else maps[rows])
