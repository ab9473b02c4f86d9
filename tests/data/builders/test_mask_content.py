import numpy as np
import pytest
from PIL import Image

from vae_jax.data.builders import mask_content, mask_names
from vae_jax.data.builders.mask_content import Content
from vae_jax.errors import UserError

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (24, 24, 3), np.uint8)
DIGIT = np.where(RNG.random((24, 24)) < 0.4, 255, 0).astype(np.uint8)  # a binary image
MASK = np.zeros((24, 24), np.uint8)
MASK[5:9, 5:9] = 255
EMPTY = np.zeros((24, 24), np.uint8)
LEVELS = MASK // 3 + np.roll(MASK, 9) // 2


@pytest.fixture
def make(tmp_path):
    """Returns a function: name -> pixels; it writes the images and returns name -> file."""

    def make(images):
        files = {name: tmp_path / name for name in images}
        for name, pixels in images.items():
            files[name].parent.mkdir(parents=True, exist_ok=True)
            image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
            image.save(files[name])
        return files

    return make


def many(folder, pixels, suffix=".png", count=12):
    return {f"{folder}/{i:03}{suffix}": pixels for i in range(count)}


@pytest.mark.parametrize(
    ("name", "pixels", "content"),
    [
        ("0.png", PHOTO, Content.IMAGE),
        ("0.jpg", PHOTO, Content.IMAGE),
        ("0.png", PHOTO[..., 0].astype(np.uint16) * 250, Content.IMAGE),
        ("0.png", MASK, Content.MASK),
        ("0.png", MASK > 0, Content.MASK),
        ("0.png", MASK.astype(np.uint16), Content.MASK),
        ("0.png", LEVELS, Content.MASK),
        ("0.png", np.stack([MASK, EMPTY, EMPTY], -1), Content.MASK),
        ("0.png", Image.fromarray(MASK // 255, "P"), Content.MASK),
        ("0.jpg", MASK, Content.MASK),  # compression adds levels near black and white
        ("0.png", EMPTY, Content.FLAT),
    ],
)
def test_a_mask_has_a_few_flat_levels(make, name, pixels, content):
    assert mask_content.classify(make({name: pixels})[name]) is content


def test_a_file_that_cannot_be_read_is_not_a_mask(tmp_path):
    (tmp_path / "0.png").write_text("no image")
    assert mask_content.classify(tmp_path / "0.png") is Content.IMAGE


def test_a_flat_file_beside_the_photograph_of_the_same_stem_is_its_mask(make):
    files = make(many("bad", PHOTO, ".jpg") | many("bad", MASK) | {"bad/003.png": EMPTY})
    assert mask_content.find_masks_of_same_stem(files) == {
        f"bad/{i:03}.png": f"bad/{i:03}.jpg" for i in range(12)
    }


@pytest.mark.parametrize("pixels", [PHOTO, EMPTY])
def test_other_files_beside_the_photograph_of_the_same_stem_are_images(make, pixels):
    files = make(many("bad", PHOTO, ".jpg") | many("bad", pixels))
    assert mask_content.find_masks_of_same_stem(files) == {}
    mask_content.check_images(files)


def test_files_of_which_only_some_look_like_masks_are_refused(make):
    files = make(many("bad", PHOTO, ".jpg") | many("bad", PHOTO) | {"bad/000.png": MASK})
    assert mask_content.find_masks_of_same_stem(files) == {}
    with pytest.raises(UserError, match=r"bad/000\.png looks like the mask of bad/000\.jpg"):
        mask_content.check_images(files)


@pytest.mark.parametrize("name", ["{}_defekt", "maske-{}", "{} (area 3)", "{}_1"])
@pytest.mark.parametrize("pixels", [MASK, LEVELS, MASK > 0])
def test_an_unknown_name_beside_an_image_is_refused_if_its_content_is_that_of_a_mask(
    make, name, pixels
):
    masks = {f"bad/{name.format(f'{i:03}')}.png": pixels for i in range(12)}
    files = make(many("bad", PHOTO) | masks)
    with pytest.raises(
        UserError, match=r"looks like the mask of bad/\d+\.png: .*data\.mask_like_images=images$"
    ):
        mask_content.check_images(files)


@pytest.mark.parametrize("folder", ["defect areas", "bad/painted", "z"])
def test_a_folder_of_masks_with_an_unknown_name_is_refused(make, folder):
    masks = many(folder, MASK) | {f"{folder}/000.png": EMPTY}
    files = make(many("bad", PHOTO) | many("good", PHOTO) | masks)
    with pytest.raises(UserError, match=r"looks like the mask of (bad|good)/\d+\.png"):
        mask_content.check_images(files)


@pytest.mark.parametrize(
    "images",
    [
        many("zero", DIGIT) | many("one", 255 - DIGIT),  # every class is binary
        many("scans", DIGIT) | {f"photos/p{i}.png": PHOTO for i in range(12)},  # no partner
        many("good", PHOTO) | many("bad", PHOTO) | {"bad/003.png": DIGIT},  # one odd image
        {f"good/a_{i}.png": DIGIT for i in range(12)} | {"good/a.png": DIGIT},
        many("good", PHOTO) | many("dark", EMPTY),
    ],
)
def test_real_images_are_not_refused(make, images):
    mask_content.check_images(make(images))


def test_the_check_reads_a_few_files_only(make, monkeypatch):
    files = make(many("good", PHOTO, count=200) | many("bad", PHOTO, count=200))
    read, classify = [], mask_content.classify
    monkeypatch.setattr(mask_content, "classify", lambda path: read.append(path) or classify(path))
    mask_content.check_images(files)
    assert len(read) < 10


@pytest.mark.parametrize("name", ["label/{}.png", "bad/{}_gt.png"])
def test_images_that_are_masks_by_name_only_are_refused(make, name):
    files = make(many("bad", PHOTO) | {name.format(f"{i:03}"): PHOTO for i in range(3)})
    masks = mask_names.find_masks(files)
    with pytest.raises(UserError, match=r"has many grey levels; if it is an image, rename it"):
        mask_content.check_masks(masks, files)


def test_masks_below_ground_truth_may_have_smooth_borders(make):
    smooth = np.linspace(0, 255, 24 * 24).reshape(24, 24).astype(np.uint8)
    files = make(many("bad", PHOTO) | many("ground_truth/bad", smooth))
    mask_content.check_masks(mask_names.find_masks(files), files)
