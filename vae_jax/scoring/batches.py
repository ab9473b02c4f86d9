"""Images cut into batches of one shape.

N images, B the batch.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from vae_jax.training.step import Batch


def batches(images: UInt8[np.ndarray, "N H W C"], batch_size: int) -> Iterator[Batch]:
    """Yields every image once; the last batch is padded with its first image and masked."""
    for start in range(0, len(images), batch_size):
        rows = np.arange(start, start + batch_size)
        counts = rows < len(images)
        rows = np.where(counts, rows, start)
        yield Batch(images[rows], rows.astype(np.int32), counts.astype(np.float32))
