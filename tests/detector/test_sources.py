import collections
import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from vae_jax.detector.sources import list_inputs, list_sources
from vae_jax.errors import UserError

ARRAY = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def decode(source):
    return np.asarray(Image.open(io.BytesIO(source.read())))


@pytest.fixture
def folder(tmp_path):
    """Folder with images in two levels, a file that is no image, and what is no regular file."""
    root = tmp_path / "scans"
    (root / "b").mkdir(parents=True)
    for name in ("c.png", "a.JPG", "b/d.png"):
        Image.fromarray(ARRAY).save(root / name)
    (root / "notes.txt").write_text("no image")
    return root


def list_names(*inputs):
    return [source.name for source in list_inputs(list(map(str, inputs)))]


def test_a_folder_gives_its_images_by_their_paths_below_it(folder):
    assert list_names(folder) == ["a.JPG", "c.png", "b/d.png"]


def test_what_is_passed_over_in_folders_is_counted_by_its_reason(folder):
    (folder / "b" / "Thumbs.db").touch()
    (folder / "b" / "README").touch()
    (folder / "more.TXT").touch()
    (folder / ".hidden").mkdir()
    passed_over = collections.Counter()
    list(list_inputs([str(folder), str(folder / "a.JPG")], passed_over=passed_over))
    assert passed_over.pop("no image (.txt)") == 2
    assert passed_over.pop("no image (without a suffix)") == 1
    assert passed_over.pop("hidden") == 1
    assert passed_over.total() == 1


def test_a_file_a_pattern_and_a_folder_can_be_given_together(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    names = list_names("scans/c.png", "scans/*.png", "scans/b")
    assert names == ["scans/c.png", "scans/c.png", "scans/b/d.png"]


def test_a_list_and_standard_input_give_one_path_per_line(folder, monkeypatch, tmp_path):
    lines = f"{folder}/c.png\n\n{folder}/missing.png\n"
    (tmp_path / "list.txt").write_text(lines)
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    expected = [f"{folder}/c.png", f"{folder}/missing.png"]
    assert list_names(f"@{tmp_path}/list.txt", "-") == expected * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing", "there is no such file or folder"),
        ("*.bmp", "no file matches"),
        ("@missing.txt", "the list cannot be read"),
        ("empty", "holds no image; valid suffixes"),
        ("@empty.txt", "names no file"),
    ],
)
def test_an_input_that_does_not_exist_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UserError, match=message):
        list_names(text)


def test_what_is_no_regular_file_is_not_opened(folder):
    os.mkfifo(folder / "pipe.png")
    os.symlink("nowhere", folder / "link.png")
    sources = {source.name: source for source in list_inputs([str(folder)])}
    with pytest.raises(ValueError, match="a pipe, not a file"):
        sources["pipe.png"].read()
    with pytest.raises(ValueError, match="a link to a file that does not exist"):
        sources["link.png"].read()
    assert sources["link.png"].stamp == (-1, -1)
    status = (folder / "c.png").stat()
    assert sources["c.png"].stamp == (status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (ARRAY, 1),
        (ARRAY[..., 0], 1),
        (ARRAY[..., :1], 1),
        (np.stack([ARRAY, ARRAY]), 2),
        (Image.fromarray(ARRAY), 1),
        ([ARRAY, Image.fromarray(ARRAY)], 2),
        (Image.fromarray(ARRAY).convert("CMYK"), 1),
    ],
)
def test_arrays_and_images_of_pillow_keep_their_pixels(images, count):
    sources = list(list_sources(images))
    assert [source.name for source in sources] == [f"image {i}" for i in range(count)]
    first = images[0] if isinstance(images, list) or np.ndim(images) == 4 else images
    np.testing.assert_array_equal(decode(sources[0]), np.squeeze(np.asarray(first)))


def test_sixteen_bits_keep_their_values():
    array = np.array([[0, 1000], [40_000, 65_535]], np.uint16)
    (source,) = list_sources(array)
    np.testing.assert_array_equal(decode(source), array)


@pytest.mark.parametrize("images", [np.zeros((2, 2)), np.zeros((0, 4), np.uint8), [3], 3])
def test_what_is_no_image_is_refused(images):
    with pytest.raises(UserError, match="pass paths, images of Pillow, or uint8 arrays"):
        list(list_sources(images))


def test_each_frame_of_a_medical_file_is_an_image(write_dicom, tmp_path):
    values = np.arange(2 * 12 * 12, dtype=np.int16).reshape(2, 12, 12)
    write_dicom(tmp_path / "scan.dcm", values, RescaleIntercept=-50, RescaleSlope=1)
    (tmp_path / "broken.dcm").write_text("no scan")
    broken, first, second = list_inputs([str(tmp_path)])
    assert [broken.name, first.name, second.name] == ["broken.dcm", "scan.dcm#0", "scan.dcm#1"]
    np.testing.assert_array_equal(decode(second), values[1] - 50)
    np.testing.assert_array_equal(decode(first), values[0] - 50)
    np.testing.assert_array_equal(decode(second), values[1] - 50)  # read once more
    with pytest.raises(ValueError, match="DICOM"):
        broken.read()
    # Whoever limits the pixels of images limits those of frames, before a frame is read.
    (tmp_path / "broken.dcm").unlink()
    (refused,) = list_inputs([str(tmp_path)], max_pixels=143)
    with pytest.raises(ValueError, match="144 pixels, more than the limit of 143"):
        refused.read()
