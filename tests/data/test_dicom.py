"""DICOM files: values in their unit, windows, frames, colours; what cannot be read is refused in a line."""

import hashlib
import logging
import warnings

import numpy as np
import pytest

from vae_jax.data import decode, dicom, medical
from vae_jax.data.intensity import OWN_RANGE, Intensity
from vae_jax.data.stored_values import get_range

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
uid, Dataset, Sequence = pydicom.uid, pydicom.Dataset, pydicom.Sequence

RNG = np.random.default_rng(0)
CT = RNG.integers(0, 4096, (10, 14)).astype(np.uint16)


@pytest.fixture
def write(write_dicom, tmp_path):
    return lambda values, **elements: write_dicom(tmp_path / "scan.dcm", values, **elements)


def read(path, index=0):
    """Returns the values of a frame and the range that `full` maps to grey levels."""
    (frame,) = medical.read_frames(path, [index])
    image = decode.open_upright(frame.encoded)
    return np.asarray(image), tuple(get_range(image))


def test_values_are_in_the_unit_of_the_file(write):
    path = write(CT, BitsStored=12, RescaleSlope="0.5", RescaleIntercept="-1024")
    values, value_range = read(path)
    np.testing.assert_array_equal(values, CT * 0.5 - 1024)
    assert value_range == (-1024, 4095 * 0.5 - 1024, False)
    reference = pydicom.pixels.apply_rescale(
        pydicom.dcmread(path).pixel_array, pydicom.dcmread(path)
    )
    np.testing.assert_array_equal(values, reference)


def test_signed_values_and_unused_bits(write):
    signed = RNG.integers(-2048, 2048, (6, 5)).astype(np.int16)
    values, value_range = read(write(signed, BitsStored=12))
    np.testing.assert_array_equal(values, signed)
    assert value_range == (-2048, 2047, False)
    overlay = (CT | 0xA000).astype(np.uint16)  # bits above those of the values
    np.testing.assert_array_equal(read(write(overlay, BitsStored=12))[0], CT)


@pytest.mark.parametrize(
    ("function", "window"),
    [(None, (-160.5 + 0.5, 239.5 - 0.5)), ("LINEAR", (-160, 239)), ("LINEAR_EXACT", (-160, 240))],
)
def test_full_is_the_window_of_the_file(write, function, window):
    elements = {
        "RescaleIntercept": "-1024",
        "WindowCenter": ["40", "500"],
        "WindowWidth": ["400", "9"],
    }
    if function:
        elements["VOILUTFunction"] = function
    path = write(CT, BitsStored=12, **elements)
    _, (black, white, is_window) = read(path)
    assert is_window
    assert (black, white) == pytest.approx(window, abs=0.51)
    (frame,) = medical.read_frames(path, [0])
    grey = decode.decode_image(frame.encoded, None, 1, 1.0, framing="stretch")[..., 0]
    header = pydicom.dcmread(path)
    header.WindowCenter, header.WindowWidth = 40, 400
    reference = pydicom.pixels.apply_windowing(CT - 1024.0, header)
    low, high = reference.min(), reference.max()
    np.testing.assert_allclose(grey, 255 * (reference - low) / (high - low), atol=0.6)


@pytest.mark.parametrize(
    "elements", [{"WindowCenter": "40"}, {"WindowCenter": "40", "WindowWidth": "1"}]
)
def test_a_window_without_a_width_is_none(write, elements):
    assert read(write(CT, BitsStored=12, **elements))[1] == (0, 4095, False)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("intensity", ["full", "window", "own"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": "2000", "WindowWidth": "1001"}])
def test_low_values_are_bright_in_monochrome_1(write, kind, intensity, window):
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    path = write(ramp, BitsStored=12, PhotometricInterpretation=kind, **window)
    chosen = {"full": Intensity(), "window": Intensity("window", 1000, 3000), "own": OWN_RANGE}
    (frame,) = medical.read_frames(path, [0])
    grey = decode.decode_image(frame.encoded, 64, 1, 1.0, chosen[intensity]).ravel().astype(int)
    steps = np.diff(grey)
    assert (steps <= 0).all() if kind == "MONOCHROME1" else (steps >= 0).all()
    assert {grey.min(), grey.max()} == {0, 255}


def test_each_frame_has_its_own_name_and_values(write):
    frames = RNG.integers(0, 256, (5, 6, 7)).astype(np.uint8)
    path = write(frames)
    header = medical.read_header(path)
    assert header.num_frames == 5
    assert header.size == (7, 6)
    assert header.suffixes == ["#0", "#1", "#2", "#3", "#4"]
    for index in (3, 0):
        np.testing.assert_array_equal(read(path, index)[0], frames[index])
    images = list(medical.read_images(path))
    assert [suffix for suffix, _ in images] == header.suffixes
    assert decode.decode_image(images[3][1], None, 1, 1.0, framing="stretch").shape == (6, 7, 1)
    single = write(frames[0])
    assert medical.read_header(single).suffixes == [""]
    one_of_one = write(frames[:1])
    assert medical.read_header(one_of_one).suffixes == [""]
    np.testing.assert_array_equal(read(one_of_one)[0], frames[0])


def test_the_frames_of_an_enhanced_file_have_their_own_rescaling_and_window(write):
    def group(slope, centre):
        rescale, window, item = Dataset(), Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = slope, 7
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = centre, 100, "LINEAR_EXACT"
        item.PixelValueTransformationSequence = Sequence([rescale])
        item.FrameVOILUTSequence = Sequence([window])
        return item

    frames = RNG.integers(0, 256, (2, 6, 6)).astype(np.uint16)
    per_frame = Sequence([group(2, 300), group(3, 400)])
    path = write(frames, RescaleSlope="99", PerFrameFunctionalGroupsSequence=per_frame)
    for index, (slope, window) in enumerate([(2, (250, 350, True)), (3, (350, 450, True))]):
        values, value_range = read(path, index)
        np.testing.assert_array_equal(values, frames[index].astype(float) * slope + 7)
        assert value_range == window
    path = write(frames, SharedFunctionalGroupsSequence=Sequence([group(5, 80)]))
    assert read(path, 1)[1] == (30, 130, True)


def test_colours_stay_as_they_are(write):
    colours = RNG.integers(0, 256, (2, 6, 8, 3)).astype(np.uint8)
    path = write(colours, PhotometricInterpretation="RGB")
    for index in (0, 1):
        np.testing.assert_array_equal(read(path, index)[0], colours[index])


def test_a_palette_gives_colours(write):
    indices = RNG.integers(0, 256, (6, 8)).astype(np.uint8)
    tables = RNG.integers(0, 65_536, (3, 256)).astype(np.uint16)
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{colour}PaletteColorLookupTableData"] = table.tobytes()
    expected = (tables >> 8)[:, indices].transpose(1, 2, 0)
    np.testing.assert_array_equal(read(write(indices, **elements))[0], expected)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.ImplicitVRLittleEndian])
def test_syntaxes_that_pydicom_decodes_by_itself_are_read(write, syntax):
    path = write(CT, BitsStored=12)
    dataset = pydicom.dcmread(path)
    if syntax.is_compressed:
        dataset.compress(syntax)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, dataset, implicit_vr=not syntax.is_compressed, little_endian=True)
    np.testing.assert_array_equal(read(path)[0], CT)


@pytest.mark.parametrize(
    ("syntax", "advice"),
    [
        (uid.JPEGLosslessSV1, "pip install pylibjpeg"),
        (uid.JPEGLSLossless, "pip install pylibjpeg"),
        (uid.DeflatedExplicitVRLittleEndian, "decompress it, for example with gdcmconv --raw"),
        (uid.MPEG2MPML, "holds no images"),
    ],
)
def test_other_compression_is_refused_with_its_name_and_what_to_do(write, syntax, advice):
    path = write(CT)
    content = path.read_bytes()
    name = uid.ExplicitVRLittleEndian.encode() + b"\0"
    assert content.count(name) == 1
    # The meta information has a length, so the name is written into a copy of the file by hand.
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta = content.replace(name, (syntax + "\0" * (len(syntax) % 2)).encode())
    start = meta.index(b"\2\0\0\0UL")
    length = int.from_bytes(meta[start + 8 : start + 12], "little") + len(meta) - len(content)
    meta = meta[: start + 8] + length.to_bytes(4, "little") + meta[start + 12 :]
    place = meta.index(syntax.encode()) - 2
    size = len(syntax) + len(syntax) % 2
    path.write_bytes(meta[:place] + size.to_bytes(2, "little") + meta[place + 2 :])
    for attempt in (medical.read_header, lambda path: list(medical.read_frames(path, [0]))):
        with pytest.raises(ValueError, match=advice) as error:
            attempt(path)
        assert syntax.name in str(error.value) or syntax in str(error.value)


def test_damaged_files_are_refused_in_one_line(write, tmp_path):
    content = write(CT, BitsStored=12).read_bytes()
    for length in [*range(0, len(content), 41), len(content) - 1]:
        (tmp_path / "cut.dcm").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            list(medical.read_images(tmp_path / "cut.dcm"))
    (tmp_path / "text.dcm").write_text("no DICOM file")
    with pytest.raises(ValueError, match="not a DICOM file"):
        medical.read_header(tmp_path / "text.dcm")


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfFrames": 10_000_000}, "10000000 frames, more than the limit of 100000"),
        ({"NumberOfFrames": 90_000}, "cut off"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "1 bits per pixel"),
        ({"PhotometricInterpretation": "HSV", "SamplesPerPixel": 3}, "colours with 16 bits"),
        ({"WindowCenter": "1e400", "WindowWidth": "3"}, "WindowCenter is not a number"),
        ({"BitsStored": 17, "HighBit": 16}, "impossible"),
        ({"BitsStored": 12, "HighBit": 15}, "HighBit 15"),
    ],
)
def test_headers_that_cannot_be_true_are_refused(write, elements, message):
    with pytest.raises(ValueError, match=message):
        list(medical.read_images(write(CT, **elements)))


def test_a_frame_with_too_many_pixels_is_refused_with_both_numbers(write):
    with pytest.raises(ValueError, match="14x10 = 140 pixels, more than the limit of 100"):
        medical.read_header(write(CT), max_pixels=100)


def test_a_damaged_file_is_read_or_refused_in_a_line_that_repeats_nothing(write, tmp_path):
    content = bytearray(write(CT, BitsStored=12, WindowCenter="40", WindowWidth="9").read_bytes())
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(400):
        damaged = content.copy()
        place = rng.integers(128, len(content) - CT.nbytes)
        damaged[place : place + rng.integers(1, 5)] = rng.bytes(rng.integers(1, 5))
        (tmp_path / "damaged.dcm").write_bytes(damaged)
        try:
            list(medical.read_images(tmp_path / "damaged.dcm"))
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert all(len(message.splitlines()) == 1 for message in messages)
    assert "secret" not in "".join(messages).lower()


def test_the_patient_is_known_by_a_digest_only(write, patient):
    header = medical.read_header(write(CT))
    assert patient["PatientID"] not in repr(header)
    assert header.patient == hashlib.sha256(b"SECRETID4711\0").hexdigest()
    other = medical.read_header(write(CT, IssuerOfPatientID="another hospital"))
    assert other.patient not in ("", header.patient)
    assert medical.read_header(write(CT, patient=" ")).patient == ""


def test_a_frame_holds_nothing_about_the_patient(write, patient):
    (frame,) = medical.read_frames(write(CT), [0])
    for secret in patient.values():
        assert secret.encode() not in frame.encoded + frame.content


def test_pydicom_cannot_log_or_warn_of_the_value_of_an_element(write, caplog):
    dicom.logging.getLogger("pydicom").warning("Secretsurname")
    assert not caplog.records
    with warnings.catch_warnings(record=True) as log:
        warnings.filterwarnings("ignore", module="pydicom")
        medical.read_header(write(CT, patient="9" * 70))
    assert not log
    assert logging.getLogger("pydicom").filters
