import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from vae_jax.data.builders import idx
from vae_jax.data.builders.idx import FashionMnist, Mnist, read_idx
from vae_jax.errors import UserError


def _write(path, magic, shape, content):
    path.write_bytes(struct.pack(f">{1 + len(shape)}I", magic, *shape) + content)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_an_idx_file_may_be_compressed(tmp_path, compressed):
    path = _write(tmp_path / "a", 0x803, (2, 3, 4), bytes(range(24)))
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(idx.read_idx(path, 3), np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("magic", "shape", "num_bytes", "message"),
    [
        (0x801, (2, 3, 4), 24, "starts with 0x00000801, not 0x00000803"),
        (0x803, (2, 3, 4), 23, "announces 24 bytes, but 23 follow"),
        (0x803, (2, 3, 4), 25, "announces 24 bytes, but more follow"),
        (0x803, (2**31, 2**31, 4), 24, f"announces {2**64} bytes, more than the limit of {2**30}"),
        (0x803, (2**32 - 1, 2**32 - 1, 0), 1, "announces 0 bytes, but more follow"),
        (0x803, (2,), 0, "within its header"),
    ],
)
def test_a_file_that_contradicts_its_header_is_refused(tmp_path, magic, shape, num_bytes, message):
    path = _write(tmp_path / "a", magic, shape, bytes(num_bytes))
    with pytest.raises(UserError, match=message) as error:
        idx.read_idx(path, 3)
    assert str(path) in str(error.value)


def test_a_compressed_file_is_not_unpacked_beyond_what_its_header_announces(tmp_path):
    path = _write(tmp_path / "a", 0x801, (10,), bytes(2**26))
    path.write_bytes(gzip.compress(path.read_bytes()))
    tracemalloc.start()
    with pytest.raises(UserError, match="announces 10 bytes, but more follow"):
        idx.read_idx(path, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("keep", [5, 20, -3])
def test_a_truncated_compressed_file_is_refused(tmp_path, keep):
    path = _write(tmp_path / "a", 0x801, (100,), bytes(100))
    path.write_bytes(gzip.compress(path.read_bytes())[:keep])
    with pytest.raises(UserError, match="is damaged"):
        idx.read_idx(path, 1)


def test_the_error_for_a_missing_file_names_it_and_its_address(make_idx):
    folder, _ = make_idx()
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"lacks t10k-labels.*https://storage.*manual_dir") as error:
        Mnist.locate_files(folder)
    assert "lacks train" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_real_files_of_the_mnist_family_are_complete(real_data, dataset):
    cls = {"mnist": Mnist, "fashion_mnist": FashionMnist}[dataset]
    files = cls.locate_files(real_data / dataset)
    for part, num in (("train", 60_000), ("t10k", 10_000)):
        images = read_idx(files[f"{part}-images-idx3-ubyte.gz"], 3)
        labels = read_idx(files[f"{part}-labels-idx1-ubyte.gz"], 1)
        assert images.shape == (num, 28, 28)
        assert labels.shape == (num,)
        assert set(labels.tolist()) == set(range(10))
