import collections

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decode, pipeline
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.errors import UserError

ROLES = ("train", "val", "calibration", "test")


def count_classes(examples):
    """Returns class -> number of its images."""
    return dict(collections.Counter(examples.classes))


def test_the_roles_of_the_digits_hold_every_image_once(data_config):
    dataset = pipeline.load_dataset(data_config, seed=0)
    files = [file for role in ROLES for file in getattr(dataset, role).files]
    assert len(files) == len(set(files)) == 1797
    assert dataset.test.labels.sum() == 178  # all zeros
    assert dataset.train.images.shape[1:] == (8, 8, 1)
    assert dataset.train.images.max() == 255
    assert dataset.train.masks is None
    assert not dataset.train.has_mask.any()


def test_every_column_belongs_to_its_file_in_every_role(make_kvasir, kvasir_config):
    root = make_kvasir({"polyps": 4, "normal-cecum": 30, "bbps-0-1": 2}, masks=3)
    kvasir_config.manual_dir = str(root)
    dataset = pipeline.load_dataset(kvasir_config, seed=0)
    assert count_classes(dataset.test) == {"polyps": 4, "normal-cecum": 4}
    for role in ROLES:
        examples = getattr(dataset, role)
        for i, file in enumerate(examples.files):
            path = root / file
            assert examples.classes[i] == path.parent.name
            assert examples.groups[i] == file
            assert examples.stored_size[i].tolist() == [24, 20, path.stat().st_size]
            image = decode.decode_image(path.read_bytes(), 16, 3, 1.0)
            np.testing.assert_array_equal(examples.images[i], image)
    test = dataset.test
    with_mask = test.masks.any((1, 2))
    assert with_mask.sum() == 3
    assert test.masks[with_mask].mean() == pytest.approx(0.5)
    assert dict(zip(test.files, test.has_mask.tolist(), strict=True)) == {
        file: file != "polyps/003.jpg" for file in test.files
    }


@pytest.mark.parametrize("region", ["", "ellipse"])
def test_roles_do_not_depend_on_whether_images_are_on_disk(make_kvasir, kvasir_config, region):
    kvasir_config.manual_dir = str(make_kvasir({"polyps": 4, "normal-cecum": 30}, masks=3))
    kvasir_config.roi = region
    datasets = []
    for kvasir_config.cache in ("host", "none"):
        datasets.append(pipeline.load_dataset(kvasir_config, seed=0))
    for role in ROLES:
        in_memory, on_disk = (getattr(dataset, role) for dataset in datasets)
        assert isinstance(on_disk.images, ImagesOnDisk)
        for name in ("images", "masks", "has_mask", "labels", "stored_size"):
            np.testing.assert_array_equal(getattr(in_memory, name)[:], getattr(on_disk, name)[:])
        assert in_memory.files == on_disk.files


def test_images_of_an_anomaly_dataset_can_stay_on_disk_too(make_idx, data_config):
    folder = str(make_idx()[0])
    data_config.dataset, data_config.manual_dir = "mnist", folder
    data_config.anomaly_dataset, data_config.anomaly_manual_dir = "fashion_mnist", folder
    data_config.anomaly_classes, data_config.image_size = (), 28
    datasets = []
    for data_config.cache in ("host", "none"):
        datasets.append(pipeline.load_dataset(data_config, seed=0))
    in_memory, on_disk = (dataset.test.images for dataset in datasets)
    assert isinstance(on_disk, ImagesOnDisk)
    np.testing.assert_array_equal(in_memory, on_disk[:])


def test_a_class_that_does_not_exist_is_refused_before_any_file_is_read(data_config):
    data_config.dataset, data_config.manual_dir = "kvasir", "/nowhere"
    data_config.anomaly_classes = ("polpys",)
    with pytest.raises(UserError, match=r"no class 'polpys'.*did you mean polyps"):
        pipeline.load_dataset(data_config, seed=0)


@pytest.mark.parametrize(
    "start", [pipeline.prepare_datasets, lambda data: pipeline.load_dataset(data, 0)]
)
def test_tiles_that_are_stretched_are_refused_before_any_file_is_read(data_config, start):
    data_config.dataset, data_config.manual_dir = "kvasir", "/nowhere"
    data_config.anomaly_classes = ("polyps",)
    data_config.tile_stride, data_config.framing = 64, "stretch"
    with pytest.raises(UserError, match=r"^data.framing is stretch and data.tile_stride is 64"):
        start(data_config)


def test_another_framing_does_not_reuse_decoded_images(make_kvasir, kvasir_config):
    # The images have 24x20 pixels, and the left half of a mask is white.
    kvasir_config.manual_dir = str(make_kvasir({"polyps": 4, "normal-cecum": 30}, masks=4))
    tests = {}
    for kvasir_config.framing in ("crop", "stretch", "pad"):
        tests[kvasir_config.framing] = pipeline.load_dataset(kvasir_config, seed=0).test
    for framing, test in tests.items():
        black = (test.images == 0).all((0, 2, 3)).sum()  # rows
        assert black == (16 - round(16 * 20 / 24) if framing == "pad" else 0)
        shares = test.masks[test.labels == 1].mean((1, 2))
        np.testing.assert_allclose(shares, shares[0])
    images = [test.images for test in tests.values()]
    assert not any((a == b).all() for a, b in zip(images, images[1:] + images[:1], strict=True))
    assert tests["crop"].files == tests["pad"].files == tests["stretch"].files


def test_the_official_test_split_becomes_the_test_role(make_idx, data_config):
    folder, arrays = make_idx()
    data_config.dataset, data_config.manual_dir = "mnist", str(folder)
    data_config.image_size = 28
    dataset = pipeline.load_dataset(data_config, seed=0)
    assert dataset.test.files == [f"test/{i:05}" for i in range(20)]
    np.testing.assert_array_equal(dataset.test.images[..., 0], arrays["t10k"][0])
    assert dataset.test.labels.tolist() == [int(c == "0") for c in dataset.test.classes]
    other_files = dataset.train.files + dataset.val.files + dataset.calibration.files
    assert len(other_files) == 54
    assert all(file.startswith("train/") for file in other_files)


def test_images_are_resized_and_converted_to_colour(make_idx, data_config):
    folder, _ = make_idx(suffix="")
    data_config.dataset, data_config.manual_dir = "fashion_mnist", str(folder)
    data_config.image_size, data_config.channels = 32, 3
    dataset = pipeline.load_dataset(data_config, seed=0)
    assert dataset.test.images.shape == (20, 32, 32, 3)
    assert (dataset.test.images[..., 0] == dataset.test.images[..., 2]).all()


def test_the_images_of_another_dataset_can_be_the_anomalies(make_idx, data_config):
    data_config.dataset, data_config.anomaly_dataset = "mnist", "fashion_mnist"
    data_config.manual_dir = str(make_idx("a")[0])
    data_config.anomaly_manual_dir = str(make_idx("b", num_test=30)[0])
    data_config.image_size = 28
    data_config.anomaly_classes = ()
    without_anomalies = data_config.copy_and_resolve_references()
    without_anomalies.anomaly_dataset = ""
    dataset = pipeline.load_dataset(data_config, seed=0)
    assert dataset.test.labels.tolist() == [0] * 20 + [1] * 30
    assert dataset.test.files[20] == "fashion_mnist/test/00000"
    assert set(dataset.test.classes[:20]).isdisjoint(dataset.test.classes[20:])
    assert len(dataset.train.files + dataset.val.files + dataset.calibration.files) == 60
    assert dataset.fingerprint != pipeline.load_dataset(without_anomalies, seed=0).fingerprint
    data_config.anomaly_classes, data_config.normal_classes = ("3",), ("1", "2")
    dataset = pipeline.load_dataset(data_config, seed=0)
    assert count_classes(dataset.test) == {"1": 2, "2": 2, "fashion_mnist/3": 3}


def test_normal_images_get_empty_masks_if_only_the_anomaly_dataset_has_masks(
    make_kvasir, data_config
):
    data_config.anomaly_dataset = "kvasir"
    data_config.anomaly_manual_dir = str(make_kvasir({"polyps": 4, "cecum": 3}, masks=2))
    data_config.anomaly_classes = ("polyps",)
    dataset = pipeline.load_dataset(data_config, seed=0)
    assert dataset.test.labels.sum() == 4
    assert dataset.test.has_mask[dataset.test.labels == 1].sum() == 2
    assert dataset.test.has_mask[dataset.test.labels == 0].all()
    assert (dataset.test.masks[dataset.test.labels == 0] == 0).all()


def test_a_balanced_test_role_has_as_many_normal_images_as_anomalies(make_idx, data_config):
    data_config.dataset, data_config.manual_dir = "mnist", str(make_idx()[0])
    data_config.balanced_test = True
    labels = pipeline.load_dataset(data_config, seed=0).test.labels
    assert (labels == 0).sum() == (labels == 1).sum() == 2


def test_without_named_classes_all_images_are_normal(data_config):
    data_config.anomaly_classes = ()
    dataset = pipeline.load_dataset(data_config, seed=0)
    assert dataset.test.labels.sum() == 0
    assert abs(len(dataset.train.files) - 0.65 * 1797) <= 2


def test_real_kvasir_has_its_published_counts(real_data, kvasir_config):
    kvasir_config.manual_dir = str(real_data / "kvasir")
    kvasir_config.image_size, kvasir_config.crop = 32, 0.7
    kvasir_config.normal_classes = ("normal-z-line", "normal-pylorus", "normal-cecum", "bbps-2-3")
    dataset = pipeline.load_dataset(kvasir_config, seed=0)
    total = collections.Counter()
    for role in ROLES:
        total.update(getattr(dataset, role).classes)
    assert total == {"normal-cecum": 320, "bbps-2-3": 259, "polyps": 764}
    assert dataset.test.has_mask.all()
    masks = dataset.test.masks.any((1, 2))
    assert masks[dataset.test.labels == 1].mean() > 0.9
    assert not masks[dataset.test.labels == 0].any()
    assert dataset.test.stored_size[:, :2].min(1).max() == 256


def load_fingerprint(data_config):
    return pipeline.load_dataset(data_config, seed=0).fingerprint


def test_the_fingerprint_depends_on_the_content_of_the_region_of_interest(
    make_kvasir, kvasir_config, tmp_path
):
    kvasir_config.manual_dir = str(make_kvasir({"normal-cecum": 30, "polyps": 5}))
    without_region = load_fingerprint(kvasir_config)
    kvasir_config.roi = "ellipse"  # the config distinguishes runs with another region of this kind
    assert load_fingerprint(kvasir_config) == without_region
    kvasir_config.roi = str(tmp_path / "region.png")
    fingerprints = [without_region]
    for width in (8, 12):
        mask = np.zeros((16, 16), np.uint8)
        mask[:, :width] = 255
        Image.fromarray(mask).save(kvasir_config.roi)
        fingerprints.append(load_fingerprint(kvasir_config))
    assert len(set(fingerprints)) == 3


@pytest.mark.parametrize("changed", ["mask", "groups"])
def test_the_fingerprint_depends_on_masks_and_groups(make_kvasir, kvasir_config, changed):
    root = make_kvasir({"normal-cecum": 30, "polyps": 5}, masks=5)
    table = root / "groups.csv"
    table.write_text("class,file,group\nnormal-cecum,000.jpg,a\nnormal-cecum,001.jpg,a\n")
    kvasir_config.manual_dir = str(root)
    before = load_fingerprint(kvasir_config)
    if changed == "mask":
        mask = np.zeros((20, 24), np.uint8)
        mask[3:5, 3:5] = 255
        Image.fromarray(mask).save(root / "polyps-masks/000.png")
    else:
        table.write_text("class,file,group\nnormal-cecum,000.jpg,a\nnormal-cecum,001.jpg,b\n")
    assert load_fingerprint(kvasir_config) != before


def test_images_and_masks_are_black_outside_the_region_of_interest(make_kvasir, kvasir_config):
    kvasir_config.manual_dir = str(make_kvasir({"polyps": 4, "normal-cecum": 30}, masks=3))
    unmasked = pipeline.load_dataset(kvasir_config, seed=0)
    kvasir_config.roi = "ellipse"
    masked = pipeline.load_dataset(kvasir_config, seed=0)
    inside = masked.region.mask
    for role in ROLES:
        examples, masked_examples = getattr(unmasked, role), getattr(masked, role)
        np.testing.assert_array_equal(masked_examples.images[:, inside], examples.images[:, inside])
        assert not masked_examples.images[:, ~inside].any()
        np.testing.assert_array_equal(masked_examples.masks[:, inside], examples.masks[:, inside])
        assert not masked_examples.masks[:, ~inside].any()


@pytest.fixture
def pair_folder(tmp_path):
    """A folder with 40 scenes, each of them twice: once as it is, and once with other light."""
    folder = tmp_path / "pairs"
    (folder / "good").mkdir(parents=True)
    for i in range(40):
        coarse = np.random.default_rng([i, 3]).integers(40, 160, (8, 8), np.uint8)
        scene = Image.fromarray(coarse).resize((48, 32), Image.Resampling.BICUBIC)
        for kind, factor in (("a", 1.0), ("b", 1.3)):
            scene.point(lambda level, factor=factor: int(level * factor)).save(
                folder / f"good/{kind}{i:02}.png"
            )
    return folder


@pytest.mark.parametrize("intensity", ["full", "window:0,255", "percentile:1,99"])
@pytest.mark.parametrize("framing", ["crop", "stretch", "pad"])
def test_near_duplicates_are_never_in_two_roles(pair_folder, data_config, framing, intensity):
    data_config.dataset, data_config.manual_dir = "folder", str(pair_folder)
    data_config.anomaly_classes, data_config.image_size = (), 32
    data_config.framing, data_config.intensity = framing, intensity
    num_split = {}
    for data_config.group_near_duplicates in (False, True):
        dataset = pipeline.load_dataset(data_config, seed=0)
        role_of = {file: role for role in ROLES for file in getattr(dataset, role).files}
        assert len(role_of) == 80
        assert set(role_of.values()) == set(ROLES)
        num_split[data_config.group_near_duplicates] = sum(
            role_of[f"good/a{i:02}.png"] != role_of[f"good/b{i:02}.png"] for i in range(40)
        )
    assert num_split[False] > 5
    assert num_split[True] == 0


@pytest.fixture
def deep_folder(tmp_path):
    """A folder of 16-bit images whose values grow from image to image; bad ones are far brighter."""
    rng = np.random.default_rng(0)
    for name, count, level in (("good", 20, 100), ("bad", 4, 900)):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for i in range(count):
            values = (level + 10 * i + rng.integers(0, 50, (12, 16))).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / "deep" / name / f"{i}.png")
    return tmp_path / "deep"


@pytest.fixture
def deep_config(data_config, deep_folder):
    data_config.dataset, data_config.manual_dir = "folder", str(deep_folder)
    data_config.anomaly_classes = ()
    data_config.test_fraction = data_config.val_fraction = data_config.calibration_fraction = 0.2
    data_config.image_size = 12
    return data_config


@pytest.mark.parametrize("cache", ["host", "none"])
def test_percentiles_are_those_of_the_training_images_alone(
    deep_config, deep_folder, cache, caplog
):
    caplog.set_level("INFO", logger="vae_jax")
    deep_config.intensity, deep_config.cache = "percentile:10,90", cache
    dataset = pipeline.load_dataset(deep_config, seed=1)
    train = [np.asarray(Image.open(deep_folder / file))[:, 2:14] for file in dataset.train.files]
    low, high = np.percentile(train, (10, 90), method="inverted_cdf").tolist()
    assert f"window{low},{high} of the stored values of {len(train)} training images" in caplog.text
    expected = np.rint(255 * np.clip((np.array(train, float) - low) / (high - low), 0, 1))
    np.testing.assert_array_equal(dataset.train.images[:][..., 0], expected)
    assert (dataset.test.images[dataset.test.labels == 1] == 255).all()


def test_percentiles_do_not_count_pixels_outside_the_region(
    deep_config, deep_folder, tmp_path, caplog
):
    caplog.set_level("INFO", logger="vae_jax")
    region = np.zeros((12, 12), bool)
    region[2:5, 6:9] = True
    Image.fromarray(region).save(tmp_path / "region.png")
    deep_config.intensity, deep_config.roi = "percentile:0,100", str(tmp_path / "region.png")
    files = pipeline.load_dataset(deep_config, seed=1).train.files
    train = [np.asarray(Image.open(deep_folder / file))[:, 2:14][region] for file in files]
    assert f"window{np.min(train)},{np.max(train)} of the stored values" in caplog.text


def test_another_seed_and_another_window_do_not_reuse_decoded_images(deep_config):
    deep_config.intensity = "percentile:0,100"
    first = pipeline.load_dataset(deep_config, seed=1).train
    other = pipeline.load_dataset(deep_config, seed=2).train
    again = pipeline.load_dataset(deep_config, seed=1).train
    assert first.images.max() == other.images.max() == 255
    assert first.images.min() == other.images.min() == 0
    np.testing.assert_array_equal(again.images, first.images)
    deep_config.intensity = "window:0,65535"
    assert pipeline.load_dataset(deep_config, seed=1).train.images.max() <= 2


def test_deep_images_that_use_little_of_their_range_are_refused(deep_config):
    with pytest.raises(UserError, match=r"folder: .*of the range of their type \(65535\)"):
        pipeline.load_dataset(deep_config, seed=0)
