import io

import numpy as np
from PIL import Image
from sklearn import datasets

from vae_jax.data.builders.digits import Digits


def test_images_and_classes_are_those_of_scikit_learn():
    images = Digits.list_images(Digits, {})["train"]
    bunch = datasets.load_digits()
    assert [int(image.class_name) for image in images] == bunch.target.tolist()
    assert len({image.group for image in images}) == len(images)
    for image, levels in zip(images[:50], bunch.images, strict=False):
        pixels = np.asarray(Image.open(io.BytesIO(image.image)))
        np.testing.assert_allclose(pixels, levels / 16 * 255, atol=0.5)
