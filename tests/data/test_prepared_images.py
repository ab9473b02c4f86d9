import logging
import pathlib

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decoded_cache, prepared_images
from vae_jax.data.builders.idx import Mnist
from vae_jax.data.examples import NO_LABEL
from vae_jax.data.framing import Framing
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.prepare import prepare_dataset
from vae_jax.data.prepared_images import read_prepared_images
from vae_jax.errors import UserError

SIDE = 16


@pytest.fixture
def kvasir(make_kvasir, tmp_path):
    """Prepared data: 30 normal images of 24x20 pixels, and four polyps of which three have a mask."""
    root = make_kvasir({"polyps": 4, "normal-cecum": 30}, masks=3)
    return prepare_dataset("kvasir", str(root), str(tmp_path / "prepared"))


@pytest.fixture
def read(kvasir):
    """Returns a function that reads the prepared images: (data.cache, data.crop) -> examples."""

    def read(cache_mode="auto", crop=1.0):
        return read_prepared_images(kvasir, Framing(SIDE, 3, crop), cache_mode)

    return read


@pytest.fixture
def block_cache(kvasir):
    """Makes it impossible to write beside the prepared data."""
    (kvasir.data_path / "decoded").write_text("a file in the place of the folder")


@pytest.fixture
def short_memory(monkeypatch):
    """Pretends that the machine has only as much memory as the images take."""
    monkeypatch.setattr(prepared_images, "measure_memory_bytes", lambda: 34 * SIDE * SIDE * 3)


def assert_equal(examples, expected):
    assert examples.files == expected.files
    np.testing.assert_array_equal(examples.images[:], expected.images[:])
    np.testing.assert_array_equal(examples.masks[:], expected.masks[:])


def test_columns_belong_to_their_image(read, kvasir):
    examples = read()
    assert len(examples) == 34
    assert examples.images.shape == (34, SIDE, SIDE, 3)
    assert (examples.labels == NO_LABEL).all()
    assert examples.classes == [file.split("/")[0] for file in examples.files]
    assert examples.groups == examples.files
    assert examples.stored_size[:, :2].tolist() == [[24, 20]] * 34
    files = kvasir.builder_config.files
    assert examples.stored_size[:, 2].tolist() == [
        files[file].stat().st_size for file in examples.files
    ]
    has_mask = [file in {f"polyps/{i:03}.jpg" for i in range(3)} for file in examples.files]
    assert examples.has_mask.tolist() == examples.masks.any((1, 2)).tolist() == has_mask
    assert examples.offsets is examples.materials is examples.official_test is None


def test_the_official_test_split_is_marked_and_follows_the_training_split(make_idx, tmp_path):
    builder = prepare_dataset("mnist", str(make_idx()[0]), str(tmp_path))
    examples = read_prepared_images(builder, Framing(28, 1), "auto")
    assert examples.official_test.tolist() == [False] * 60 + [True] * 20
    assert [file.split("/")[0] for file in examples.files] == ["train"] * 60 + ["test"] * 20
    assert examples.masks is None
    assert set(examples.classes) == set(Mnist.CLASSES)


def test_tiles_have_offsets_and_materials(make_aitex, tmp_path):
    builder = prepare_dataset("aitex", str(make_aitex(rolls=2)), str(tmp_path))
    examples = read_prepared_images(builder, Framing(16, 1, tile_stride=16), "auto")
    assert sorted(set(examples.offsets.tolist())) == [0, 16, 32, 48]
    assert set(examples.materials) == {"02", "04"}
    fabric = [file.rsplit("_", 1)[1].removesuffix(".png") for file in examples.files]
    assert examples.materials == fabric


def test_a_second_start_reads_what_the_first_one_decoded(read, monkeypatch):
    first = read()
    with monkeypatch.context() as patch:
        patch.setattr(prepared_images, "decode_split", None)
        assert_equal(read(), first)
    cropped = read(crop=0.5)
    assert (cropped.images != first.images).any()


@pytest.mark.parametrize(
    ("cache_mode", "files"),
    [("host", ["images.u8", "masks.u8", "table.npz"]), ("none", ["table.npz"])],
)
def test_a_second_start_reads_each_file_once(read, monkeypatch, cache_mode, files):
    read()
    read_files = []

    def record(name):
        function = getattr(np, name)

        def recorded(file, *args, **kwargs):
            read_files.append(pathlib.Path(getattr(file, "name", file)).name)
            return function(file, *args, **kwargs)

        monkeypatch.setattr(decoded_cache.np, name, recorded)

    record("load")
    record("fromfile")
    read(cache_mode=cache_mode)
    assert sorted(read_files) == files


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
@pytest.mark.parametrize("file", ["table.npz", "images.u8"])
def test_a_damaged_cache_is_made_again(read, kvasir, damage, file, caplog):
    first = read()
    (path,) = kvasir.data_path.glob(f"decoded/*/{file}")
    content = bytearray(path.read_bytes())
    flipped = content.copy()
    flipped[len(content) // 4] ^= 255
    path.write_bytes({"truncate": content[:1000], "flip": flipped, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING, "vae_jax"):
        assert_equal(read(), first)
    assert "will be made again" in caplog.text
    caplog.clear()
    assert_equal(read(), first)
    assert not caplog.records


def test_images_on_disk_are_the_same_as_images_in_memory(read):
    in_memory, on_disk = read(cache_mode="host"), read(cache_mode="none")
    assert isinstance(in_memory.images, np.ndarray)
    assert isinstance(on_disk.images, ImagesOnDisk)
    assert isinstance(on_disk.masks, ImagesOnDisk)
    assert_equal(on_disk, in_memory)


def test_images_stay_on_disk_by_themselves_only_if_memory_is_short(read, short_memory, caplog):
    with caplog.at_level(logging.INFO, "vae_jax"):
        assert isinstance(read().images, ImagesOnDisk)
    assert "stay on disk" in caplog.text
    assert isinstance(read(cache_mode="host").images, np.ndarray)


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(read, block_cache, caplog):
    with caplog.at_level(logging.WARNING, "vae_jax"):
        assert len(read()) == 34
    assert "cannot be kept for the next start" in caplog.text


def test_images_that_must_stay_on_a_disk_that_cannot_be_written_are_refused(read, block_cache):
    with pytest.raises(UserError, match=r"data.cache=none .*cannot be written"):
        read(cache_mode="none")


def test_images_that_neither_memory_nor_disk_can_hold_are_refused(read, block_cache, short_memory):
    with pytest.raises(UserError, match=r"too much for memory.*cannot be kept on disk"):
        read()


def test_damaged_records_are_reported_with_their_folder(read, kvasir):
    (record,) = kvasir.data_path.glob("*.array_record*")
    record.write_bytes(record.read_bytes()[:5000])
    with pytest.raises(UserError, match=rf"{kvasir.data_path} is damaged .*delete that folder"):
        read()


def test_a_framing_that_uses_no_image_at_all_is_refused(make_kvasir, tmp_path):
    root = make_kvasir({"polyps": 2})
    for path in root.glob("*/*.jpg"):
        Image.new("RGB", (24, 20), "white").save(path)
    builder = prepare_dataset("kvasir", str(root), str(tmp_path / "prepared"))
    with pytest.raises(UserError, match=r"no image is left with data.max_saturated=0.5"):
        read_prepared_images(builder, Framing(SIDE, 3, max_saturated=0.5), "auto")


def test_a_cache_of_a_version_that_did_not_measure_values_is_made_again(read, kvasir):
    read()
    table = next((pathlib.Path(kvasir.data_dir) / "decoded").glob("*/table.npz"))
    with np.load(table) as columns:
        older = {name: array for name, array in columns.items() if name != "stored_levels"}
    np.savez(table, **older)
    assert read().stored_levels.tolist() == [[0, 255, 0, 255, 0, 0]] * len(read())


def test_images_that_do_not_fit_into_memory_are_refused_with_both_numbers(read, monkeypatch):
    size = 34 * SIDE * SIDE * (3 + 1)  # images and masks
    monkeypatch.setattr(prepared_images, "measure_available_bytes", lambda: size)
    read("host")
    monkeypatch.setattr(prepared_images, "measure_available_bytes", lambda: size - 1)
    with pytest.raises(
        UserError,
        match=r"dataset vae_jax_kvasir needs at least 34.0 KiB of memory, but 34.0 KiB are available; set "
        r"data.cache=none \(it is host\)",
    ):
        read("host")
    read("none")
