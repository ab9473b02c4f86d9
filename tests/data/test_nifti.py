"""NIfTI volumes: slices, axes, orientation, scaling and limits."""

import gzip

import numpy as np
import pytest

from vae_jax.data import decode, medical
from vae_jax.data import nifti as nifti_file
from vae_jax.data.nifti import Volume
from vae_jax.data.nifti_header import is_packed
from vae_jax.data.stored_values import get_range

nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")

RNG = np.random.default_rng(0)
VALUES = RNG.integers(-1000, 3000, (7, 5, 4)).astype(np.int16)
MANY_PIXELS = 10**6


@pytest.fixture(params=["scan.nii", "scan.nii.gz", "SCAN.NII.GZ"])
def write(write_nifti, tmp_path, request):
    name = request.param if request.param.islower() else "upper.nii.gz"

    def write_named(values, affine=None, **fields):
        path = write_nifti(tmp_path / name, values, affine, **fields)
        return path.rename(tmp_path / request.param)

    return write_named


def read(path, index=0):
    (frame,) = medical.read_frames(path, [index])
    image = decode.open_upright(frame.encoded)
    return np.asarray(image), tuple(get_range(image))


def test_the_slices_lie_along_the_last_axis(write):
    path = write(VALUES)
    header = medical.read_header(path)
    assert header.suffixes == ["#0", "#1", "#2", "#3"]
    assert header.size == (7, 5)
    assert header.patient == ""
    for index in range(4):
        # Right and anterior grow with the axes: right is on the right, anterior is up.
        np.testing.assert_array_equal(read(path, index)[0], VALUES[:, ::-1, index].T)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_slices_lie_along_an_axis_with_a_much_larger_spacing(write, axis):
    spacings = [1.0, 1.1, 0.9]
    spacings[axis] = 5.0
    path = write(VALUES, np.diag([*spacings, 1]))
    assert medical.read_header(path).num_frames == VALUES.shape[axis]
    expected = np.moveaxis(VALUES, axis, 0)[2]  # the axes that are left, in the order of the body
    np.testing.assert_array_equal(read(path, 2)[0], expected.T[::-1])


def test_every_orientation_of_a_volume_is_shown_upright(write):
    body = nibabel.Nifti1Image(VALUES, np.diag([1, 1, 4, 1]))
    expected = read(write(VALUES, body.affine), 1)[0]
    start = nibabel.io_orientation(body.affine)
    for code in ("RAS", "LAS", "LPS", "PIR", "SAR", "ALS", "IPL"):
        orientation = nibabel.orientations.axcodes2ornt(tuple(code))
        turned = body.as_reoriented(nibabel.orientations.ornt_transform(start, orientation))
        path = write(np.asarray(turned.dataobj), turned.affine)
        # Upwards, the slices have the opposite order.
        index = 2 if "I" in code else 1
        np.testing.assert_array_equal(read(path, index)[0], expected)


def test_values_are_rescaled_and_full_is_the_range_of_the_bits(write):
    path = write(VALUES, scl_slope=0.5, scl_inter=-3)
    scaled = nibabel.load(path) if path.name.islower() else None
    values, value_range = read(path, 2)
    stored = read(write(VALUES), 2)[0]
    if scaled is not None:
        np.testing.assert_allclose(values, scaled.get_fdata()[:, ::-1, 2].T)
    assert value_range[2] is False
    assert read(write(VALUES))[1] == (-32_768, 32_767, False)
    assert stored.dtype == np.float32


def test_a_window_of_the_file_is_its_calibration(write):
    assert read(write(VALUES, cal_min=-160, cal_max=240))[1] == (-160, 240, True)
    assert read(write(VALUES, cal_min=5, cal_max=5))[1] == (-32_768, 32_767, False)


def test_fractions_have_no_range_and_must_be_finite(write):
    fractions = RNG.normal(0, 1, (6, 5, 2)).astype(np.float32)
    values, value_range = read(write(fractions))
    np.testing.assert_array_equal(values, fractions[:, ::-1, 0].T)
    assert np.isnan(value_range[:2]).all()
    fractions[3, 3, 1] = np.nan
    path = write(fractions)
    read(path, 0)
    with pytest.raises(ValueError, match="not finite numbers"):
        read(path, 1)


def test_a_single_image_has_no_number(write):
    for values in (VALUES[..., 0], VALUES[..., :1]):
        path = write(values)
        assert medical.read_header(path).suffixes == [""]
        np.testing.assert_array_equal(read(path)[0], VALUES[:, ::-1, 0].T)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((4, 4, 3, 2), np.int16), "4 dimensions .4x4x3x2."),
        (np.zeros((4, 4, 3), np.complex64), "complex"),
        (np.zeros((4, 4, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "colours"),
    ],
)
def test_what_is_no_volume_of_numbers_is_refused(write, values, message):
    with pytest.raises(ValueError, match=message):
        medical.read_header(write(values))


def test_damaged_files_are_refused_in_one_line(write, tmp_path):
    path = write(VALUES)
    content = path.read_bytes()
    for length in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            list(medical.read_images(path))
    path.write_text("no volume")
    with pytest.raises(ValueError, match=r"not a NIfTI file|cannot be unpacked"):
        medical.read_header(path)


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused_before_it_is_unpacked(
    write_nifti, tmp_path
):
    path = write_nifti(tmp_path / "bomb.nii.gz", np.zeros((4, 4, 4), np.int16))
    header = bytearray(gzip.decompress(path.read_bytes()))
    header[42:48] = np.array([30_000, 30_000, 30_000], "<i2").tobytes()
    with gzip.open(path, "wb") as file:
        file.write(header)
    with pytest.raises(
        ValueError, match=r"54000000000352 bytes when unpacked, more than the limit of 1073741824"
    ):
        medical.read_header(path, 10**9)


def test_much_more_than_the_header_says_is_not_unpacked(write_nifti, tmp_path, monkeypatch):
    path = write_nifti(tmp_path / "scan.nii.gz", VALUES)
    content = gzip.decompress(path.read_bytes())
    with gzip.open(path, "wb") as file:
        file.write(content)
        for _ in range(100):
            file.write(bytes(2**20))
    num_read = 0
    read_stream = gzip.GzipFile.read

    def count(stream, size=-1):
        nonlocal num_read
        assert size >= 0
        num_read += size
        return read_stream(stream, size)

    monkeypatch.setattr(gzip.GzipFile, "read", count)
    with pytest.raises(ValueError, match="holds much more than its header says"):
        read(path)
    assert num_read < 2 * 2**20


def test_a_flipped_bit_in_a_packed_file_is_found(write_nifti, tmp_path):
    path = write_nifti(tmp_path / "scan.nii.gz", VALUES)
    content = bytearray(path.read_bytes())
    for place in range(20, len(content), 23):
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            list(medical.read_images(path))
        content[place] ^= 4


def test_the_position_of_the_values_counts_for_the_limit(write, monkeypatch):
    path = write(VALUES)
    if not is_packed(path):
        pytest.skip("a file that is not packed cannot grow")
    monkeypatch.setattr(nifti_file, "MAX_UNPACKED_BYTES", 600)
    with pytest.raises(ValueError, match="632 bytes when unpacked, more than the limit of 600"):
        medical.read_header(path)


def test_too_many_slices_or_pixels_are_refused(write, monkeypatch):
    path = write(VALUES)
    with pytest.raises(ValueError, match="7x5 = 35 pixels, more than the limit of 20"):
        medical.read_header(path, max_pixels=20)
    monkeypatch.setattr(nifti_file, "MAX_SLICES", 3)
    with pytest.raises(ValueError, match="4 slices, more than the limit of 3"):
        medical.read_header(path)


def test_levels_are_counted_in_the_whole_volume(write):
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1, 1, 3], labels[1, 1, 6] = 1, 2
    assert Volume(write(labels), MANY_PIXELS).count_levels(8) == 3
    assert Volume(write(VALUES), MANY_PIXELS).count_levels(8) > 8


def test_nothing_of_the_description_is_in_a_frame(write):
    (frame,) = medical.read_frames(write(VALUES), [0])
    assert b"Secret" not in frame.encoded + frame.content
