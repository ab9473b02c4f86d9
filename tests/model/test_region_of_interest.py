import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.data.region import Region, load_region
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import LIKELIHOODS, build_model, init_params

MASK = np.zeros((4, 4), bool)
MASK[1:3, 1:4] = True


def test_pixels_are_those_inside_in_reading_order():
    values = jnp.arange(32.0).reshape(2, 4, 4, 1)
    found = Region(MASK).select(values)
    np.testing.assert_array_equal(found[0, 0, :, 0], [5, 6, 7, 9, 10, 11])
    assert found.shape == (2, 1, 6, 1)


def test_a_smaller_grid_lies_in_the_middle():
    values = jnp.arange(4.0).reshape(1, 2, 2, 1)  # rows 1 to 2, columns 1 to 2 of the image
    np.testing.assert_array_equal(Region(MASK).select(values)[0, 0, :, 0], [0, 1, 2, 3])


def test_cover_is_black_outside_and_leaves_the_inside():
    images = jnp.ones((2, 4, 4, 3))
    covered = np.asarray(Region(MASK).zero_outside(images))
    assert np.all(covered[:, MASK] == 1)
    assert np.all(covered[:, ~MASK] == 0)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_loss_does_not_see_what_lies_outside(tmp_path, likelihood):
    mask = np.zeros((8, 8), np.uint8)
    mask[2:7, 1:5] = 255
    Image.fromarray(mask).save(tmp_path / "roi.png")
    config = default()
    config.data.roi = str(tmp_path / "roi.png")
    config.model.likelihood = likelihood
    model = build_model(config, load_region(config.data))
    params = init_params(model, jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1), minval=0.1, maxval=0.9)
    posterior, raw = model.apply({"params": params}, x, jnp.zeros((3, 16)))
    found = compute_terms(model, x, posterior, raw)
    outside = jnp.asarray(mask == 0, jnp.float32)[None, :, :, None]
    other = compute_terms(model, x * (1 - outside), posterior, raw + 5 * outside)
    np.testing.assert_allclose(found.reconstruction, other.reconstruction, rtol=1e-5)
    assert model.log_prob(x, raw).shape == (3, 1, 20, 1)


def test_the_expected_image_is_black_outside():
    config = default()
    config.data.roi = "ellipse"
    model = build_model(config, load_region(config.data))
    image = np.asarray(model.mean(jnp.zeros((1, 8, 8, 1))))
    assert image[0, 0, 0, 0] == 0
    assert image[0, 4, 4, 0] == 0.5
