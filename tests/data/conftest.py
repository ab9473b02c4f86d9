"""Tiny datasets of random pixels in the official layouts."""

import gzip
import io
import pathlib
import struct

import numpy as np
import pytest
from PIL import Image

from vae_jax import config


def _encode_noise(rng, size=(24, 20), image_format="JPEG"):
    pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format)
    return file.getvalue()


@pytest.fixture
def make_kvasir(tmp_path):
    """Returns a function that writes one folder per class: {folder: number of images} -> root."""

    def make(counts, name="kvasir_files", masks=0):
        rng = np.random.default_rng(0)
        root = tmp_path / name
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True)
            for i in range(count):
                (root / folder / f"{i:03}.jpg").write_bytes(_encode_noise(rng))
        if masks:
            (root / "polyps-masks").mkdir()
        for i in range(masks):
            pixels = np.zeros((20, 24), np.uint8)
            pixels[:, :12] = 255
            Image.fromarray(pixels).save(root / "polyps-masks" / f"{i:03}.png")
        return root

    return make


@pytest.fixture
def make_aitex(tmp_path):
    """Returns a function that writes strips of two fabrics, 64x16 pixels each -> root.

    Defective strips have a bright square at columns 40 to 43. The mask of the first one is in two parts.
    """

    def save_grey(path, pixels, mode="L"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path)

    def make(rolls=8, defects=3, masks=None):
        rng = np.random.default_rng(0)
        root = tmp_path / "aitex_files"
        for fabric, level in (("02", 80), ("04", 160)):
            for i in range(rolls):
                strip = rng.normal(level, 10, (16, 64)).clip(0, 255)
                strip[:, :5] = 255  # the strip is longer than the fabric
                save_grey(root / f"NODefect_images/{fabric}u/{i:04}_000_{fabric}.png", strip, "LA")
            for i in range(defects):
                strip = rng.normal(level, 10, (16, 64)).clip(0, 255)
                strip[6:10, 40:44] = 250
                save_grey(root / f"Defect_images/{i:04}_006_{fabric}.png", strip)
                mask = np.zeros((16, 64))
                mask[6:10, 40:44] = 200
                mask[5, 40:44] = 100  # smoothed border
                stem = root / f"Mask_images/{i:04}_006_{fabric}_mask"
                if i == 0:
                    left, right = mask.copy(), mask.copy()
                    left[:, 42:], right[:, :42] = 0, 0
                    save_grey(stem.with_name(stem.name + "1.png"), left)
                    save_grey(stem.with_name(stem.name + "2.png"), right, "LA")
                elif masks is None or i < masks:
                    save_grey(stem.with_name(stem.name + ".png"), mask)
        return root

    return make


@pytest.fixture
def aitex_config(data_config):
    data_config.dataset = "aitex"
    data_config.image_size = 16
    data_config.normal_classes, data_config.anomaly_classes = ("roll", "clean"), ("defect",)
    data_config.tile_stride, data_config.max_saturated = 12, 0.1
    data_config.test_fraction = 0.25
    return data_config


def write_idx(path: pathlib.Path, array: np.ndarray, magic: int | None = None) -> None:
    magic = 0x0800 + array.ndim if magic is None else magic
    content = struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def make_idx(tmp_path):
    """Returns a function that writes the four files of an MNIST dataset -> (folder, arrays)."""

    def make(name="idx_files", num_train=60, num_test=20, suffix=".gz"):
        rng = np.random.default_rng(0)
        folder = tmp_path / name
        folder.mkdir()
        arrays = {}
        for part, num in (("train", num_train), ("t10k", num_test)):
            images = rng.integers(0, 256, (num, 28, 28), np.uint8)
            labels = (np.arange(num) % 10).astype(np.uint8)
            write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
            write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
            arrays[part] = images, labels
        return folder, arrays

    return make


@pytest.fixture
def data_config(tmp_path):
    """Returns the `data` group of the default config; prepared data goes into a folder of the test."""
    data = config.default().data
    data.dir = str(tmp_path / "prepared")
    return data


@pytest.fixture
def kvasir_config(data_config):
    data_config.dataset = "kvasir"
    data_config.image_size, data_config.channels = 16, 3
    data_config.normal_classes, data_config.anomaly_classes = ("normal-cecum",), ("polyps",)
    return data_config


# Values of elements that say something about a patient.
_SECRETS = {
    "PatientName": "Secretsurname^Firstname",
    "PatientID": "SECRETID4711",
    "PatientBirthDate": "19230401",
    "PatientAddress": "Secretstreet 12",
    "InstitutionName": "Secrethospital",
    "AccessionNumber": "SECRETACC99",
    "OtherPatientIDs": "SECRETOTHER",
}


@pytest.fixture
def patient():
    """Returns keyword -> value of the elements of every DICOM file that say something about a patient."""
    return _SECRETS


@pytest.fixture
def write_dicom():
    """Returns a function that writes a DICOM file; see `_write_dicom`."""
    pytest.importorskip("pydicom", reason="pydicom is not installed")
    return _write_dicom


@pytest.fixture
def write_nifti():
    """Returns a function that writes a NIfTI file; see `_write_nifti`."""
    pytest.importorskip("nibabel", reason="nibabel is not installed")
    return _write_nifti


def _write_dicom(path, values, patient=None, **elements):
    """Writes values [frames?, height, width, colours?] with the given elements beside the usual ones."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    values = np.asarray(values)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    for keyword, value in _SECRETS.items():
        setattr(dataset, keyword, value)
    if patient is not None:
        dataset.PatientID = patient
    colours = values.shape[-1] == 3 and "PhotometricInterpretation" in elements
    shape = values.shape[:-1] if colours else values.shape
    dataset.Rows, dataset.Columns = shape[-2:]
    if len(shape) == 3:
        dataset.NumberOfFrames = shape[0]
    dataset.SamplesPerPixel = 3 if colours else 1
    if colours:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.dtype.itemsize
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if "HighBit" not in elements:
        dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = values.tobytes()
    if len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def _write_nifti(path, values, affine=None, **fields):
    """Writes a volume; `fields` are fields of its header, which are set without any check."""
    import nibabel

    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    for name, value in fields.items():
        image.header[name] = value
    image.header["descrip"] = b"Secretsurname"
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path
