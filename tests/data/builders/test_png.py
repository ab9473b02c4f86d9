import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.data.builders import png


@pytest.mark.parametrize("shape", [(3, 28, 28), (2, 8, 8), (1, 300, 400)])
def test_pillow_reads_back_the_same_pixels(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for encoded, pixels in zip(png.encode_images(images), images, strict=True):
        with Image.open(io.BytesIO(encoded)) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            np.testing.assert_array_equal(np.asarray(image), pixels)


def test_the_size_of_a_file_does_not_depend_on_its_image():
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28), np.uint8)
    images[0] = 0
    blank, noise = png.encode_images(images)
    assert len(blank) == len(noise)
