import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vae_jax.config import default
from vae_jax.data.augment import draw_binary, interpolate_bilinearly, make_augmentation

ALL_CHANGES = {
    "horizontal_flip": 0.5, "vertical_flip": 0.5, "rotation": 10.0, "brightness": 0.1,
    "contrast": 0.1, "saturation": 0.1, "hue": 0.02,
}  # fmt: skip


def make(**changes):
    """Returns the augmentation with the given fields of the group `augment`."""
    config = default().augment
    config.update(changes)
    return make_augmentation(config)


def augment(x, **changes):
    keys = jax.random.split(jax.random.key(0), len(x))
    return np.asarray(make(**changes)(jnp.asarray(x), keys))


@pytest.fixture
def x():
    """Smooth colour images, for which bilinear interpolation is accurate."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 1, (16, 24, 24, 3))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2, 0))
    return np.float32((smooth - smooth.min()) / (smooth.max() - smooth.min()))


def test_without_any_change_the_image_stays_the_same(x):
    np.testing.assert_array_equal(augment(x), x)


def test_strength_scales_every_change_and_zero_switches_all_changes_off(x):
    changes = {"horizontal_flip": 1.0, "rotation": 10.0, "brightness": 0.2, "hue": 0.1}
    np.testing.assert_array_equal(augment(x, **changes, strength=0.0), x)
    halved = {name: value / 2 for name, value in changes.items()}
    np.testing.assert_allclose(augment(x, **changes, strength=0.5), augment(x, **halved), atol=1e-6)


@pytest.mark.parametrize("rotation", [0.0, 1e-9])
@pytest.mark.parametrize(
    ("name", "flipped"),
    [("horizontal_flip", np.s_[:, :, ::-1]), ("vertical_flip", np.s_[:, ::-1])],
)
def test_a_flip_happens_with_its_probability(x, name, flipped, rotation):
    np.testing.assert_allclose(augment(x, **{name: 1.0}, rotation=rotation), x[flipped], atol=1e-5)
    half_flipped = augment(x, **{name: 0.5}, rotation=rotation)

    def equals(images):
        return np.abs(half_flipped - images).max(axis=(1, 2, 3)) < 1e-5

    is_flipped, is_kept = equals(x[flipped]), equals(x)
    assert (is_flipped ^ is_kept).all()
    assert is_flipped.any()
    assert is_kept.any()


def test_rotation_is_a_rotation_about_the_centre_within_the_limit(x):
    """SciPy's rotation by an angle within the limit gives the same image, and the angles differ."""
    rotated = augment(x, rotation=10.0)
    angles = np.linspace(-10, 10, 81)
    best_angles = []
    for before, after in zip(x[:4], rotated[:4], strict=True):
        errors = [
            np.abs(
                ndimage.rotate(before, a, axes=(1, 0), reshape=False, order=1, mode="mirror")
                - after
            ).max()
            for a in angles
        ]
        assert min(errors) < 0.03
        best_angles.append(angles[np.argmin(errors)])
    assert np.ptp(best_angles) > 1


def test_colour_changes_stay_in_range_and_keep_greys_grey_under_hue_and_saturation(x):
    grey = np.repeat(x.mean(axis=3, keepdims=True), 3, axis=3)
    changed = augment(grey, saturation=0.5, hue=0.2)
    np.testing.assert_allclose(changed, grey, atol=1e-3)
    wild = augment(x, brightness=0.9, contrast=0.9, saturation=0.9, hue=0.5)
    assert wild.min() >= 0
    assert wild.max() <= 1


def change_colours(x, saturation, angle):
    """Scales and turns I and Q of the colour space of NTSC, by the conversion of the standard library."""
    changed = np.empty(x.shape)
    for place in np.ndindex(x.shape[:-1]):
        y, i, q = colorsys.rgb_to_yiq(*x[place])
        turned = saturation * np.exp(1j * angle) * complex(i, q)
        # `colorsys.yiq_to_rgb` clips to [0, 1]; the colours of this test stay inside.
        changed[place] = colorsys.yiq_to_rgb(y, turned.real, turned.imag)
    return changed


def test_hue_and_saturation_are_a_turn_and_a_scale_of_the_chroma(x):
    colours = 0.4 + 0.2 * x[:, :3, :3]
    for fields, limits in (
        ({"saturation": 0.4}, ((0.6, 1.4), (0, 0))),
        ({"hue": 0.1}, ((1, 1), (-0.2 * np.pi, 0.2 * np.pi))),
        ({"saturation": 0.4, "hue": 0.1}, ((0.6, 1.4), (-0.2 * np.pi, 0.2 * np.pi))),
    ):
        changed = augment(colours, **fields)
        chroma = [
            [complex(*colorsys.rgb_to_yiq(*pixel)[1:]) for pixel in pixels]
            for pixels in select_most_colourful(colours, changed)
        ]
        ratios = np.array(chroma[1]) / np.array(chroma[0])
        for before, after, ratio in zip(colours, changed, ratios, strict=True):
            expected = change_colours(before, abs(ratio), np.angle(ratio))
            np.testing.assert_allclose(after, expected, atol=3e-3)
        (low, high), (first, last) = limits
        assert (np.abs(ratios) >= low - 0.01).all()
        assert (np.abs(ratios) <= high + 0.01).all()
        assert (np.angle(ratios) >= first - 0.01).all()
        assert (np.angle(ratios) <= last + 0.01).all()
        assert np.ptp(np.abs(ratios)) > (0.3 if "saturation" in fields else -1)
        assert np.ptp(np.angle(ratios)) > (0.6 if "hue" in fields else -1)


def select_most_colourful(before, after):
    """The pixel of each image with the strongest colour before the change, before and after it."""
    rows = np.arange(len(before))
    before, after = (images.reshape(len(images), -1, 3) for images in (before, after))
    strongest = np.ptp(before, axis=2).argmax(axis=1)
    return before[rows, strongest], after[rows, strongest]


def test_brightness_multiplies_within_its_limits(x):
    dim = 0.5 * x
    factor = augment(dim, brightness=0.2).sum(axis=(1, 2, 3)) / dim.sum(axis=(1, 2, 3))
    assert (np.abs(factor - 1) <= 0.2 + 1e-5).all()
    assert np.ptp(factor) > 0.1


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_keeps_the_mean_grey(x, channels):
    images = 0.4 + 0.2 * x[..., :channels]
    changed = augment(images, contrast=0.3)
    weights = np.array([1.0]) if channels == 1 else np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(
        (changed @ weights).mean(axis=(1, 2)), (images @ weights).mean(axis=(1, 2)), atol=1e-3
    )
    assert not np.allclose(changed, images, atol=1e-2)


def test_an_image_is_changed_the_same_way_in_any_batch(x):
    run = make(**ALL_CHANGES)
    whole = run(jnp.asarray(x), jax.random.split(jax.random.key(0), len(x)))
    part = run(jnp.asarray(x[5:7]), jax.random.split(jax.random.key(0), len(x))[5:7])
    np.testing.assert_allclose(whole[5:7], part, atol=1e-6)


@pytest.mark.parametrize("shape", [(9, 7, 3), (2, 5, 1), (1, 1, 1)])
def test_interpolation_is_that_of_scipy_with_a_mirrored_border(shape):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, shape).astype(np.float32)
    rows, columns = rng.uniform(-12, 20, (2, 30, 40)).astype(np.float32)
    expected = np.stack(
        [
            ndimage.map_coordinates(image[..., channel], [rows, columns], order=1, mode="mirror")
            for channel in range(shape[-1])
        ],
        axis=-1,
    )
    values = interpolate_bilinearly(jnp.asarray(image), jnp.asarray(rows), jnp.asarray(columns))
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_draws_of_black_and_white_differ_between_keys_and_have_the_grey_as_their_mean():
    grey = np.linspace(0, 1, 5, dtype=np.float32).reshape(1, 5, 1, 1)
    keys, other_keys = jax.random.split(jax.random.key(0), (2, 4000))
    draws = draw_binary(jnp.broadcast_to(grey, (4000, 5, 1, 1)), keys)
    assert set(np.unique(draws)) == {0.0, 1.0}
    np.testing.assert_allclose(draws.mean(axis=0), grey[0], atol=0.04)
    np.testing.assert_array_equal(draw_binary(draws, other_keys), draws)
