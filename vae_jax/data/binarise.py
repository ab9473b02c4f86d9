"""Black and white images, drawn from grey ones: a pixel is white with the probability of its grey value.

The likelihoods of binary MNIST in the literature are those of such images. There are two protocols:

- `static`: each image is drawn once. Its greys alone decide the result, so it is the same in every run,
  role and set, and on every machine.
- `dynamic`: training draws each image anew in every step (`augment.draw_binary`). All other images are
  those of `static`, so an evaluation is deterministic.

Sources: Salakhutdinov and Murray 2008, "On the quantitative analysis of deep belief networks" (static);
Burda et al. 2016, "Importance weighted autoencoders" (dynamic). The stored draw of the former, which
Larochelle and Murray 2011 published, is another one than that of this module.

N images, H W image, C channels.
"""

import zlib

import numpy as np
from jaxtyping import UInt8

_WHITE = 255
_NUM_LEVELS = 2**16  # of a random number; a probability is exact to 1 in 65,536
_DRAWS_PER_WORD = 4  # random numbers of 16 bits in one of 64


def binarise(images: UInt8[np.ndarray, "N H W C"]) -> UInt8[np.ndarray, "N H W C"]:
    """Returns images of 0 and 255 that follow from the greys of each image alone.

    Black stays black and white stays white. The random numbers are the raw output of a bit generator, which
    NumPy promises never to change; what its `Generator` draws may change between versions.
    """
    binary = np.empty_like(images)
    for grey, target in zip(images, binary, strict=True):
        seed = zlib.crc32(grey.tobytes())
        words = np.random.PCG64(seed).random_raw(-(-grey.size // _DRAWS_PER_WORD))
        draws = words.astype("<u8").view("<u2")[: grey.size].reshape(grey.shape)
        is_white = draws.astype(np.uint32) * _WHITE < grey * np.uint32(_NUM_LEVELS)
        target[...] = np.where(is_white, np.uint8(_WHITE), np.uint8(0))
    return binary
