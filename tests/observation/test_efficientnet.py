import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.observation import data_package, legacy_pickle, weights
from vae_jax.observation.efficientnet import (
    BLOCKS,
    EfficientNetLite0,
    fold_state,
    list_layers,
    list_shapes,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")
needs_package = pytest.mark.skipif(
    not data_package.is_installed(), reason="the extra `features` is not installed"
)

# Of a seeded image, computed in float64 by PyTorch: side and channels of each block's output, its first
# number, its last number, and the mean of all absolute values.
GOLDEN = [
    (32, 16, 14.30192, -6.29159, 10.17458),
    (16, 24, -2.80011, 4.50907, 10.91167),
    (16, 24, -1.51786, 7.73462, 10.52051),
    (8, 40, -0.96610, -12.00112, 6.34369),
    (8, 40, 5.36574, -6.20737, 6.87167),
    (4, 80, 2.01126, 0.82329, 4.78301),
    (4, 80, 0.25720, 3.41313, 4.94634),
    (4, 80, -0.80402, 2.33055, 5.23661),
    (4, 112, -5.77551, 4.32370, 3.46708),
    (4, 112, -4.65580, 3.36236, 3.63718),
    (4, 112, -3.30280, 2.57067, 3.85522),
    (2, 192, -2.81476, 0.92533, 2.76088),
    (2, 192, -3.65856, 1.15077, 3.21567),
    (2, 192, -3.43561, 1.91111, 3.78606),
    (2, 192, -1.27679, 0.02936, 4.26754),
    (2, 320, 0.88321, 0.50420, 1.21786),
]


def draw_images(seed, batch, side):
    return np.random.default_rng(seed).normal(size=(batch, side, side, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def params():
    return weights.load_weights("").params


@needs_package
def test_every_block_gives_the_numbers_of_torch(params):
    x = jnp.asarray(draw_images(13, 1, 64))
    outputs = EfficientNetLite0(tuple(range(16))).apply({"params": params}, x)
    assert len(outputs) == len(GOLDEN)
    for y, (side, channels, first, last, mean) in zip(outputs, GOLDEN, strict=True):
        assert y.shape == (1, side, side, channels)
        numbers = [float(y[0, 0, 0, 0]), float(y[0, -1, -1, -1]), float(jnp.abs(y).mean())]
        np.testing.assert_allclose(numbers, [first, last, mean], rtol=0, atol=1e-4)


@needs_package
@pytest.mark.slow
def test_every_block_equals_the_published_network_in_torch(params):
    torch = pytest.importorskip("torch")
    published = pytest.importorskip("efficientnet_lite_pytorch")
    network = published.EfficientNet.from_name("efficientnet-lite0").eval()
    content = data_package.find_package_file().read_bytes()
    state = legacy_pickle.read_state(content, weights.PACKAGE_DIGEST)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    expected = []
    for block in network._blocks:
        block.register_forward_hook(lambda _, __, y: expected.append(y.permute(0, 2, 3, 1).numpy()))
    x = draw_images(14, 2, 224)
    with torch.inference_mode():
        network.extract_features(torch.from_numpy(x).permute(0, 3, 1, 2))
    outputs = EfficientNetLite0(tuple(range(16))).apply({"params": params}, jnp.asarray(x))
    for y, reference in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(y, reference, rtol=0, atol=1e-4)


@needs_package
def test_bfloat16_is_close_to_float32(params):
    x = jnp.asarray(draw_images(15, 1, 64))
    (exact,), (rounded,) = (
        EfficientNetLite0((10,), dtype).apply({"params": params}, x)
        for dtype in (jnp.float32, jnp.bfloat16)
    )
    assert rounded.dtype == jnp.bfloat16
    error = jnp.abs(rounded.astype(jnp.float32) - exact).mean()
    assert float(error / jnp.abs(exact).mean()) < 0.05


def test_the_last_blocks_before_each_stride_have_the_known_channels():
    assert [BLOCKS[index].outputs for index in (4, 10, 15)] == [40, 112, 320]
    strides = np.cumprod([2, *(block.stride for block in BLOCKS)])[1:]
    assert strides[[4, 10, 15]].tolist() == [8, 16, 32]


def test_the_parameters_are_as_many_as_in_the_published_network():
    """The published network has 4,652,008 parameters, with its head and its classifier."""
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    trained = [shape for name, shape in list_shapes().items() if ".running_" not in name]
    assert sum(int(np.prod(shape)) for shape in trained) == 4_652_008 - head


def test_the_parameters_of_the_module_are_those_of_the_state():
    state = {name: np.ones(shape, np.float32) for name, shape in list_shapes().items()}
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    declared = jax.eval_shape(EfficientNetLite0((15,)).init, jax.random.key(0), image)["params"]
    folded = fold_state(state)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), declared) == jax.tree.map(
        lambda a: (a.shape, a.dtype), folded
    )


def test_nothing_after_the_last_requested_block_is_computed():
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    params = jax.eval_shape(EfficientNetLite0((0, 2)).init, jax.random.key(0), image)["params"]
    assert set(params) == {"stem", "block_0", "block_1", "block_2"}


def test_folding_equals_batch_normalisation():
    rng = np.random.default_rng(3)
    state = {
        name: rng.uniform(0.5, 2, shape).astype(np.float32) for name, shape in list_shapes().items()
    }
    layer = fold_state(state)["block_3"]["expand"]
    convolution, norm, _ = list_layers()["block_3", "expand"]
    x = rng.normal(size=24)
    y = state[f"{convolution}.weight"][:, :, 0, 0] @ x
    y = (y - state[f"{norm}.running_mean"]) / np.sqrt(state[f"{norm}.running_var"] + 1e-3)
    y = y * state[f"{norm}.weight"] + state[f"{norm}.bias"]
    np.testing.assert_allclose(x @ layer["kernel"] + layer["bias"], y, rtol=0, atol=1e-5)
