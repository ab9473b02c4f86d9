import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.signal import correlate

from vae_jax.metrics import inception

# The number of torchvision, without its auxiliary head and the biases of the last layer.
_NUM_TRAINED = 23_834_568 - 1000
_NUM_LAYERS = 94  # number of convolutions


# The whole network is compiled, and computes a single image.
pytestmark = pytest.mark.usefixtures("quick_compilation")


@functools.cache
def random_state(num_classes, seed=0):
    """Arrays with the names and shapes of a file of weights; variances are positive, activations finite."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in inception.compute_state_shapes(num_classes).items():
        values = rng.normal(size=shape).astype(np.float32)
        if name.endswith(("running_var", "bn.weight")):
            values = rng.uniform(0.5, 2, shape).astype(np.float32)
        if name.endswith(("conv.weight", "fc.weight")):
            values *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
        state[name] = values
    return state


def test_the_parameters_are_as_many_as_in_the_published_network():
    shapes = inception.compute_state_shapes(1000)
    trained = sum(int(np.prod(shape)) for name, shape in shapes.items() if ".running_" not in name)
    assert trained == _NUM_TRAINED
    assert sum(name.endswith("conv.weight") for name in shapes) == _NUM_LAYERS


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3)),
        ("Conv2d_4a_3x3.bn.running_var", (192,)),
        ("Mixed_5b.branch_pool.conv.weight", (32, 192, 1, 1)),
        ("Mixed_5d.branch5x5_2.conv.weight", (64, 48, 5, 5)),
        ("Mixed_6a.branch3x3.conv.weight", (384, 288, 3, 3)),
        ("Mixed_6b.branch7x7_2.conv.weight", (128, 128, 1, 7)),
        ("Mixed_6e.branch7x7dbl_4.conv.weight", (192, 192, 7, 1)),
        ("Mixed_7a.branch7x7x3_4.conv.weight", (192, 192, 3, 3)),
        ("Mixed_7c.branch3x3dbl_3a.conv.weight", (384, 384, 1, 3)),
        ("Mixed_7c.branch_pool.bn.bias", (192,)),
        ("fc.weight", (1008, 2048)),
    ],
)
def test_names_and_shapes_are_those_of_the_pytorch_files(name, shape):
    assert inception.compute_state_shapes(1008)[name] == shape


def reference_layer(state, layer, x, stride=1, padding=(0, 0)):
    """Convolution, batch normalisation and rectifier of one image [C, H, W], by scipy in float64."""
    kernel = state[f"{layer}.conv.weight"].astype(np.float64)
    x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    y = np.stack([correlate(x, filter_, mode="valid")[0, ::stride, ::stride] for filter_ in kernel])
    scale, shift, mean, variance = (
        state[f"{layer}.bn.{name}"].astype(np.float64)[:, None, None]
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    return np.maximum((y - mean) / np.sqrt(variance + 1e-3) * scale + shift, 0)


def pooled(x, counts_padding):
    """3 x 3 means of one image [C, H, W], written out pixel by pixel."""
    _, height, width = x.shape
    y = np.empty_like(x)
    for i in range(height):
        for j in range(width):
            window = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            y[:, i, j] = window.sum(axis=(1, 2)) / (9 if counts_padding else window[0].size)
    return y


@functools.cache
def intermediates(num_classes):
    """Weights, image, features, logits and the output of every module, for random weights."""
    state = random_state(num_classes)
    network, params = inception.read_state(state)
    image = np.random.default_rng(1).uniform(-1, 1, (1, 299, 299, 3)).astype(np.float32)
    apply = jax.jit(functools.partial(network.apply, capture_intermediates=True))
    (features, logits), captured = apply({"params": params}, image)
    return state, image, features, logits, captured["intermediates"]


@pytest.mark.parametrize("count_padding", [True, False])
def test_average_pools_count_the_padding_or_leave_it_out(count_padding):
    x = np.random.default_rng(5).normal(size=(4, 6, 5))
    means = inception._mean_3x3(jnp.asarray(x.transpose(1, 2, 0), jnp.float32)[None], count_padding)
    np.testing.assert_allclose(means[0].transpose(2, 0, 1), pooled(x, count_padding), atol=1e-6)


def test_the_first_mixed_block_equals_that_of_scipy():
    state = random_state(1008)
    x = np.random.default_rng(2).normal(size=(192, 4, 3))
    _, params = inception.read_state(state)
    average = functools.partial(inception._mean_3x3, count_padding=False)
    block = inception._BlockA(32, average)
    output = block.apply(
        {"params": params["Mixed_5b"]}, jnp.asarray(x.transpose(1, 2, 0), jnp.float32)[None]
    )
    layer = functools.partial(reference_layer, state)
    five = layer("Mixed_5b.branch5x5_1", x)
    three = layer("Mixed_5b.branch3x3dbl_1", x)
    three = layer("Mixed_5b.branch3x3dbl_2", three, padding=(1, 1))
    expected = np.concatenate(
        [
            layer("Mixed_5b.branch1x1", x),
            layer("Mixed_5b.branch5x5_2", five, padding=(2, 2)),
            layer("Mixed_5b.branch3x3dbl_3", three, padding=(1, 1)),
            layer("Mixed_5b.branch_pool", pooled(x, counts_padding=False)),
        ]
    )
    np.testing.assert_allclose(output[0].transpose(2, 0, 1), expected, atol=2e-4)


def test_the_stem_and_a_block_with_oblong_kernels_equal_those_of_scipy():
    state, image, *_, captured = intermediates(1008)
    x = image[0, :9, :9].transpose(2, 0, 1).astype(np.float64)
    x = reference_layer(state, "Conv2d_1a_3x3", x, stride=2)
    first = captured["Conv2d_1a_3x3"]["__call__"][0][0, :4, :4]
    np.testing.assert_allclose(np.maximum(first, 0).transpose(2, 0, 1), x, atol=1e-4)

    y = np.random.default_rng(3).normal(size=(768, 3, 5))
    _, params = inception.read_state(state)
    average = functools.partial(inception._mean_3x3, count_padding=False)
    output = inception._BlockC(128, average).apply(
        {"params": params["Mixed_6b"]}, jnp.asarray(y.transpose(1, 2, 0), jnp.float32)[None]
    )
    layer = functools.partial(reference_layer, state)
    seven = layer("Mixed_6b.branch7x7_1", y)
    seven = layer("Mixed_6b.branch7x7_2", seven, padding=(0, 3))
    seven = layer("Mixed_6b.branch7x7_3", seven, padding=(3, 0))
    np.testing.assert_allclose(output[0, ..., 192:384].transpose(2, 0, 1), seven, atol=5e-4)


def halved(x):
    """3 x 3 maxima at every second place of one image [C, H, W]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    return windows.max(axis=(3, 4))[:, ::2, ::2]


def apply_block(block, params, name, x):
    """The output [C, H, W] of a block for one image [C, H, W]."""
    image = jnp.asarray(x.transpose(1, 2, 0), jnp.float32)[None]
    return block.apply({"params": params[name]}, image)[0].transpose(2, 0, 1)


def test_blocks_that_halve_the_image_equal_those_of_scipy():
    state = random_state(1008)
    _, params = inception.read_state(state)
    layer = functools.partial(reference_layer, state)
    x = np.random.default_rng(6).normal(size=(288, 5, 3))
    twice = layer("Mixed_6a.branch3x3dbl_1", x)
    twice = layer("Mixed_6a.branch3x3dbl_2", twice, padding=(1, 1))
    parts = [
        layer("Mixed_6a.branch3x3", x, stride=2),
        layer("Mixed_6a.branch3x3dbl_3", twice, stride=2),
        halved(x),
    ]
    output = apply_block(inception._BlockB(), params, "Mixed_6a", x)
    np.testing.assert_allclose(output, np.concatenate(parts), atol=5e-4)

    x = np.random.default_rng(7).normal(size=(768, 3, 5))
    three = layer("Mixed_7a.branch3x3_1", x)
    seven = layer("Mixed_7a.branch7x7x3_1", x)
    seven = layer("Mixed_7a.branch7x7x3_2", seven, padding=(0, 3))
    seven = layer("Mixed_7a.branch7x7x3_3", seven, padding=(3, 0))
    parts = [
        layer("Mixed_7a.branch3x3_2", three, stride=2),
        layer("Mixed_7a.branch7x7x3_4", seven, stride=2),
        halved(x),
    ]
    output = apply_block(inception._BlockD(), params, "Mixed_7a", x)
    np.testing.assert_allclose(output, np.concatenate(parts), atol=5e-4)


def test_the_block_with_divided_branches_equals_that_of_scipy():
    state = random_state(1008)
    _, params = inception.read_state(state)
    layer = functools.partial(reference_layer, state)
    x = np.random.default_rng(8).normal(size=(1280, 2, 3))
    three = layer("Mixed_7b.branch3x3_1", x)
    twice = layer("Mixed_7b.branch3x3dbl_1", x)
    twice = layer("Mixed_7b.branch3x3dbl_2", twice, padding=(1, 1))
    parts = [
        layer("Mixed_7b.branch1x1", x),
        layer("Mixed_7b.branch3x3_2a", three, padding=(0, 1)),
        layer("Mixed_7b.branch3x3_2b", three, padding=(1, 0)),
        layer("Mixed_7b.branch3x3dbl_3a", twice, padding=(0, 1)),
        layer("Mixed_7b.branch3x3dbl_3b", twice, padding=(1, 0)),
        layer("Mixed_7b.branch_pool", pooled(x, counts_padding=False)),
    ]
    average = functools.partial(inception._mean_3x3, count_padding=False)
    output = apply_block(inception._BlockE(average), params, "Mixed_7b", x)
    np.testing.assert_allclose(output, np.concatenate(parts), atol=5e-4)


def test_features_are_means_over_places_and_logits_their_product_with_the_last_matrix():
    state, _, features, logits, captured = intermediates(1008)
    last = captured["Mixed_7c"]["__call__"][0]
    assert last.shape == (1, 8, 8, 2048)
    np.testing.assert_allclose(features, np.mean(last, axis=(1, 2)), rtol=1e-4)
    expected = state["fc.weight"] @ features[0]
    np.testing.assert_allclose(logits[0], expected, atol=1e-5 * abs(expected).max())


def test_the_last_pool_is_a_maximum_only_with_the_original_weights():
    for num_classes, pool in ((1008, np.max), (1000, None)):
        state, *_, captured = intermediates(num_classes)
        x = np.asarray(captured["Mixed_7b"]["__call__"][0][0], np.float64).transpose(2, 0, 1)
        if pool is None:
            y = pooled(x, counts_padding=True)
        else:
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
            y = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).max(axis=(3, 4))
        expected = reference_layer(state, "Mixed_7c.branch_pool", y)
        output = captured["Mixed_7c"]["__call__"][0][0, ..., -192:].transpose(2, 0, 1)
        np.testing.assert_allclose(output, expected, rtol=2e-3, atol=2e-3 * expected.max())


def test_images_are_enlarged_linearly_between_pixel_centres():
    images = np.random.default_rng(4).uniform(size=(2, 8, 8, 1)).astype(np.float32)
    prepared = inception.prepare_images(jnp.asarray(images))
    assert prepared.shape == (2, 299, 299, 3)
    places = (np.arange(299) + 0.5) * 8 / 299 - 0.5
    grid = np.meshgrid(places, places, indexing="ij")
    expected = 2 * map_coordinates(images[0, ..., 0], grid, order=1, mode="nearest") - 1
    np.testing.assert_allclose(prepared[0, ..., 2], expected, atol=1e-5)


def test_a_file_of_another_network_is_refused_by_its_first_difference():
    state = random_state(1000)
    with pytest.raises(ValueError, match=r"lacks the array fc\.weight"):
        inception.read_state({})
    wrong = state | {"Conv2d_2a_3x3.conv.weight": np.zeros((32, 3, 3, 3), np.float32)}
    with pytest.raises(
        ValueError, match=r"Conv2d_2a_3x3\.conv\.weight has the shape \(32, 3, 3, 3\); expected"
    ):
        inception.read_state(wrong)
    with pytest.raises(ValueError, match=r"lacks the array Mixed_7c\.branch_pool\.bn\.running_var"):
        inception.read_state(
            {k: v for k, v in state.items() if k != "Mixed_7c.branch_pool.bn.running_var"}
        )
