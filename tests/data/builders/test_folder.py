import logging
import pathlib

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import pipeline
from vae_jax.data.builders.folder import Folder
from vae_jax.errors import UserError
from vae_jax.workdir import mark_output

CLASSES = ("good/0.png", "good/1.png", "scratch/0.png", "scratch/deep/1.jpg")
SPLIT_UP = ("train/good/0.png", "train/good/1.png", "test/good/0.png", "test/scratch/0.png")


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def make(tmp_path):
    """Returns a function: names of images -> a folder with these images, which all differ."""

    def make(*names):
        for name in names:
            rng = np.random.default_rng(list(name.encode()))
            write(tmp_path / "own" / name, rng.integers(0, 256, (12, 12, 3), np.uint8))
        return tmp_path / "own"

    return make


def list_images(folder):
    # list_images() needs no prepared builder; an instance would need a folder to write to.
    return Folder.list_images(Folder, Folder.locate_files(folder))


def classes_of_files(folder):
    return {
        split: [(image.file, image.class_name) for image in images]
        for split, images in list_images(folder).items()
    }


def test_a_class_has_the_name_of_its_folder(make):
    assert classes_of_files(make(*CLASSES)) == {
        "train": [
            ("good/0.png", "good"),
            ("good/1.png", "good"),
            ("scratch/0.png", "scratch"),
            ("scratch/deep/1.jpg", "scratch"),
        ]
    }


def test_the_layout_of_mvtec_ad_gives_a_test_split(make):
    assert classes_of_files(make(*SPLIT_UP, "validation/good/0.png")) == {
        "test": [("test/good/0.png", "good"), ("test/scratch/0.png", "scratch")],
        "train": [
            ("train/good/0.png", "good"),
            ("train/good/1.png", "good"),
            ("validation/good/0.png", "good"),
        ],
    }


def test_images_that_are_in_no_folder_are_normal(make):
    assert classes_of_files(make("a.png", "b.png")) == {
        "train": [("a.png", "normal"), ("b.png", "normal")]
    }


@pytest.mark.parametrize(
    "names",
    [("good/0.png", "a.png"), ("train/0.png", "test/a.png"), ("train/good/0.png", "train/a.png")],
)
def test_an_image_without_a_class_among_images_with_one_is_refused(make, names):
    with pytest.raises(
        UserError, match=r"a\.png is not in the folder of a class; move it into one"
    ):
        Folder.locate_files(make(*names))


@pytest.mark.parametrize("names", [("train", "val"), ("Train", "validation"), ("train", "train")])
@pytest.mark.parametrize("test", ["test", "Test", "test_public"])
def test_all_usual_names_of_splits_are_accepted(make, names, test):
    first, second = names
    folder = make(f"{first}/good/0.png", f"{second}/good/1.png", f"{test}/bad/2.png")
    files = {
        split: [image.file for image in images] for split, images in list_images(folder).items()
    }
    assert files["test"] == [f"{test}/bad/2.png"]
    assert sorted(files["train"]) == sorted([f"{first}/good/0.png", f"{second}/good/1.png"])


@pytest.mark.parametrize("mask", ["0.png", "0_mask.png"])
@pytest.mark.parametrize(
    ("layout", "image", "masks"),
    [
        (CLASSES, "scratch/0.png", "ground_truth/scratch"),
        (CLASSES, "scratch/deep/1.jpg", "Ground_Truth/scratch/deep"),
        (SPLIT_UP, "test/scratch/0.png", "ground_truth/scratch"),
        (SPLIT_UP, "test/scratch/0.png", "test/ground_truth/scratch"),  # as in MVTec AD 2
    ],
)
def test_a_mask_has_the_class_and_the_name_of_its_image(make, layout, image, masks, mask):
    mask = mask.replace("0", image.rpartition("/")[2][0])
    folder = make(*layout, f"{masks}/{mask}")
    mask_files = {
        source.file: source.mask for images in list_images(folder).values() for source in images
    }
    assert mask_files.pop(image) == (folder / masks / mask,)
    assert mask_files == dict.fromkeys(set(layout) - {image})


def test_a_mask_belongs_to_the_test_image_if_a_training_image_has_the_same_name(make):
    folder = make("train/mixed/0.png", "test/mixed/0.png", "ground_truth/mixed/0.png")
    splits = list_images(folder)
    assert splits["train"][0].mask is None
    assert splits["test"][0].mask is not None


def test_two_masks_of_one_image_are_refused(make):
    folder = make(*CLASSES, "ground_truth/scratch/0.png", "ground_truth/scratch/0_mask.png")
    with pytest.raises(UserError, match=r"0\.png and .*0_mask\.png are masks of the same image"):
        list_images(folder)


def test_a_warning_names_ignored_folders_and_masks(make, caplog):
    folder = make(*SPLIT_UP, "ground_truth/scratch/9.png", "notes/0.png")
    with caplog.at_level(logging.WARNING):
        list_images(folder)
    assert "ignored what is outside train and test: notes" in caplog.text
    assert (
        "1 of 1 masks have no image and are ignored, for example ground_truth/scratch/9.png"
        in caplog.text
    )


def test_a_warning_says_how_many_of_all_masks_have_no_image(make, caplog):
    masks = [f"ground_truth/scratch/{i}.png" for i in range(4)]
    with caplog.at_level(logging.WARNING):
        list_images(make(*SPLIT_UP, *masks))
    assert "3 of 4 masks have no image and are ignored" in caplog.text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("good/0.png", "test/0.png"), "has a folder test but no folder train"),
        (("test/good/0.png", "test/bad/0.png"), "has a folder test but no folder train"),
        (("nut/train/good/0.png", "nut/test/bad/0.png"), "own/nut has a folder train; point"),
    ],
)
def test_a_layout_that_would_give_an_unintended_class_is_refused(make, names, message):
    with pytest.raises(UserError, match=message):
        Folder.locate_files(make(*names))


def test_groups_and_duplicates_stay_together(make):
    folder = make(*CLASSES, "good/2.png")
    (folder / "good/3.png").write_bytes((folder / "good/2.png").read_bytes())
    (folder / "groups.csv").write_text("file,group\ngood/0.png,7\nscratch/0.png,7\n")
    groups = {image.file: image.group for image in list_images(folder)["train"]}
    assert groups == {
        "good/0.png": "7",
        "good/1.png": "good/1.png",
        "good/2.png": "good/2.png",
        "good/3.png": "good/2.png",
        "scratch/0.png": "7",
        "scratch/deep/1.jpg": "scratch/deep/1.jpg",
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "0.png,7",
            r"1 of 1 rows name an image that does not exist, .* '0\.png'; .* example 'good/0\.png'",
        ),
        ("good/0.png,7\ngood/0.png,8", r"puts good/0\.png into the groups 7 and 8"),
    ],
)
def test_a_wrong_table_of_groups_is_refused(make, rows, message):
    folder = make(*CLASSES)
    (folder / "groups.csv").write_text(f"file,group\n{rows}\n")
    with pytest.raises(UserError, match=message):
        list_images(folder)


def test_hidden_files_other_files_the_region_of_interest_and_runs_are_ignored(make):
    folder = make(*CLASSES, ".trash/0.png", "good/.0.png", "roi.png", "runs/own/figures/roc.png")
    (folder / "good/notes.txt").write_text("no image")
    mark_output(folder / "runs/own")
    assert [image.file for image in list_images(folder)["train"]] == list(CLASSES)


def test_the_error_for_a_folder_without_images_describes_the_layout(make):
    folder = make("ground_truth/scratch/0.png")
    with pytest.raises(
        UserError, match=r"has no images .*; point .* one folder of images per class"
    ):
        Folder.locate_files(folder)


@pytest.fixture
def load(make, data_config):
    """Returns a function: (names of images, fields of the `data` group) -> the dataset."""

    def load(*names, **fields):
        data_config.dataset, data_config.manual_dir = "folder", str(make(*names))
        data_config.channels = 3
        data_config.normal_classes, data_config.anomaly_classes = (), ()
        data_config.update(fields)
        return pipeline.load_dataset(data_config, seed=0)

    return load


def many(name, count):
    return [f"{name}/{i}.png" for i in range(count)]


@pytest.mark.parametrize("normal", ["good", "Normal", "OK"])
def test_a_class_with_a_usual_name_is_normal_and_every_other_class_is_abnormal(
    load, normal, caplog
):
    with caplog.at_level(logging.INFO):
        dataset = load(*many(normal, 20), *many("dent", 2), *many("hole", 3))
    tested = np.array(dataset.test.classes)
    assert sorted(tested[dataset.test.labels == 1]) == ["dent"] * 2 + ["hole"] * 3
    assert set(dataset.train.classes) == {normal}
    assert f"folder: normal: {normal} (20)" in caplog.text
    assert "folder: abnormal: dent (2), hole (3)" in caplog.text


def test_a_folder_may_contain_only_normal_images(load):
    dataset = load(*(f"{i}.png" for i in range(20)))
    assert set(dataset.train.classes) == {"normal"}
    assert not dataset.test.labels.any()


def test_the_users_test_split_stays_the_test_split_and_its_normals_need_no_mask(load, make, caplog):
    tested = ["test/good/0.png", "test/hole/0.png"]
    write(make() / "ground_truth/hole/0_mask.png", np.eye(12, dtype=np.uint8))
    with caplog.at_level(logging.INFO):
        dataset = load(*many("train/good", 20), "train/hole/1.png", *tested)
    assert sorted(dataset.test.files) == tested
    assert dataset.test.has_mask.all()
    assert "1 abnormal images outside the official test split are not used" in caplog.text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"is called good, normal, ok; name the normal .*; the classes are dent, fine"),
        ({"normal_classes": ("fine", "fime")}, r"folder has no class 'fime'; .* did you mean fine"),
        ({"anomaly_classes": ("dents",)}, r"folder has no class 'dents'; .* did you mean dent"),
    ],
)
def test_a_class_that_does_not_exist_is_refused_before_anything_is_prepared(
    load, data_config, fields, message
):
    with pytest.raises(UserError, match=message):
        load(*many("fine", 20), *many("dent", 2), **fields)
    assert not pathlib.Path(data_config.dir).exists()


def test_if_only_abnormal_classes_are_named_the_usual_names_are_normal_and_others_are_not_used(
    load,
):
    dataset = load(*many("good", 20), *many("dent", 2), *many("hole", 3), anomaly_classes=("hole",))
    assert set(dataset.train.classes) == {"good"}
    assert set(dataset.test.classes) == {"good", "hole"}


def test_if_only_abnormal_classes_are_named_and_no_name_is_usual_all_others_are_normal(load):
    dataset = load(*many("fine", 20), *many("dent", 2), anomaly_classes=("dent",))
    assert set(dataset.train.classes) == {"fine"}


def test_abnormal_classes_are_not_used_if_the_anomalies_are_another_dataset(load):
    dataset = load(*many("good", 20), *many("dent", 20), anomaly_dataset="digits")
    assert set(dataset.train.classes) == {"good"}
    assert "dent" not in dataset.test.classes


def test_an_error_names_a_mask_whose_size_differs_from_its_image(load, make):
    names = *many("good", 20), "dent/0.png"
    write(make(*names) / "ground_truth/dent/0.png", np.full((12, 10), 255, np.uint8))
    with pytest.raises(
        UserError, match=r"dent/0\.png \(its mask 0\.png: 10x12 pixels, but its image has 12x12"
    ):
        load(*names)


def test_an_error_reports_that_all_normals_share_groups_with_abnormal_images(load, make):
    names = many("good", 3) + many("dent", 3)
    rows = "".join(f"good/{i}.png,{i}\ndent/{i}.png,{i}\n" for i in range(3))
    (make(*names) / "groups.csv").write_text(f"file,group\n{rows}")
    with pytest.raises(UserError, match="shares its group with an image that may only be in test"):
        load(*names)


def test_the_log_reports_images_that_are_not_square(make, data_config, caplog):
    folder = make(*many("good", 19))
    write(folder / "good/wide.png", np.zeros((10, 40, 3), np.uint8))
    data_config.dataset, data_config.manual_dir, data_config.channels = "folder", str(folder), 3
    data_config.normal_classes, data_config.anomaly_classes = (), ()
    with caplog.at_level(logging.INFO):
        pipeline.load_dataset(data_config, seed=0)
    assert "1 of 20 images are not square" in caplog.text
    assert "on average 96 % of the longer side" in caplog.text


@pytest.mark.parametrize("framing", ["stretch", "pad"])
def test_the_log_reports_nothing_out_of_view_if_images_are_shown_whole(
    make, data_config, caplog, framing
):
    folder = make(*many("good", 19))
    write(folder / "good/wide.png", np.zeros((10, 40, 3), np.uint8))
    data_config.dataset, data_config.manual_dir, data_config.channels = "folder", str(folder), 3
    data_config.normal_classes, data_config.anomaly_classes = (), ()
    data_config.framing = framing
    with caplog.at_level(logging.INFO):
        pipeline.load_dataset(data_config, seed=0)
    assert "(20)" in caplog.text  # how many images are normal
    assert "centre" not in caplog.text


def test_the_users_own_images_cannot_be_downloaded(data_config):
    data_config.dataset = "folder"
    data_config.normal_classes, data_config.anomaly_classes = (), ()
    with pytest.raises(
        UserError,
        match=r"^data\.manual_dir is empty; point",
    ):
        pipeline.load_dataset(data_config, seed=0)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ("painted/{}.png", "looks like the mask of"),
        ("bad/label/{}.png", None),
        ("bad/{}_GT.png", None),
    ],
)
def test_what_looks_like_a_mask_is_used_or_refused_or_with_a_flag_an_image(
    load, make, masks, message
):
    folder = make(*many("good", 20), *many("bad", 9))
    (folder / "good").rename(folder / "normal")
    for i in range(9):
        write(folder / masks.format(i), np.eye(12, dtype=np.uint8) * 255)
    names = [f"bad/{i}.png" for i in range(9)]
    if message:
        with pytest.raises(UserError, match=message):
            load(*names)
        test = load(*names, mask_like_images="images").test
        assert set(test.classes) == {"normal", "bad", "painted"}
        return
    test = load(*names).test
    assert set(test.classes) == {"normal", "bad"}
    assert test.has_mask.all()


def test_the_log_counts_what_is_left_out_by_suffix(make, caplog):
    folder = make(*CLASSES)
    for name in ("good/0.raw", "good/1.RAW", "scratch/notes.txt", "groups.csv"):
        (folder / name).write_text("file,group")
    with caplog.at_level(logging.WARNING):
        list_images(folder)
    assert "left out 3 files that are not images by their suffix: 2 .raw, 1 .txt" in caplog.text


def test_the_error_for_a_folder_of_files_that_cannot_be_read_counts_them(make):
    folder = make()
    (folder / "good").mkdir(parents=True)
    (folder / "good/0.raw").touch()
    with pytest.raises(UserError, match=r"has no images that can be read, only 1 \.raw; point"):
        Folder.locate_files(folder)


def test_a_class_of_which_every_image_is_skipped_is_refused(load, make):
    folder = make(*many("good", 20), *many("dent", 2))
    for path in (folder / "dent").iterdir():
        path.write_text("no image")
    with pytest.raises(UserError, match=r"no image of the class dent could be read; 2 unreadable"):
        load(skip_corrupt=True)
