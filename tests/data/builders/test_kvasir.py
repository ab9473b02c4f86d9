import logging
import shutil

import pytest

from vae_jax.data.builders.kvasir import Kvasir
from vae_jax.errors import UserError


def list_images(folder):
    # list_images() needs no prepared builder; an instance would need a folder to write to.
    return Kvasir.list_images(Kvasir, Kvasir.locate_files(folder))["train"]


@pytest.mark.parametrize(
    ("folder", "class_name"),
    [
        ("polyps", "polyps"),
        ("kvasir-dataset-v2/normal-z-line", "normal-z-line"),
        ("labeled-images/lower-gi-tract/anatomical-landmarks/cecum", "normal-cecum"),
        ("labeled-images/upper-gi-tract/anatomical-landmarks/z-line", "normal-z-line"),
        ("labeled-images/upper-gi-tract/anatomical-landmarks/pylorus", "normal-pylorus"),
        ("labeled-images/lower-gi-tract/quality-of-mucosal-views/bbps-2-3", "bbps-2-3"),
    ],
)
def test_class_and_relative_path_come_from_both_layouts(make_kvasir, folder, class_name):
    images = list_images(make_kvasir({folder: 2}))
    assert [image.class_name for image in images] == [class_name] * 2
    assert [image.file for image in images] == [f"{folder}/000.jpg", f"{folder}/001.jpg"]


def test_a_mask_has_the_stem_of_its_image(make_kvasir):
    images = list_images(make_kvasir({"polyps": 3, "normal-cecum": 2}, masks=2))
    masks = {image.file: image.mask and image.mask.name for image in images}
    assert masks == {
        "normal-cecum/000.jpg": None,
        "normal-cecum/001.jpg": None,
        "polyps/000.jpg": "000.png",
        "polyps/001.jpg": "001.png",
        "polyps/002.jpg": None,
    }


def test_a_warning_says_how_many_of_all_masks_have_no_image(make_kvasir, caplog):
    root = make_kvasir({"polyps": 5, "normal-cecum": 2}, masks=5)
    for i in (1, 3):
        (root / f"polyps/{i:03}.jpg").unlink()
    with caplog.at_level(logging.WARNING, "vae_jax"):
        list_images(root)
    assert "kvasir: 2 of 5 masks have no image and are ignored, for example" in caplog.text
    assert "polyps-masks/001.png" in caplog.text


def test_the_masks_of_hyper_kvasir_are_used_and_the_copies_of_images_beside_them_are_not(
    make_kvasir,
):
    root = make_kvasir({"labeled-images/lower-gi-tract/pathological-findings/polyps": 2})
    shutil.copytree(
        root / "labeled-images/lower-gi-tract/pathological-findings/polyps",
        root / "segmented-images/images",
    )
    shutil.copytree(root / "segmented-images/images", root / "segmented-images/masks")
    images = list_images(root)
    assert len(images) == 2
    assert all(image.mask.parent.name == "masks" for image in images)


def test_a_group_may_span_classes_and_an_unlisted_image_is_its_own_group(make_kvasir):
    root = make_kvasir({"polyps": 2, "cecum": 2})
    (root / "groups.csv").write_text(
        "class,file,group\npolyps,000.jpg,7\nnormal-cecum,000.jpg,7\ncecum,001.jpg,8\n"
    )
    groups = {image.file: image.group for image in list_images(root)}
    assert groups == {
        "polyps/000.jpg": "7",
        "polyps/001.jpg": "polyps/001.jpg",
        "cecum/000.jpg": "7",
        "cecum/001.jpg": "8",
    }


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "class,file,group\npolyps,000.jpg\n"])
def test_a_table_of_groups_without_its_columns_is_refused(make_kvasir, content):
    root = make_kvasir({"polyps": 1})
    (root / "groups.csv").write_text(content)
    with pytest.raises(UserError, match=r"groups.csv is not a table"):
        list_images(root)


def test_hidden_files_and_tables_are_not_images(make_kvasir):
    root = make_kvasir({"polyps": 1})
    for name in (".DS_Store", "Thumbs.db", "notes.csv"):
        (root / "polyps" / name).write_text("x")
    assert len(list_images(root)) == 1


def test_a_warning_names_a_folder_that_is_not_a_class(make_kvasir, caplog):
    with caplog.at_level(logging.WARNING, "vae_jax"):
        images = list_images(make_kvasir({"polyps": 1, "kittens": 2}))
    assert len(images) == 1
    assert "kittens" in caplog.text


@pytest.mark.parametrize(
    ("counts", "masks", "message"),
    [
        ({"kittens": 1}, 0, "has no folder with the name of a class"),
        ({"polyps": 2, "normal-cecum": 0}, 0, "normal-cecum is empty"),
        ({"polyps": 2, "polyps-masks": 0}, 0, "polyps-masks is empty"),
        ({"normal-cecum": 2}, 2, "masks but no images of polyps"),
    ],
)
def test_an_incomplete_folder_is_refused_and_the_error_names_the_address(
    make_kvasir, counts, masks, message
):
    with pytest.raises(UserError, match=rf"{message}.*https://datasets.simula.no.*manual_dir"):
        list_images(make_kvasir(counts, masks=masks))
