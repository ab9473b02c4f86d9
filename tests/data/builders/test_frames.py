"""Medical files in a folder of one's own and among the chest X-rays: frames, groups, masks, messages."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import medical, pipeline
from vae_jax.data.builders import duplicates, layout
from vae_jax.data.builders.chest_xray import ChestXray
from vae_jax.data.builders.folder import Folder
from vae_jax.errors import UserError

RNG = np.random.default_rng(0)


def make_ct(shape=(12, 12)):
    return RNG.integers(0, 4096, shape).astype(np.uint16)


def list_images(folder):
    # list_images() needs no prepared builder; an instance would need a folder to write to.
    splits = Folder.list_images(Folder, Folder.locate_files(folder))
    return {image.file: image for images in splits.values() for image in images}


@pytest.fixture
def load(data_config, tmp_path, caplog):
    """Returns a function: fields of the `data` group -> the dataset of the folder `own`."""
    caplog.set_level("INFO", logger="vae_jax")

    def load_folder(**fields):
        data_config.dataset, data_config.manual_dir = "folder", str(tmp_path / "own")
        data_config.anomaly_classes, data_config.image_size = (), 12
        data_config.test_fraction = data_config.val_fraction = data_config.calibration_fraction = (
            0.2
        )
        data_config.update(fields)
        return pipeline.load_dataset(data_config, seed=0)

    return load_folder


def join_roles(dataset):
    roles = [getattr(dataset, role) for role in ("train", "val", "calibration", "test")]
    return {
        file: (role.images[row], role.groups[row], role.stored_size[row])
        for role in roles
        for row, file in enumerate(role.files)
    }


@pytest.fixture
def ct_folder(write_dicom, tmp_path):
    """Twelve healthy and three abnormal CT slices, each of another patient; their values by name."""
    values = {}
    for i in range(15):
        name = f"{'good' if i < 12 else 'bad'}/{i:02}.dcm"
        values[name] = make_ct() - 1024.0
        write_dicom(
            tmp_path / "own" / name, (values[name] + 1024).astype(np.uint16), patient=f"P{i}",
            BitsStored=12, RescaleIntercept="-1024", WindowCenter="40", WindowWidth="401",
        )  # fmt: skip
    return values


@pytest.mark.parametrize(
    ("intensity", "window"), [("full", (-160, 240)), ("window:-1000,1000", (-1000, 1000))]
)
def test_slices_of_ct_are_read_in_hounsfield_units(load, ct_folder, intensity, window):
    images = join_roles(load(intensity=intensity))
    assert set(images) == set(ct_folder)
    low, high = window
    for name, (pixels, _, size) in images.items():
        expected = 255 * np.clip((ct_folder[name] - low) / (high - low), 0, 1)
        np.testing.assert_allclose(pixels[..., 0], expected, atol=1)
        assert size[:2].tolist() == [12, 12]


def test_percentiles_are_those_of_the_rescaled_values_of_the_training_images(
    load, ct_folder, caplog
):
    train = load(intensity="percentile:10,90").train
    values = np.array([ct_folder[name] for name in train.files])
    low, high = np.percentile(values, (10, 90), method="inverted_cdf")
    assert f"is window{low:g},{high:g} of the stored values" in caplog.text


def test_the_files_of_a_patient_are_one_group_with_the_name_of_a_file(
    write_dicom, tmp_path, patient, caplog
):
    caplog.set_level("INFO", logger="vae_jax")
    own = tmp_path / "own"
    for i in range(6):
        write_dicom(own / f"good/{i}.dcm", make_ct(), patient=f"SECRET{i // 2}")
    write_dicom(own / "bad/0.dcm", make_ct((3, 8, 8)), patient="SECRET1")
    write_dicom(own / "bad/1.dcm", make_ct(), patient="")
    groups = {file: image.group for file, image in list_images(own).items()}
    assert groups == {
        "bad/0.dcm#0": "bad/0.dcm", "bad/0.dcm#1": "bad/0.dcm", "bad/0.dcm#2": "bad/0.dcm",
        "bad/1.dcm": "bad/1.dcm", "good/0.dcm": "good/0.dcm", "good/1.dcm": "good/0.dcm",
        "good/2.dcm": "bad/0.dcm", "good/3.dcm": "bad/0.dcm", "good/4.dcm": "good/4.dcm",
        "good/5.dcm": "good/4.dcm",
    }  # fmt: skip
    assert "7 medical files name 3 patients" in caplog.text
    assert "SECRET" not in caplog.text


def test_the_table_of_groups_comes_before_the_patient(write_dicom, tmp_path, caplog):
    own = tmp_path / "own"
    for i in range(4):
        write_dicom(own / f"good/{i}.dcm", make_ct((2, 8, 8)), patient="ANONYMOUS")
    assert {image.group for image in list_images(own).values()} == {"good/0.dcm"}
    assert "all 4 medical files that name a patient name the same one" in caplog.text
    table = "file,group\n" + "".join(f"good/{i}.dcm{'#1' * (i == 3)},g{i}\n" for i in range(4))
    (own / "groups.csv").write_text(table)
    groups = {file: image.group for file, image in list_images(own).items()}
    assert groups == {f"good/{i}.dcm#{frame}": f"g{i}" for i in range(4) for frame in (0, 1)}
    (own / "groups.csv").write_text(table + "good/3.dcm#0,other\n")
    with pytest.raises(UserError, match=r"images of good/3.dcm into the groups g3 and other"):
        list_images(own)


def test_the_frames_of_a_volume_never_have_two_roles(load, write_nifti, tmp_path):
    for i in range(14):
        volume = RNG.integers(0, 32_768, (12, 12, 5)).astype(np.int16)
        volume[..., 0] = 0  # slices without content are equal in all volumes
        write_nifti(tmp_path / f"own/{'good' if i < 10 else 'bad'}/{i:02}.nii.gz", volume)
    dataset = load(intensity="window:0,32767")
    role_of = {}
    for role in ("train", "val", "calibration", "test"):
        for file in getattr(dataset, role).files:
            name, _, index = file.rpartition("#")
            assert role_of.setdefault(name, role) == role
            assert int(index) in range(5)
    assert len(role_of) == 14
    assert set(role_of.values()) == {"train", "val", "calibration", "test"}
    assert sum(len(getattr(dataset, role)) for role in ("train", "val", "calibration")) % 5 == 0


def test_a_copy_of_a_volume_is_in_its_group_whatever_its_name_and_compression(
    write_nifti, write_dicom, tmp_path
):
    volume, own = make_ct((6, 7, 3)).astype(np.int16), tmp_path / "own"
    write_nifti(own / "good/a.nii.gz", volume)
    write_nifti(own / "bad/b.nii", volume)
    write_nifti(own / "good/c.nii", volume + 1)
    values = make_ct()
    write_dicom(own / "good/d.dcm", values, patient="1")
    write_dicom(own / "bad/e.dcm", values, patient="2")
    groups = {file: image.group for file, image in list_images(own).items()}
    assert groups["good/a.nii.gz#0"] == groups["bad/b.nii#2"] == "bad/b.nii"
    assert groups["good/c.nii#1"] == "good/c.nii"
    assert groups["good/d.dcm"] == groups["bad/e.dcm"] == "bad/e.dcm"


@pytest.fixture
def lesions(write_nifti, tmp_path):
    """Volumes of which three have a segmentation; returns name -> abnormal pixels as they are shown."""
    marks = {}
    for i in range(13):
        name = f"{'good' if i < 10 else 'bad'}/{i:02}"
        write_nifti(tmp_path / f"own/{name}.nii.gz", make_ct((12, 12, 4)).astype(np.int16))
        if i >= 10:
            mask = np.zeros((12, 12, 4), np.uint8)
            mask[2:6, 3:5, 1:3] = i - 9  # labels
            marks[name] = mask
    return tmp_path / "own", marks


@pytest.mark.parametrize("place", ["{}_seg.nii.gz", "{}_mask.nii", "ground_truth/{}.nii.gz"])
def test_a_segmentation_of_a_volume_gives_the_masks_of_its_slices(
    load, lesions, write_nifti, place, caplog
):
    own, marks = lesions
    for name, mask in marks.items():
        write_nifti(own / place.format(name), mask)
    test = load(intensity="window:0,4095").test
    bad = np.flatnonzero(test.labels == 1)
    assert len(bad) == 6
    assert test.has_mask[bad].all()
    for row in bad:
        name, _, index = test.files[row].rpartition("#")
        expected = marks[name.removesuffix(".nii.gz")][:, ::-1, int(index)].T > 0
        np.testing.assert_array_equal(test.masks[row] == 1, expected)
    assert {test.files[row].rpartition("#")[2] for row in bad} == {"1", "2"}
    assert "6 of 12 abnormal images are not used, because they are slices" in caplog.text


def test_a_segmentation_of_another_shape_or_orientation_is_refused(load, lesions, write_nifti):
    own, marks = lesions
    path = own / "bad/10_seg.nii.gz"
    write_nifti(path, marks["bad/10"][:, :, :3])
    with pytest.raises(
        UserError, match=r"10_seg.nii.gz: shape and orientation are .*must be equal"
    ):
        load(intensity="window:0,4095")
    write_nifti(path, marks["bad/10"], np.diag([-1, 1, 1, 1]))
    with pytest.raises(
        UserError, match=r"10_seg.nii.gz: shape and orientation are .*must be equal"
    ):
        load(intensity="window:0,4095")
    path.unlink()
    Image.new("L", (12, 12), 0).save(own / "bad/10_seg.png")
    with pytest.raises(UserError, match=r"10_seg.png: one image for a file of 4 frames"):
        load(intensity="window:0,4095")


def test_a_segmentation_with_an_unknown_name_is_never_an_image(load, lesions, write_nifti):
    own, marks = lesions
    for name, mask in marks.items():
        write_nifti(own / f"{name}_lesion.nii.gz", mask)
    with pytest.raises(UserError, match=r"10_lesion.nii.gz looks like the mask of bad/10.nii.gz"):
        load(intensity="window:0,4095")


def test_a_mask_of_a_single_frame_is_an_image(load, ct_folder, tmp_path, write_dicom):
    mask = np.zeros((12, 12), np.uint8)
    mask[2:5, 6:9] = 255
    Image.fromarray(mask).save(tmp_path / "own/bad/12_mask.png")
    test = load().test
    row = test.files.index("bad/12.dcm")
    np.testing.assert_array_equal(test.masks[row] * 255, mask)
    write_dicom(tmp_path / "own/ground_truth/bad/13.dcm", mask)
    with pytest.raises(UserError, match=r"its mask 13.dcm: a medical file cannot be the mask"):
        load()


def test_damaged_medical_files_are_named_and_can_be_skipped(load, ct_folder, tmp_path):
    (tmp_path / "own/good/cut.dcm").write_bytes((tmp_path / "own/good/00.dcm").read_bytes()[:-9])
    (tmp_path / "own/good/no.nii.gz").write_bytes(b"no volume")
    with pytest.raises(
        UserError, match=r"2 unreadable images: good/cut.dcm \(its pixels cannot be decoded"
    ):
        load()
    assert set(join_roles(load(skip_corrupt=True))) == set(ct_folder)


def test_files_with_different_windows_are_warned_of(load, ct_folder, write_dicom, tmp_path, caplog):
    for i in range(2):
        write_dicom(
            tmp_path / f"own/good/other{i}.dcm", make_ct(), BitsStored=12, patient=f"Q{i}",
            RescaleIntercept="-1024", WindowCenter=str(100 + i), WindowWidth="401",
        )  # fmt: skip
    load()
    assert "the medical files have 3 different windows" in caplog.text
    caplog.clear()
    load(intensity="window:-160,240")
    assert "different windows" not in caplog.text


def test_medical_and_other_images_do_not_share_a_window(load, ct_folder, tmp_path):
    Image.fromarray(make_ct()).save(tmp_path / "own/good/x.png")
    with pytest.raises(UserError, match="the types of the images differ"):
        load(intensity="window:-160,240")


def test_values_that_fill_little_of_their_bits_are_refused_with_advice(load, write_nifti, tmp_path):
    for i in range(10):
        values = RNG.integers(0, 400, (12, 12, 1)).astype(np.int16)
        write_nifti(tmp_path / f"own/{'good' if i < 8 else 'bad'}/{i}.nii.gz", values)
    with pytest.raises(UserError, match=r"of the range of the files.*data.intensity=window:0,39\d"):
        load()
    for path in (tmp_path / "own").rglob("*.nii.gz"):
        write_nifti(path, RNG.normal(0, 1, (12, 12, 1)).astype(np.float32))
    with pytest.raises(UserError, match=r"are fractions from .* and its file does not say"):
        load()
    assert np.ptp(load(intensity="percentile:1,99").train.images) == 255


def test_deep_values_are_kept_until_after_the_resize(load, write_dicom, tmp_path):
    for i in range(10):
        values = np.full((24, 24), 1000, np.uint16)
        values[::2] = 1001  # half a grey level apart in the window
        values[0, 0] = i  # all images differ
        path = tmp_path / f"own/{'good' if i < 8 else 'bad'}/{i}.dcm"
        write_dicom(path, values, patient=str(i), BitsStored=12)
    train = load(intensity="window:1000,1001").train
    assert (abs(train.images[:, 2:-2, 2:-2].astype(int) - 127) <= 1).all()


@pytest.mark.parametrize("suffix", [".dcm", ".nii", ".nii.gz"])
def test_without_the_extra_medical_files_are_counted_and_the_extra_is_named(
    tmp_path, monkeypatch, caplog, suffix
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec",
        lambda name: None if name in ("pydicom", "nibabel") else find_spec(name),
    )  # fmt: skip
    own = tmp_path / "own"
    for name in (
        "good/0.png",
        "good/1.png",
        f"good/2{suffix}",
        f"good/3{suffix}",
        "good/notes.txt",
    ):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("png"):
            Image.fromarray(make_ct()).save(own / name)
        else:
            (own / name).touch()
    assert set(list_images(own)) == {"good/0.png", "good/1.png"}
    hint = rf"pip install 'vae_jax[medical]' reads {suffix}"
    assert (
        f"left out 3 files that are not images by their suffix: 2 {suffix}, 1 .txt ({hint})"
        in caplog.text
    )
    (own / "bad").mkdir()
    (own / f"bad/0{suffix}").touch()
    with pytest.raises(UserError, match=rf"own/bad has no image.*only 1 {suffix} \(pip install"):
        layout.check_left_out(own, layout.list_files_below(own))


def test_chest_x_rays_may_be_dicom_files_of_patients(write_dicom, tmp_path):
    names = {"train/NORMAL": 2, "train/PNEUMONIA": 1, "test/NORMAL": 1, "test/PNEUMONIA": 1}
    for i, (folder, count) in enumerate(names.items()):
        for j in range(count):
            patient = "shared" if (i, j) in ((0, 1), (2, 0)) else f"{i}{j}"
            path = tmp_path / "xray" / folder / f"x{i}{j}.dcm"
            write_dicom(path, make_ct(), patient=patient, PhotometricInterpretation="MONOCHROME1")
    splits = ChestXray.list_images(ChestXray, ChestXray.locate_files(tmp_path / "xray"))
    groups = {image.file: image.group for images in splits.values() for image in images}
    assert groups["train/NORMAL/x01.dcm"] == groups["test/NORMAL/x20.dcm"]
    assert len(set(groups.values())) == 4


def test_a_volume_is_read_once_for_all_its_slices(load, write_nifti, tmp_path, monkeypatch):
    for i in range(8):
        values = RNG.integers(0, 32_768, (12, 12, 40)).astype(np.int16)
        write_nifti(tmp_path / f"own/{'good' if i < 7 else 'bad'}/{i}.nii.gz", values)
    calls = []
    read_frames = medical.read_frames

    def count(path, *args):
        calls.append(path)
        return read_frames(path, *args)

    monkeypatch.setattr(medical, "read_frames", count)
    monkeypatch.setattr(duplicates, "_hash_pixels", lambda source: None)
    load(intensity="window:0,32767")
    assert len(calls) == len(set(calls)) == 8
