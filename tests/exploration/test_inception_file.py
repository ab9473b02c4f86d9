import json
import struct

import jax
import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.inception_file import read_inception


def save_safetensors(path, arrays):
    """Writes a file as the specification of the format defines it, without the library of the format."""
    header, parts, offset = {"__metadata__": {"format": "pt"}}, [], 0
    formats = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}
    for name, array in arrays.items():
        content = array.tobytes()
        header[name] = {
            "dtype": formats[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(content)],
        }
        parts.append(content)
        offset += len(content)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def test_both_file_formats_give_the_same_parameters(tmp_path, inception_state):
    arrays = inception_state | {"Conv2d_1a_3x3.bn.num_batches_tracked": np.array(7)}
    np.savez(tmp_path / "weights.npz", **arrays)
    save_safetensors(tmp_path / "weights.safetensors", arrays)
    (network, params), (other_network, other_params) = (
        read_inception(tmp_path / f"weights.{suffix}") for suffix in ("npz", "safetensors")
    )
    assert network.num_classes == other_network.num_classes == 1008
    assert jax.tree.all(jax.tree.map(np.array_equal, params, other_params))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.npz", None, "does not exist"),
        ("weights.pth", b"x", r"neither \.npz nor \.safetensors"),
        ("weights.npz", b"not a zip", "does not hold Inception-v3's weights"),
        ("weights.safetensors", b"short", "does not hold Inception-v3's weights"),
        ("weights.safetensors", struct.pack("<Q", 2) + b"[]", "a JSON list instead of an object"),
        ("weights.safetensors", struct.pack("<Q", 2) + b"{}", r"lacks the array fc\.weight"),
    ],
)
def test_an_unusable_file_is_rejected_with_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_inception(tmp_path / name)
    assert "\n" not in str(error.value)


def test_pickled_arrays_are_rejected(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"fc.weight": np.array([{}], dtype=object)})
    with pytest.raises(UserError, match="does not hold"):
        read_inception(tmp_path / "weights.npz")
