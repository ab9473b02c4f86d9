import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.distributions import LIKELIHOODS, kl_to_standard_normal
from vae_jax.model.spatial import SpatialDecoder, SpatialEncoder, count_latent_dimensions

pytestmark = pytest.mark.usefixtures("quick_compilation")

CHANNELS, LATENT, WIDTH = 5, 2, 4


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def make_modules(grid, dtype=jnp.float32, **encoder_options):
    encoder = SpatialEncoder(LATENT, WIDTH, dtype=dtype, **encoder_options)
    return encoder, SpatialDecoder(grid, CHANNELS, LATENT, WIDTH, dtype)


def draw_params(module, *inputs):
    """Random parameters with the shapes of the module's, without a compilation."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.float32(0.3 * rng.standard_normal(s.shape)), shapes)


@pytest.mark.parametrize(("grid", "side"), [(8, 4), (7, 4), (14, 7), (1, 1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shapes_fit_even_and_odd_grids_and_everything_is_float32(grid, side, dtype):
    encoder, decoder = make_modules(grid, dtype)
    x = jnp.zeros((3, grid, grid, CHANNELS))
    mu, logvar = jax.eval_shape(lambda: encoder.init_with_output(jax.random.key(0), x)[0])
    assert count_latent_dimensions(grid, LATENT) == side * side * LATENT
    assert mu.shape == logvar.shape == (3, side * side * LATENT)
    z = jnp.zeros(mu.shape)
    raw = jax.eval_shape(lambda: decoder.init_with_output(jax.random.key(0), z)[0])
    assert raw.shape == (3, grid, grid, 2 * CHANNELS)
    assert mu.dtype == logvar.dtype == raw.dtype == jnp.float32


def test_an_autoencoder_has_no_logvar():
    encoder, _ = make_modules(4, sampled=False)
    x = draw(2, 4, 4, CHANNELS)
    params = draw_params(encoder, x)
    assert "logvar" not in params["params"]
    assert encoder.apply(params, x)[1] is None


@pytest.mark.parametrize("grid", [6, 7])
def test_every_parameter_has_a_gradient(grid):
    encoder, decoder = make_modules(grid)
    x, z = draw(2, grid, grid, CHANNELS), draw(2, count_latent_dimensions(grid, LATENT), seed=1)

    def compute_loss(of_encoder, of_decoder):
        mu, logvar = encoder.apply(of_encoder, x)
        raw = decoder.apply(of_decoder, mu + jnp.exp(0.5 * logvar) * z)
        return (
            kl_to_standard_normal(mu, logvar).sum()
            - LIKELIHOODS["normal"].log_prob(x, raw, 1.0).sum()
        )

    gradients = jax.jit(jax.grad(compute_loss, (0, 1)))(
        draw_params(encoder, x), draw_params(decoder, z)
    )
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(gradient).all(), path
        assert float(jnp.abs(gradient).max()) > 1e-4, path


def test_the_posterior_is_the_prior_where_the_heads_are_zero():
    encoder, _ = make_modules(6)
    x = draw(2, 6, 6, CHANNELS)
    params = draw_params(encoder, x)["params"]
    heads = {name: jax.tree.map(jnp.zeros_like, params[name]) for name in ("mu", "logvar")}
    mu, logvar = encoder.apply({"params": {**params, **heads}}, x)
    np.testing.assert_array_equal(kl_to_standard_normal(mu, logvar), 0)


def test_a_feature_changes_only_the_latents_near_it():
    encoder, _ = make_modules(16)
    x = draw(1, 16, 16, CHANNELS)
    params = draw_params(encoder, x)
    changed = x.at[0, 0, 0].add(1.0)
    before, after = (encoder.apply(params, x)[0].reshape(8, 8, LATENT) for x in (x, changed))
    difference = jnp.abs(after - before).max(axis=2)
    assert float(difference[0, 0]) > 1e-3
    np.testing.assert_array_equal(difference[3:], 0)
    np.testing.assert_array_equal(difference[:, 3:], 0)


def test_a_latent_vector_changes_only_the_features_near_its_place():
    _, decoder = make_modules(16)
    z = draw(1, 8, 8, LATENT)
    params = draw_params(decoder, z.reshape(1, -1))
    changed = z.at[0, 4, 5].add(1.0)
    before, after = (decoder.apply(params, z.reshape(1, -1))[0] for z in (z, changed))
    rows, columns = np.nonzero(np.asarray(jnp.abs(after - before).max(axis=2)))
    # The place covers rows 8 and 9 and columns 10 and 11; each 3x3 convolution adds one place around it.
    assert (rows.min(), rows.max()) == (8 - 3, 9 + 3)
    assert (columns.min(), columns.max()) == (10 - 3, 11 + 3)


def test_the_output_for_an_odd_grid_is_cut_from_that_of_the_next_even_one():
    """Only the last rows and columns differ, because the depthwise convolution sees zeros behind them."""
    (_, odd), (_, even) = make_modules(7), make_modules(8)
    z = draw(2, 32)
    of_even = draw_params(even, z)["params"]
    of_odd = {**of_even, "places": of_even["places"][:7, :7]}
    actual, expected = (m.apply({"params": p}, z) for m, p in ((odd, of_odd), (even, of_even)))
    np.testing.assert_allclose(actual[:, :6, :6], expected[:, :6, :6], atol=1e-5)


def test_log_sigma_is_one_number_per_channel_and_starts_at_zero():
    _, decoder = make_modules(4)
    z = draw(2, 8)
    raw, variables = decoder.init_with_output(jax.random.key(0), z)
    np.testing.assert_array_equal(raw[..., CHANNELS:], 0)
    params = {**variables["params"], "log_sigma": jnp.arange(float(CHANNELS))}
    raw = decoder.apply({"params": params}, z)
    expected = np.broadcast_to(np.arange(CHANNELS), (2, 4, 4, CHANNELS))
    np.testing.assert_array_equal(raw[..., CHANNELS:], expected)


def test_the_map_of_places_starts_at_zero_and_changes_only_its_place():
    _, decoder = make_modules(4)
    z = draw(1, 8)
    params = decoder.init(jax.random.key(0), z)["params"]
    np.testing.assert_array_equal(params["places"], 0)
    changed = {**params, "places": params["places"].at[1, 2].add(1.0)}
    before, after = (decoder.apply({"params": p}, z)[0] for p in (params, changed))
    rows, columns = np.nonzero(np.asarray(jnp.abs(after - before).max(axis=2)))
    assert (set(rows.tolist()), set(columns.tolist())) == ({1}, {2})


def test_a_label_changes_posterior_and_output():
    encoder, decoder = make_modules(4)
    x, z, labels = draw(1, 4, 4, CHANNELS), draw(1, 8), jnp.eye(2, dtype=jnp.float32)
    for module, value in ((encoder, x), (decoder, z)):
        params = draw_params(module, value, labels[:1])
        first, second = (module.apply(params, value, labels[i : i + 1]) for i in (0, 1))
        assert not np.allclose(first[0], second[0], atol=1e-3)


def test_bfloat16_is_close_to_float32():
    x, z = draw(2, 6, 6, CHANNELS), draw(2, 18)
    for value, index in ((x, 0), (z, 1)):
        full, half = make_modules(6)[index], make_modules(6, jnp.bfloat16)[index]
        params = draw_params(full, value)
        for a, b in zip(
            jax.tree.leaves(half.apply(params, value)), jax.tree.leaves(full.apply(params, value)),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(a, b, rtol=0, atol=0.03 * float(jnp.abs(b).max()))
