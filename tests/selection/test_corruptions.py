import numpy as np
import pytest
from scipy import ndimage

from vae_jax.selection import corruptions
from vae_jax.selection.corruptions import CORRUPTIONS, corrupt, make_corrupted_set

KINDS = list(CORRUPTIONS)


def make_photograph(seed=0, size=(64, 64), channels=3):
    """Returns an image with structure at several scales, in mid greys so that nothing is clipped."""
    rng = np.random.default_rng(seed)
    layers = [
        ndimage.gaussian_filter(rng.normal(size=(*size, channels)), (sigma, sigma, 0), mode="wrap")
        for sigma in (1, 3, 9)
    ]
    image = sum(layer / layer.std() for layer in layers)
    return np.clip(128 + 18 * image, 40, 215).astype(np.uint8)


def make_images(num=5, **options):
    return np.stack([make_photograph(seed, **options) for seed in range(num)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_corruption_is_local_visible_and_of_the_allowed_area(kind, channels):
    image = make_photograph(channels=channels)
    rng = np.random.default_rng(0)
    for _ in range(20):
        corrupted, mask = corrupt(image, kind, rng)
        assert corrupted.shape == image.shape
        assert corrupted.dtype == np.uint8
        assert 0.005 <= mask.mean() <= 0.1
        change = np.abs(corrupted.astype(float) - image)
        assert np.sqrt(np.square(change[mask]).mean()) >= 3
        # Outside the mask there is the soft edge only.
        assert not change[ndimage.distance_transform_edt(~mask) > 0.6 * 32].any()
        assert change[mask].mean() > 3 * change[~mask].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_the_region_changes_or_comes_in(kind):
    image = make_photograph()
    region = np.hypot(*(np.mgrid[:64, :64] - 31.5)) < 20
    # If these pixels were read, white would come into the region, and the change would depend on them.
    images = [np.where(region[..., None], image, outside) for outside in (0, 255)]
    results = [corrupt(x.astype(np.uint8), kind, np.random.default_rng(1), region) for x in images]
    for x, (corrupted, mask) in zip(images, results, strict=True):
        np.testing.assert_array_equal(corrupted[~region], x[~region])
        assert not mask[~region].any()
        assert 0.005 <= mask.sum() / region.sum() <= 0.1
    np.testing.assert_array_equal(results[0][0][region], results[1][0][region])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_generator_gives_the_same_corruption_and_the_image_is_untouched(kind):
    image = make_photograph()
    before = image.copy()
    first, again, other = (corrupt(image, kind, np.random.default_rng(seed)) for seed in (2, 2, 3))
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(28, 28), (5, 7)])
def test_small_images_can_be_corrupted(kind, size):
    image = make_photograph(size=size, channels=1)
    for seed in range(10):
        corrupted, mask = corrupt(image, kind, np.random.default_rng(seed))
        assert mask.any()
        assert corrupted.shape == image.shape


def test_a_change_is_placed_where_it_can_be_seen():
    """On a black ground a blur is invisible; the object covers a quarter of the image."""
    image = np.zeros((64, 64, 1), np.uint8)
    image[16:48, 16:48] = make_photograph(size=(32, 32), channels=1)
    for seed in range(30):
        corrupted, mask = corrupt(image, "blur_patch", np.random.default_rng(seed))
        assert np.abs(corrupted.astype(float) - image)[mask].max() >= 3


def test_an_image_without_structure_is_returned_where_nothing_can_be_seen():
    image = np.full((32, 32, 1), 100, np.uint8)
    corrupted, mask = corrupt(image, "blur_patch", np.random.default_rng(0))
    np.testing.assert_array_equal(corrupted, image)
    assert 0.005 <= mask.mean() <= 0.1


def test_a_pasted_patch_has_the_texture_of_the_donor():
    image = make_photograph(0, channels=1)
    stripes = np.where(np.arange(64) % 4 < 2, 60, 180)[:, None, None] * np.ones((64, 64, 1))
    donor = stripes.astype(np.uint8)
    for seed in range(10):
        corrupted, mask = corrupt(image, "cut_paste", np.random.default_rng(seed), donor=donor)
        core = ndimage.binary_erosion(mask)
        if core.sum() > 30:
            assert corrupted[core].std() > 1.3 * image[core].std()


def test_a_blur_removes_detail_and_noise_adds_it():
    image = make_photograph(channels=1)

    def detail(x):
        return np.square(x - ndimage.gaussian_filter(x.astype(float), (2, 2, 0)))[..., 0]

    for seed in range(10):
        for kind, sign in (("blur_patch", -1), ("noise_blob", 1)):
            corrupted, mask = corrupt(image, kind, np.random.default_rng(seed))
            assert sign * (detail(corrupted) - detail(image))[mask].mean() > 0


def test_brightness_leaves_the_detail_and_texture_leaves_the_brightness():
    image = make_photograph(channels=1)
    shifts, mean_changes = [], []
    for seed in range(40):
        corrupted, mask = corrupt(image, "brightness", np.random.default_rng(seed))
        change = corrupted.astype(float) - image
        core = ndimage.binary_erosion(mask)
        assert np.abs(change[core].mean()) > change[core].std()
        shifts.append(change[mask].mean())
        corrupted, mask = corrupt(image, "texture", np.random.default_rng(seed))
        change = corrupted[mask].astype(float) - image[mask]
        mean_changes.append(change.mean() / change.std())
    assert min(shifts) < 0 < max(shifts)
    assert np.median(np.abs(mean_changes)) < 0.2


def test_an_elastic_change_invents_no_grey_level():
    image = make_photograph(channels=1)
    for seed in range(10):
        corrupted, _ = corrupt(image, "elastic", np.random.default_rng(seed))
        assert image.min() <= corrupted.min()
        assert corrupted.max() <= image.max()


@pytest.mark.parametrize(
    ("kind", "region", "message"),
    [
        ("blurr", None, "blurr.*cut_paste, noise_blob"),
        ("texture", np.zeros((64, 64), bool), "no pixel"),
    ],
)
def test_unknown_kinds_and_empty_regions_are_refused(kind, region, message):
    with pytest.raises(ValueError, match=message):
        corrupt(make_photograph(), kind, np.random.default_rng(0), region)


def test_a_set_has_every_kind_of_the_same_normals_and_uses_all_of_them():
    images = make_images()
    corrupted, kinds, rows = make_corrupted_set(images, 7, seed=0)
    assert corrupted.shape == (42, *images.shape[1:])
    assert kinds == [kind for kind in KINDS for _ in range(7)]
    assert rows == rows[:7] * 6
    assert sorted(rows[:5]) == list(range(5))
    for image, row in zip(corrupted, rows, strict=True):
        same = (image == images[row]).all(axis=-1).mean()
        assert 0.7 < same < 1


def test_a_set_depends_on_its_seed_alone_and_a_larger_one_contains_it():
    images = make_images()
    small, kinds, rows = make_corrupted_set(images, 3, seed=4)
    large, _, large_rows = make_corrupted_set(images, 6, seed=4)
    for k in range(len(KINDS)):
        np.testing.assert_array_equal(small[3 * k : 3 * k + 3], large[6 * k : 6 * k + 3])
        assert rows[3 * k : 3 * k + 3] == large_rows[6 * k : 6 * k + 3]
    assert (make_corrupted_set(images, 3, seed=5)[0] != small).any()
    again = make_corrupted_set(images, 3, seed=4)
    np.testing.assert_array_equal(again[0], small)
    assert again[1:] == (kinds, rows)


def test_another_kind_changes_none_of_the_others(monkeypatch):
    images = make_images(2)
    before = make_corrupted_set(images, 2, seed=0)[0]
    more = {"again": CORRUPTIONS["elastic"], **CORRUPTIONS}
    monkeypatch.setattr(corruptions, "CORRUPTIONS", more)
    np.testing.assert_array_equal(make_corrupted_set(images, 2, seed=0)[0][2:], before)


@pytest.mark.parametrize(("num", "num_per_kind"), [(0, 1), (2, 0)])
def test_empty_sets_are_refused(num, num_per_kind):
    with pytest.raises(ValueError, match="both must be at least 1"):
        make_corrupted_set(make_images(2)[:num], num_per_kind, seed=0)
