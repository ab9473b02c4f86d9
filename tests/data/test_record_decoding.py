import numpy as np
import pytest

from vae_jax.data import decode, record_decoding
from vae_jax.data.crops import cut_crops
from vae_jax.data.decoded_cache import join_arrays
from vae_jax.data.framing import Framing
from vae_jax.data.prepare import prepare_dataset
from vae_jax.data.record_decoding import decode_split
from vae_jax.errors import UserError


@pytest.fixture
def kvasir(make_kvasir, tmp_path):
    """Prepared data: ten normal images, and four polyps of which three have a mask."""
    root = make_kvasir({"polyps": 4, "normal-cecum": 10}, masks=3)
    return prepare_dataset("kvasir", str(root), str(tmp_path / "prepared"))


@pytest.fixture
def aitex(make_aitex, tmp_path):
    """Prepared data: two strips without a defect and two with one for each fabric; one mask is missing."""
    root = make_aitex(rolls=2, defects=2, masks=1)
    return prepare_dataset("aitex", str(root), str(tmp_path / "prepared"))


def test_each_record_gives_the_columns_of_its_file(kvasir):
    records = list(decode_split(kvasir, "train", Framing(16, 3)))
    assert len(records) == 14
    for columns in records:
        [file] = columns["files"]
        path = kvasir.builder_config.files[file]
        image = decode.decode_image(path.read_bytes(), 16, 3, 1.0)
        np.testing.assert_array_equal(columns["images"][0], image)
        assert columns["classes"].tolist() == [file.split("/")[0]]
        assert columns["stored_size"].tolist() == [[24, 20, path.stat().st_size]]
        assert columns["masks"].shape == ((1, 16, 16) if columns["has_mask"][0] else (1, 0, 0))
        assert "offsets" not in columns
    assert sum(columns["has_mask"][0] for columns in records) == 3


@pytest.mark.parametrize("max_chunk", [1, 5])
def test_the_order_of_records_does_not_depend_on_chunks_and_threads(kvasir, max_chunk, monkeypatch):
    expected = join_arrays(decode_split(kvasir, "train", Framing(16, 3)))
    monkeypatch.setattr(record_decoding, "_MAX_CHUNK", max_chunk)
    monkeypatch.setattr(record_decoding, "_SMALL_BYTES", 0)  # several threads
    columns = join_arrays(decode_split(kvasir, "train", Framing(16, 3)))
    for name, array in expected.items():
        np.testing.assert_array_equal(columns[name], array)


def test_tiles_without_a_defect_have_a_class_of_their_own(aitex):
    framing = Framing(16, 1, tile_stride=16)
    columns = join_arrays(decode_split(aitex, "train", framing))
    for file in set(columns["files"]):
        rows = np.flatnonzero(columns["files"] == file)
        assert columns["offsets"][rows].tolist() == [0, 16, 32, 48]
        crops = cut_crops(aitex.builder_config.files[file].read_bytes(), None, framing)
        np.testing.assert_array_equal(columns["images"][rows], crops.images)
        if file.startswith("Defect"):  # the defect is at columns 40 to 43
            assert columns["classes"][rows].tolist() == ["clean", "clean", "defect", "clean"]
        else:
            assert set(columns["classes"][rows]) == {"roll"}


def test_a_defective_strip_without_a_mask_is_not_used_as_tiles(aitex, caplog):
    files = join_arrays(decode_split(aitex, "train", Framing(16, 1, tile_stride=16)))["files"]
    without_mask = "Defect_images/0001_006_02.png"
    assert without_mask not in files
    assert f"{without_mask} is not used: it has no mask" in caplog.text
    assert without_mask in join_arrays(decode_split(aitex, "train", Framing(16, 1)))["files"]


def test_a_size_that_does_not_fit_into_memory_is_no_damage_of_the_prepared_data(
    kvasir, monkeypatch
):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(record_decoding, "cut_crops", fail)
    with pytest.raises(UserError) as refused:
        list(decode_split(kvasir, "train", Framing(60_000, 3)))
    assert str(refused.value) == (
        "vae_jax_kvasir train: an image of 60000x60000 pixels does not fit into memory; lower "
        "data.image_size (it is 60000)"
    )
