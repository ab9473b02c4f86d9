"""Synthetic anomalies: local corruptions of normal images, which stand in for anomalies that nobody has.

A corruption covers 0.5 % to 10 % of the region of interest and changes nothing outside the region. Its
strength is relative to the contrast of the image, so that it can be seen without being obvious. These
images are no substitute for real anomalies: a score that finds them finds others like them.

Grey levels are 0 to 255. N images, H W image, C channels, M corrupted images.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from vae_jax.selection.scene import (
    Scene,
    blend_images,
    blur_image,
    make_scene,
    sample_image,
    turn_points,
)
from vae_jax.selection.shapes import Shape, draw_blob, draw_rectangle

# A corruption has at least this root mean square inside its mask: a share of the contrast, and grey levels.
_VISIBLE_SHARE, _VISIBLE_LEVELS = 0.25, 3.0
_MAX_ATTEMPTS = 12


Corruption = Callable[[Scene, np.random.Generator], tuple[Float[np.ndarray, "H W C"], Shape]]


def cut_paste(scene: Scene, rng: np.random.Generator) -> tuple[Float[np.ndarray, "H W C"], Shape]:
    """Pastes a turned patch of the donor elsewhere, with a small change of contrast.

    The brightness of the patch comes a random part of the way to that of the place, because a patch that
    differs in brightness alone would be found by anything.

    Source: Li et al. 2021, "CutPaste".
    """
    shape = draw_rectangle(scene.region, rng)
    rows, columns = np.nonzero(shape.mask)
    centre = np.array([rows.mean(), columns.mean()])
    origin = np.argwhere(scene.region)[rng.integers(scene.region.sum())]
    patch = sample_image(
        scene.donor, turn_points(scene.region.shape, centre, origin, rng.uniform(-0.8, 0.8))
    )
    patch_mean, place_mean = (x[shape.mask].mean(axis=0) for x in (patch, scene.image))
    mean = patch_mean + rng.uniform(0, 0.8) * (place_mean - patch_mean)
    patch = mean + rng.uniform(0.8, 1.2) * (patch - patch_mean)
    return blend_images(scene.image, patch, shape.weight), shape


def noise_blob(scene: Scene, rng: np.random.Generator) -> tuple[Float[np.ndarray, "H W C"], Shape]:
    """Adds noise inside a blob, from grains of one pixel to smooth spots, with little colour."""
    shape = draw_blob(scene.region, rng)
    height, width = scene.region.shape
    grain = rng.uniform(0, 0.012) * scene.side
    noise = rng.normal(size=(height, width, 1)) + 0.3 * rng.normal(size=scene.image.shape)
    noise = ndimage.gaussian_filter(noise, (grain, grain, 0))
    amplitude = scene.contrast * rng.uniform(0.5, 1.5) / noise.std()
    return blend_images(scene.image, scene.image + amplitude * noise, shape.weight), shape


def blur_patch(scene: Scene, rng: np.random.Generator) -> tuple[Float[np.ndarray, "H W C"], Shape]:
    """Blurs the image inside a blob."""
    shape = draw_blob(scene.region, rng)
    sigma = max(rng.uniform(0.015, 0.04) * scene.side, 0.8)
    return blend_images(scene.image, blur_image(scene.image, sigma), shape.weight), shape


def brightness(scene: Scene, rng: np.random.Generator) -> tuple[Float[np.ndarray, "H W C"], Shape]:
    """Makes a blob brighter or darker, with a slight tint of an image in colour."""
    shape = draw_blob(scene.region, rng)
    tint = 1 + 0.25 * rng.normal(size=scene.image.shape[2]) * (scene.image.shape[2] > 1)
    shift = scene.contrast * rng.uniform(0.7, 2.2) * rng.choice([-1, 1])
    return blend_images(scene.image, scene.image + shift * tint, shape.weight), shape


def texture(scene: Scene, rng: np.random.Generator) -> tuple[Float[np.ndarray, "H W C"], Shape]:
    """Exchanges the texture inside a blob, and leaves its brightness.

    The new texture is that of the same image in another place, at another scale and angle, or that of the
    same place with its small blocks shuffled.
    """
    shape = draw_blob(scene.region, rng)
    if rng.random() < 0.5:
        foreign = _shuffle_blocks(scene, shape, rng)
    else:
        scale = math.exp(rng.uniform(math.log(1.6), math.log(3))) ** rng.choice([-1, 1])
        centre, origin = np.argwhere(scene.region)[rng.integers(scene.region.sum(), size=2)]
        points = turn_points(
            scene.region.shape, centre, origin, rng.uniform(-math.pi, math.pi), scale
        )
        # Without the filter, an image that is made smaller shows false patterns.
        foreign = sample_image(blur_image(scene.image, 0.4 * scale if scale > 1 else 0.0), points)
    coarse = max(0.5 * shape.radius, 1.0)
    altered = blur_image(scene.image, coarse) + foreign - blur_image(foreign, coarse)
    return blend_images(scene.image, altered, shape.weight), shape


def elastic(scene: Scene, rng: np.random.Generator) -> tuple[Float[np.ndarray, "H W C"], Shape]:
    """Deforms the image inside a blob by a smooth random displacement, which fades towards the edge."""
    shape = draw_blob(scene.region, rng)
    waves = rng.normal(size=(2, *scene.region.shape))
    smoothness = max(rng.uniform(0.25, 0.5) * shape.radius, 0.7)
    waves = ndimage.gaussian_filter(waves, (0, smoothness, smoothness))
    reach = max(rng.uniform(0.3, 0.6) * shape.radius, 1)
    # Displacements of the size of the blob fold the image; their root mean square is a part of the radius.
    waves *= reach / np.sqrt(np.square(waves[:, shape.mask]).mean())
    points = np.indices(scene.region.shape) + waves * shape.weight
    return sample_image(scene.image, points), shape


CORRUPTIONS: dict[str, Corruption] = {
    "cut_paste": cut_paste,
    "noise_blob": noise_blob,
    "blur_patch": blur_patch,
    "brightness": brightness,
    "texture": texture,
    "elastic": elastic,
}


def corrupt(
    image: UInt8[np.ndarray, "H W C"],
    kind: str,
    rng: np.random.Generator,
    region: Bool[np.ndarray, "H W"] | None = None,
    donor: UInt8[np.ndarray, "H W C"] | None = None,
) -> tuple[UInt8[np.ndarray, "H W C"], Bool[np.ndarray, "H W"]]:
    """Returns a normal image with one synthetic anomaly, and the mask of the anomaly.

    A blurred flat surface looks as before. Where the change cannot be seen, another place and strength are
    drawn; after a dozen attempts the strongest of them is taken.

    Args:
        image: a normal image.
        kind: a name in CORRUPTIONS.
        rng: source of place, form and strength.
        region: True where a pixel counts; without it all pixels do. No other pixel changes.
        donor: the image that a patch is cut from; without it `image` itself.

    Raises:
        ValueError: if the kind is unknown, or no pixel counts.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"kind is {kind!r}; the corruptions are {', '.join(CORRUPTIONS)}")
    region = np.ones(image.shape[:2], bool) if region is None else region
    if not region.any():
        raise ValueError("the region has no pixel; a corruption needs at least one")
    scene = make_scene(image, image if donor is None else donor, region)
    visible = max(_VISIBLE_SHARE * scene.contrast, _VISIBLE_LEVELS)
    strongest, best = -1.0, (image, region)
    for _ in range(_MAX_ATTEMPTS):
        altered, shape = CORRUPTIONS[kind](scene, rng)
        levels = np.rint(np.clip(altered, 0, 255)).astype(np.uint8)
        corrupted = np.where(region[..., None], levels, image)
        change = corrupted[shape.mask].astype(np.float64) - image[shape.mask]
        strength = float(np.sqrt(np.square(change).mean()))
        if strength > strongest:
            strongest, best = strength, (corrupted, shape.mask)
        if strength >= visible:
            break
    return best


def make_corrupted_set(
    images: UInt8[np.ndarray, "N H W C"],
    num_per_kind: int,
    seed: int,
    region: Bool[np.ndarray, "H W"] | None = None,
) -> tuple[UInt8[np.ndarray, "M H W C"], list[str], list[int]]:
    """Returns every kind of corruption of the same normals, the same for the same seed.

    All images serve once before one serves twice. A corrupted image depends on the seed, its kind and its
    number, so a larger set contains the smaller one, and another kind changes none of the others. Every
    second patch comes from another image.

    Args:
        images: held-out normals.
        num_per_kind: how many images to make of each kind.
        seed: seed of the order of the images and of the corruptions.
        region: True where a pixel counts; without it all pixels do.

    Returns:
        The corrupted images, one kind after the other; the kind of each; the row in `images` of each.

    Raises:
        ValueError: if there is no image, or `num_per_kind` is below 1.
    """
    if not len(images) or num_per_kind < 1:
        raise ValueError(
            f"{len(images)} images and {num_per_kind} corruptions per kind; both must be at least 1"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    rows = [int(order[i % len(order)]) for i in range(num_per_kind)]
    corrupted, kinds = [], []
    for kind in CORRUPTIONS:
        for i, row in enumerate(rows):
            rng = np.random.default_rng([seed, i, *kind.encode()])
            donor = images[rng.integers(len(images)) if i % 2 else row]
            corrupted.append(corrupt(images[row], kind, rng, region, donor)[0])
            kinds.append(kind)
    return np.stack(corrupted), kinds, rows * len(CORRUPTIONS)


def _shuffle_blocks(
    scene: Scene, shape: Shape, rng: np.random.Generator
) -> Float[np.ndarray, "H W C"]:
    """Returns the image with small blocks of the shape's bounding box in another order."""
    block = max(round(min(rng.uniform(0.02, 0.05) * scene.side, 0.5 * shape.radius)), 2)
    rows, columns = np.nonzero(shape.mask)
    top, left = rows.min(), columns.min()
    down, right = (rows.max() + 1 - top) // block, (columns.max() + 1 - left) // block
    box = np.s_[top : top + down * block, left : left + right * block]
    num_channels = scene.image.shape[2]
    blocks = scene.image[box].reshape(down, block, right, block, num_channels).swapaxes(1, 2)
    shuffled = rng.permutation(blocks.reshape(down * right, block, block, num_channels))
    result = scene.image.copy()
    result[box] = shuffled.reshape(blocks.shape).swapaxes(1, 2).reshape(result[box].shape)
    return result
