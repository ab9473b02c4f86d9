import pathlib

import pytest

from vae_jax.data.builders import mask_names
from vae_jax.errors import UserError


def match(*names, test_folders=()):
    """Returns image -> its masks, without images that have none."""
    return mask_names.find_masks(names, test_folders).of_image


@pytest.mark.parametrize(
    "mask",
    [
        "0_label.bmp", "0_GT.png", "0_gt.png", "0_segmentation.png", "0_Segmentation.png", "0_MASK.png",
        "0_mask.png", "0_mask_1.png", "0-mask.tif", "0 mask.gif", "0.mask.png", "0_ground_truth.png",
        "0_json/label.png",
    ],
)  # fmt: skip
def test_a_mask_beside_its_image_is_found_by_its_suffix(mask):
    assert match("bad/0.jpg", f"bad/{mask}") == {"bad/0.jpg": [f"bad/{mask}"]}


@pytest.mark.parametrize("name", ["0_defect.png", "0_unmasked.png", "mask.png", "1_mask.png"])
def test_other_names_are_not_masks(name):
    assert mask_names.find_masks(["bad/0.jpg", f"bad/{name}"]).names == set()


@pytest.mark.parametrize(
    "folder",
    [
        "ground_truth", "Ground Truth", "GroundTruth", "GT", "masks", "Mask", "labels", "annotations",
        "infection masks", "1st_manual", "1st manual", "SegmentationClass", "lung-masks",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("image", "below"),
    [
        ("bad/0.jpg", "{}/bad/0.png"),
        ("bad/deep/0.jpg", "{}/bad/deep/0.png"),
        ("bad/0.jpg", "bad/{}/0.png"),
        ("bad/images/0.jpg", "bad/{}/0.png"),
        ("bad/0.jpg", "{}/0.png"),
        ("bad/0.jpg", "{}/bad/0_mask.png"),
    ],
)
def test_a_mask_in_a_folder_for_masks_is_found_wherever_the_folder_is(folder, image, below):
    mask = below.format(folder)
    assert match(image, "good/1.jpg", mask) == {image: [mask]}


def test_a_folder_may_be_named_after_the_class_whose_masks_it_holds():
    names = ["polyps/0.jpg", "good/0.jpg", "polyps-masks/0.png"]
    assert match(*names) == {"polyps/0.jpg": ["polyps-masks/0.png"]}


@pytest.mark.parametrize(
    "folder", ["with_masks", "without_masks", "no masks", "unmasked", "maskless"]
)
def test_a_class_of_people_with_or_without_masks_holds_images(folder):
    assert mask_names.find_masks([f"{folder}/0.jpg", "good/0.jpg"]).names == set()


def test_a_mask_outside_the_splits_belongs_to_the_test_image_and_one_inside_to_its_split():
    images = ["train/bad/0.png", "test/bad/0.png"]
    for mask, image in (
        ("ground_truth/bad/0.png", "test/bad/0.png"),
        ("ground_truth/test/bad/0.png", "test/bad/0.png"),
        ("test/ground_truth/bad/0_mask.png", "test/bad/0.png"),
        ("test/bad/masks/0.png", "test/bad/0.png"),
        ("train/bad/masks/0.png", "train/bad/0.png"),
        ("train/masks/bad/0.png", "train/bad/0.png"),
    ):
        assert match(*images, mask, test_folders=["test"]) == {image: [mask]}


@pytest.mark.parametrize(
    "mask", ["ground_truth/bad/0.png", "bad/0_mask.png", "bad/masks/0.png", "bad/0_json/label.png"]
)
def test_a_mask_of_two_images_with_one_stem_is_refused(mask):
    with pytest.raises(UserError, match=r"may belong to bad/0\.(jpg|png) and to bad/0\."):
        match("bad/0.png", "bad/0.jpg", mask)


def test_a_mask_of_images_in_two_classes_is_refused():
    with pytest.raises(
        UserError, match=r"masks/0\.png may belong to bad/0\.jpg and to good/0\.jpg"
    ):
        match("bad/0.jpg", "good/0.jpg", "masks/0.png")


def test_numbered_masks_of_one_image_are_all_used_and_others_are_refused():
    numbered = ["bad/0_mask.png", "bad/0_mask_1.png", "bad/0_mask_2.png"]
    assert match("bad/0.png", *numbered) == {"bad/0.png": numbered}
    for other in ("ground_truth/bad/0.png", "bad/0_label.png", "bad/0_mask.bmp"):
        with pytest.raises(UserError, match=r"are masks of the same image bad/0\.png; keep one"):
            match("bad/0.png", "bad/0_mask.png", other)


def test_masks_without_an_image_and_the_copies_of_labelme_are_not_images():
    masks = mask_names.find_masks(
        [
            "bad/0.jpg", "bad/0_GT.png", "bad/1_GT.png", "ground_truth/bad/7.png", "bad/2.jpg",
            "bad/2_json/label.png", "bad/2_json/img.png", "bad/2_json/label_viz.png",
        ]
    )  # fmt: skip
    assert set(masks.unmatched) == {"bad/1_GT.png", "ground_truth/bad/7.png"}
    assert masks.copies == ["bad/2_json/img.png", "bad/2_json/label_viz.png"]
    assert masks.of_image == {"bad/0.jpg": ["bad/0_GT.png"], "bad/2.jpg": ["bad/2_json/label.png"]}


@pytest.mark.parametrize(
    "name", ["a.png", "b.c/a", "b.c/a.", "a.b.png", "b/.png", "..x", "a..", "a .tif", "b.c/.d.e"]
)
def test_a_suffix_is_what_pathlib_takes_for_one(name):
    assert mask_names.remove_suffix(name) == str(pathlib.PurePosixPath(name).with_suffix(""))


def test_the_masks_of_drive_belong_to_their_images():
    names = [
        "eye/images/21_training.tif", "eye/images/22_training.tif", "eye/images/2_test.tif",
        "eye/1st_manual/21_manual1.gif", "eye/1st_manual/22_manual1.gif", "eye/1st_manual/2_manual1.gif",
    ]  # fmt: skip
    assert mask_names.find_masks(names).of_image == {
        "eye/images/21_training.tif": ["eye/1st_manual/21_manual1.gif"],
        "eye/images/22_training.tif": ["eye/1st_manual/22_manual1.gif"],
        "eye/images/2_test.tif": ["eye/1st_manual/2_manual1.gif"],
    }


def test_masks_of_drive_never_belong_to_an_image_of_another_number():
    masks = mask_names.find_masks(["eye/images/21_training.tif", "eye/1st_manual/1_manual1.gif"])
    assert masks.unmatched == ["eye/1st_manual/1_manual1.gif"]
    # An image that has exactly this name comes first.
    names = ["eye/images/21.tif", "eye/images/21_training.tif", "eye/1st_manual/21_manual1.gif"]
    assert set(mask_names.find_masks(names).of_image) == {"eye/images/21.tif"}


def test_the_two_masks_of_an_image_in_drive_are_not_united():
    names = ["eye/images/21_training.tif", "eye/mask/21_training_mask.gif"]
    with pytest.raises(UserError, match="are masks of the same image"):
        mask_names.find_masks([*names, "eye/1st_manual/21_manual1.gif"])
