import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from vae_jax.observation import data_package, features, weights
from vae_jax.observation.efficientnet import EfficientNetLite0, fold_state, list_shapes
from vae_jax.observation.features import compute_features

pytestmark = pytest.mark.usefixtures("quick_compilation")
SIZE = 64  # pixels; the maps have 8, 4 and 2 places in each direction


@pytest.fixture(scope="module")
def params():
    """Random weights, so that these tests do not need the data package."""
    rng = np.random.default_rng(0)
    state = {}
    for name, shape in list_shapes().items():
        values = rng.normal(size=shape) * np.sqrt(2 / max(np.prod(shape[1:]), 1))
        if name.endswith(("running_var", "bn0.weight", "bn1.weight", "bn2.weight")):
            values = rng.uniform(0.5, 1.5, shape)
        state[name] = values.astype(np.float32)
    return fold_state(state)


def draw_images(batch, side=SIZE, channels=3):
    images = np.random.default_rng(1).random((batch, side, side, channels))
    return jnp.asarray(images, jnp.float32)


def compute(params, x, grid=4, size=SIZE):
    return jax.jit(compute_features, static_argnums=(2, 3))(params, x, size, grid)


@pytest.fixture(scope="module")
def maps(params):
    x = draw_images(2)
    return EfficientNetLite0((4, 10, 15)).apply({"params": params}, (x * 255 - 127) / 128)


def smooth(y):
    """Returns the 3x3 means of [B h w C] by SciPy; places outside do not count."""
    total = uniform_filter(np.asarray(y), (1, 3, 3, 1), mode="constant")
    count = uniform_filter(np.ones_like(y), (1, 3, 3, 1), mode="constant")
    return total / count


def test_the_maps_are_smoothed_and_brought_to_one_grid(params, maps):
    o, _ = compute(params, draw_images(2))
    assert o.shape == (2, 4, 4, features.NUM_CHANNELS)
    fine, middle, _ = (smooth(y) for y in maps)
    np.testing.assert_allclose(
        o[..., :40], fine.reshape(2, 4, 2, 4, 2, 40).mean(axis=(2, 4)), rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(o[..., 40:152], middle, rtol=0, atol=1e-4)


def test_a_coarse_map_is_interpolated(params, maps):
    o, _ = compute(params, draw_images(2))
    coarse = smooth(maps[2])  # 2 places, at 0.25 and 0.75 of each side
    shares = np.clip((np.arange(4) + 0.5) / 4 * 2 - 0.5, 0, 1)
    matrix = np.stack([1 - shares, shares], axis=1)
    expected = np.einsum("ih,jw,bhwc->bijc", matrix, matrix, coarse)
    np.testing.assert_allclose(o[..., 152:], expected, rtol=0, atol=1e-4)


def test_interpolation_equals_that_of_torch():
    torch = pytest.importorskip("torch")
    y = jnp.asarray(np.random.default_rng(2).normal(size=(1, 7, 7, 3)), jnp.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(y)).permute(0, 3, 1, 2), size=(14, 14), mode="bilinear"
    )
    ours = features._resize_to_grid(y, 14)
    np.testing.assert_allclose(ours, expected.permute(0, 2, 3, 1), rtol=0, atol=1e-5)


def test_the_pooled_rows_are_mean_and_difference_of_the_halves(params, maps):
    _, pooled = compute(params, draw_images(2))
    deepest = np.asarray(maps[2])
    assert pooled.shape == (2, 2, features.NUM_POOLED)
    np.testing.assert_allclose(pooled[:, 0], deepest.mean(axis=(1, 2)), rtol=0, atol=1e-4)
    difference = (deepest[:, :, 0] - deepest[:, :, 1]).mean(axis=1)
    np.testing.assert_allclose(pooled[:, 1], difference, rtol=0, atol=1e-4)


def test_the_middle_column_belongs_to_no_half():
    y = jnp.asarray(np.random.default_rng(3).normal(size=(1, 2, 3, 5)), jnp.float32)
    changed = features._summarise(y.at[:, :, 1].add(9))
    np.testing.assert_array_equal(changed[:, 1], features._summarise(y)[:, 1])
    assert not np.array_equal(changed[:, 0], features._summarise(y)[:, 0])


def test_a_map_of_one_column_has_no_difference():
    assert not features._summarise(jnp.ones((1, 1, 1, 5)))[:, 1].any()


def test_grey_images_are_repeated(params):
    grey = draw_images(1, channels=1)
    for ours, repeated in zip(
        compute(params, grey), compute(params, jnp.repeat(grey, 3, 3)), strict=True
    ):
        np.testing.assert_allclose(ours, repeated, rtol=0, atol=1e-5)


def test_images_of_another_size_are_resized(params):
    x = draw_images(1, side=40)
    resized = jax.image.resize(x, (1, SIZE, SIZE, 3), "linear")
    for ours, expected in zip(compute(params, x), compute(params, resized), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch", [3, 4])
def test_features_do_not_depend_on_the_batch(params, batch):
    x = draw_images(batch)
    together = compute(params, x)
    for row in range(batch):
        for ours, alone in zip(together, compute(params, x[row : row + 1]), strict=True):
            np.testing.assert_allclose(ours[row], alone[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("grid", [1, 3, 8])
def test_the_grid_is_free(params, grid):
    o, _ = compute(params, draw_images(1), grid)
    assert o.shape == (1, grid, grid, 472)
    assert bool(jnp.isfinite(o).all())


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.skipif(not data_package.is_installed(), reason="the extra `features` is not installed")
def test_the_result_is_float32_in_bfloat16_as_well():
    params = weights.load_weights("").params
    x = draw_images(1)
    exact, rounded = (compute_features(params, x, SIZE, 4, d) for d in (jnp.float32, jnp.bfloat16))
    for a, b in zip(exact, rounded, strict=True):
        assert a.dtype == b.dtype == jnp.float32
        assert float(jnp.abs(a - b).mean() / jnp.abs(a).mean()) < 0.1
