"""Sections on the latent space itself: its map, its dimensions, the ways between codes.

R rows, S steps, H W image, C channels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from vae_jax.exploration.paths import REACH, Dimensions
from vae_jax.report.exploration import image_grids, latent_map
from vae_jax.report.exploration.animation import there_and_back
from vae_jax.report.exploration.latent_map import PageMap
from vae_jax.report.exploration.page import Section
from vae_jax.report.numerals import format_quantity


def maps(
    codes: Sequence[tuple[str, Float[np.ndarray, "N 2"]]],
    pixels: Float[np.ndarray, "N 2"],
    classes: Sequence[str],
    abnormal: Sequence[bool],
    page_map: PageMap,
) -> Section:
    """The maps of the codes, beside that of the raw pixels.

    Args:
        codes: heading and places of each map of the codes.
        pixels: t-SNE of the images themselves.
        classes: of the N images.
        abnormal: of the N images.
        page_map: the same maps, to point at.
    """
    figure = latent_map.scatter(
        "explore_map", f"Maps of {len(classes):,} test images",
        [*codes, ("t-SNE of raw pixels", pixels)], classes, abnormal,
        "Dots: normal classes; crosses: anomalies. Where a class stands apart in the map of codes but not "
        "in that of pixels, the encoder has found what the class is. In t-SNE neighbours mean something; "
        "distances and the sizes of groups do not.",
    )  # fmt: skip
    told = (
        f"Where the encoder puts {len(classes):,} test images, drawn without looking at them "
        "(explore.map_images)."
    )
    return Section("map", "Latent map", [told], [figure], map=page_map)


def traversals(
    images: Float32[np.ndarray, "R S H W C"],
    found: Dimensions,
    sampled: bool,
    given: str | None,
) -> Section:
    """A row for each dimension, the most telling first; says how many there are beside those shown.

    Args:
        images: in [0, 1].
        found: the dimensions.
        sampled: whether the codes have posteriors.
        given: class that a conditional model's decoder is given; None for other models.
    """
    shown, total = len(images), len(found.active)
    unit = "KL {} nats" if sampled else "variance {}"
    labels = [
        f"z{found.active[i]}, " + unit.format(format_quantity(float(found.weight[i])))
        for i in range(shown)
    ]
    offsets = np.linspace(-REACH, REACH, images.shape[1])
    kind = "active dimension" if sampled else "dimension"
    all_of = f"all {total}" if shown == total else f"{shown} of {total}"
    figure = image_grids.rows(
        "explore_traversals", f"Traversals of {all_of} {kind}{'s' * (total != 1)}", images, labels,
        "One dimension is moved, the others stand at the mean of the training codes. Above: standard "
        "deviations of the training codes from that mean.",
        [f"{offset:+.1f}" if offset else "0" for offset in offsets],
    )  # fmt: skip
    by = "KL divergence" if sampled else "the variance of the code"
    said = f"{total} of {len(found.mean)} dimensions are active" + (
        " (their posterior mean varies by more than 0.01 over images)" if sampled else ""
    )
    told = [f"{said}; {'all' if shown == total else f'the first {shown}'} are shown, by {by}."]
    if given is not None:
        told.append(f"The decoder is given the class {given} throughout, whatever the code.")
    return Section("traversals", "Dimensions", told, [figure])


def interpolations(
    linear: Float32[np.ndarray, "R S H W C"],
    spherical: Float32[np.ndarray, "R S H W C"],
    ends: Float32[np.ndarray, "R 2 H W C"],
    names: Sequence[tuple[str, str]],
    conditional: bool,
) -> Section:
    """Strips between two test images each, straight and turning, and the same as a film.

    Args:
        linear: images along the straight ways.
        spherical: images along the turning ways.
        ends: the test images.
        names: their classes.
        conditional: whether the decoder is given a class.
    """
    pairs, steps = linear.shape[:2]
    strips, labels = [], []
    for row in range(pairs):
        for kind, images in (("linear", linear), ("slerp", spherical)):
            strips.append(np.concatenate([ends[row, :1], images[row], ends[row, 1:]]))
            labels.append(f"{names[row][0]} → {names[row][1]}, {kind}")
    columns = ["image", *(f"{t:.1f}" for t in np.linspace(0, 1, steps)), "image"]
    figure = image_grids.rows(
        "explore_interpolations", f"Ways between {pairs} pairs of test images", np.stack(strips),
        labels,
        "Outermost: the test images. Between them: images of codes on the way from one posterior mean to "
        "the other, along a straight line and at an even angle (slerp).",
        columns,
    )  # fmt: skip
    frames = np.stack(
        [ends[:, 0], np.zeros_like(ends[:, 0]), np.zeros_like(ends[:, 0]), ends[:, 1]]
    )
    frames = np.repeat(frames[None], steps, axis=0)  # [S, 4, R, H, W, C]
    frames[:, 1], frames[:, 2] = linear.swapaxes(0, 1), spherical.swapaxes(0, 1)
    frames = frames.swapaxes(1, 2).reshape(steps, 4 * pairs, *linear.shape[2:])
    film = there_and_back(
        "explore_interpolations", frames, ("image", "linear", "slerp", "image"),
        "The same ways, moving there and back.",
        f"Moving interpolations between {pairs} pairs of test images.",
    )  # fmt: skip
    told = []
    if conditional:
        told.append(
            "The decoder is given the class of the nearer end (none where no training image has it), so "
            "that the label changes at once, half way."
        )
    return Section("interpolations", "Interpolations", told, [figure, film])
