"""A run on DICOM files writes, logs and shows nothing that the files say about their patients."""

import os
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")

ROOT = pathlib.Path(__file__).parents[1]
SECRETS = {
    "PatientName": "Secretsurname^Firstname",
    "PatientBirthDate": "19230401",
    "PatientAddress": "Secretstreet 12",
    "InstitutionName": "Secrethospital",
    "AccessionNumber": "SECRETACC99",
    "StudyDate": "19991231",
}


def write(path, seed):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    for keyword, value in SECRETS.items():
        setattr(dataset, keyword, value)
    dataset.PatientID = f"SECRETID{seed:03}"
    dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = f"1.2.826.0.1.4242.{seed}"
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    values = np.random.default_rng(seed).integers(0, 4096, (16, 16)).astype(np.uint16)
    dataset.PixelData = values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def search(folder, words):
    """Returns the files below a folder that contain one of the words, also inside archives."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        contents = [path.read_bytes(), str(path).encode()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        if any(word in content for word in words for content in contents):
            found.append(path)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [pytest.param(False, marks=pytest.mark.exhaustive), True])
def test_nothing_about_a_patient_leaves_the_files(tmp_path, damaged):
    own, data, workdir = tmp_path / "own", tmp_path / "data", tmp_path / "run"
    for i in range(24):
        write(own / f"{'good' if i < 20 else 'bad'}/{i:02}.dcm", i)
    if damaged:
        content = (own / "good/00.dcm").read_bytes()
        (own / "good/00.dcm").write_bytes(content[:-200])
        # Values that pydicom would warn of, or repeat in an error.
        broken = content.replace(b"19230401", b"Secretxx").replace(
            b"SECRETID000", b"SECRETID\xff\xfe\xff"
        )
        (own / "good/01.dcm").write_bytes(broken)
    command = [
        sys.executable, "-m", "vae_jax.main", f"--workdir={workdir}", "--config.data.dataset=folder",
        f"--config.data.manual_dir={own}", f"--config.data.dir={data}", "--config.data.anomaly_classes=()",
        "--config.data.image_size=16", "--config.data.skip_corrupt=true", "--config.train.epochs=1",
        "--config.data.calibration_fraction=0.2", "--config.data.val_fraction=0.2",
        "--config.model.widths=(4,8)", "--config.scoring.bootstrap_resamples=100",
    ]  # fmt: skip
    environment = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300)
    assert run.returncode == 0, run.stderr.decode()
    (tmp_path / "log").mkdir()
    (tmp_path / "log/out").write_bytes(run.stdout + run.stderr)
    words = [value.encode() for value in SECRETS.values()] + [b"SECRETID", b"Secret", b"1.4242."]
    assert len(search(own, words)) == 24  # the search finds what is there
    assert (workdir / "report.html").is_file()
    assert (workdir / "scores.csv").is_file()
    for folder in (data, workdir, tmp_path / "log"):
        assert search(folder, words) == []
    assert (b"skipped 1 unreadable image: good/00.dcm" in run.stderr) == damaged
