import numpy as np
import pytest
from PIL import Image

from vae_jax.data.builders.labelled_folder import list_labelled_images
from vae_jax.errors import UserError


def write(root, *names, marked=False):
    rng = np.random.default_rng(0)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray((pixels > 200).astype(np.uint8) * 255 if marked else pixels).save(path)
    return root


def list_all(root):
    return {image.file: image for image in list_labelled_images(root, "refuse")}


def test_class_folders_may_have_masks(tmp_path):
    write(tmp_path, "good/0.png", "scratch/deep/0.png")
    mask = "ground_truth/scratch/deep/0_mask.png"
    write(tmp_path, mask, marked=True)
    images = list_all(tmp_path)
    assert {file: image.class_name for file, image in images.items()} == {
        "good/0.png": "good",
        "scratch/deep/0.png": "scratch",
    }
    assert images["scratch/deep/0.png"].mask == (tmp_path / mask,)
    assert images["good/0.png"].mask is None


def test_a_table_says_which_images_belong_together(tmp_path):
    write(tmp_path, "good/0.png", "good/1.png", "good/2.png")
    (tmp_path / "groups.csv").write_text("file,group\ngood/0.png,a\ngood/1.png,a\n")
    assert [image.group for image in list_all(tmp_path).values()] == ["a", "a", "good/2.png"]


@pytest.mark.parametrize("with_training_images", [False, True])
def test_of_a_folder_with_test_only_that_is_listed(tmp_path, with_training_images, caplog):
    write(tmp_path, "test/good/0.png", "test/scratch/0.png")
    write(tmp_path, "ground_truth/scratch/0.png", marked=True)
    if with_training_images:
        write(tmp_path, "train/good/9.png")
    images = list_all(tmp_path)
    assert [*images] == ["test/good/0.png", "test/scratch/0.png"]
    assert [image.class_name for image in images.values()] == ["good", "scratch"]
    assert images["test/scratch/0.png"].mask is not None
    assert ("ignored what is outside test: train" in caplog.text) == with_training_images


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "has no images that can be read"),
        (("0.png",), "0.png is not in the folder of a class; .* --mode=predict"),
        (("good/0.png", "1.png"), "1.png is not in the folder of a class"),
        (("train/good/0.png",), "has training images and no folder test"),
    ],
)
def test_a_folder_without_classes_is_refused(tmp_path, names, message):
    write(tmp_path, *names)
    with pytest.raises(UserError, match=message):
        list_all(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    write(tmp_path, "0.png")
    with pytest.raises(UserError, match="is not a folder"):
        list_labelled_images(tmp_path / "0.png", "refuse")
