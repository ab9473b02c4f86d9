import json
import struct

import jax
import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import features, inception_file
from vae_jax.metrics import inception


@pytest.fixture(scope="module")
def state():
    """Every array of a file, with weights that keep activations small."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in inception.state_shapes(1008).items():
        if name.endswith(("running_var", "bn.weight")):
            arrays[name] = np.ones(shape, np.float16)
        elif len(shape) == 1:
            arrays[name] = np.zeros(shape, np.float16)
        else:
            scale = np.sqrt(2 / np.prod(shape[1:]))
            arrays[name] = (scale * rng.standard_normal(shape, np.float32)).astype(np.float16)
    return arrays | {"AuxLogits.fc.weight": np.zeros((2, 3), np.float16)}


def save_safetensors(path, arrays):
    """The format as its specification has it, written without its library."""
    header, parts, place = {"__metadata__": {"format": "pt"}}, [], 0
    kinds = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}
    for name, array in arrays.items():
        content = array.tobytes()
        header[name] = {
            "dtype": kinds[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [place, place + len(content)],
        }
        parts.append(content)
        place += len(content)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def test_both_kinds_of_file_give_the_same_parameters(tmp_path, state):
    arrays = state | {"Conv2d_1a_3x3.bn.num_batches_tracked": np.array(7)}
    np.savez(tmp_path / "weights.npz", **arrays)
    save_safetensors(tmp_path / "weights.safetensors", arrays)
    (one, first), (other, second) = (
        inception_file.read(tmp_path / f"weights.{suffix}") for suffix in ("npz", "safetensors")
    )
    assert one.num_classes == other.num_classes == 1008
    assert jax.tree.all(jax.tree.map(np.array_equal, first, second))


def test_inception_features_are_named_and_take_images_either_way(tmp_path, state, monkeypatch):
    monkeypatch.setattr(features, "_INCEPTION_BATCH", 2)
    np.savez(tmp_path / "weights.npz", **state)
    found = features.from_inception(tmp_path / "weights.npz")
    assert found.name == "Inception-v3, weights of the original Fréchet distance (weights.npz)"
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 1), np.uint8)
    values, probabilities = found.look(images)
    assert values.shape == (2, 2048)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(found.look(images / np.float32(255))[0], values, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.npz", None, "there is no file"),
        ("weights.pth", b"x", r"neither \.npz nor \.safetensors"),
        ("weights.npz", b"not a zip", "does not hold Inception-v3's weights"),
        ("weights.safetensors", b"short", "does not hold Inception-v3's weights"),
        ("weights.safetensors", struct.pack("<Q", 2) + b"[]", "a JSON list and not an object"),
        ("weights.safetensors", struct.pack("<Q", 2) + b"{}", r"no array fc\.weight"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as refused:
        inception_file.read(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"fc.weight": np.array([{}], dtype=object)})
    with pytest.raises(UserError, match="does not hold"):
        inception_file.read(tmp_path / "weights.npz")


def test_a_trained_classifier_says_what_it_is(two_classes):
    found = features.train_features(two_classes, 1, 0)
    assert found.name.startswith("classifier of discs, 2 classes, ")
    assert found.name.endswith("right of 35 held-out images")
