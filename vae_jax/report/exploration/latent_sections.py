"""Sections about the latent space: its map, its dimensions, and interpolations between codes."""

import numpy as np

from vae_jax.exploration.decoded_paths import Interpolations, Traversals
from vae_jax.exploration.paths import REACH
from vae_jax.model.distributions import ACTIVE_VARIANCE, INFORMATIVE_KL
from vae_jax.report.exploration.animation import Animation, animate_back_and_forth
from vae_jax.report.exploration.image_grids import draw_image_rows
from vae_jax.report.exploration.latent_map import InteractiveMap, MappedImages, draw_maps
from vae_jax.report.exploration.page import Section
from vae_jax.report.numerals import format_quantity


def make_map_section(mapped: MappedImages, interactive_map: InteractiveMap) -> Section:
    """Returns the section with the maps of the codes and of the pixels.

    Args:
        mapped: test images and their places on the maps.
        interactive_map: the same maps for the script of the page.
    """
    count = f"{len(mapped.classes):,}"
    figure = draw_maps(
        "explore_map", f"Maps of {count} test images", mapped,
        "Dots are normal images, crosses are anomalies. If a class is separated on the map of the codes "
        "but not on the map of the pixels, the encoder has learnt to recognise the class. On a t-SNE map, "
        "neighbouring points are similar images; distances and the sizes of groups have no meaning.",
    )  # fmt: skip
    text = (
        f"The maps show where the encoder puts {count} test images, which were chosen at random "
        "(explore.map_images sets the number)."
    )
    return Section("map", "Latent map", [text], [figure], map=interactive_map)


def make_traversal_section(traversals: Traversals) -> Section:
    """Returns the section with one row of images for each of the first active dimensions."""
    images, dimensions = traversals.images, traversals.dimensions
    shown, total = len(images), len(dimensions.active)
    weight = "KL {} nats" if traversals.sampled else "variance {}"
    labels = [
        f"z{dimensions.active[i]}, " + weight.format(format_quantity(float(dimensions.weight[i])))
        for i in range(shown)
    ]
    offsets = np.linspace(-REACH, REACH, images.shape[1])
    kind = "active dimension" if traversals.sampled else "dimension"
    number = f"all {total}" if shown == total else f"{shown} of {total}"
    figure = draw_image_rows(
        "explore_traversals", f"Traversals of {number} {kind}{'s' * (total != 1)}", images, labels,
        "In each row one dimension changes, while the others keep the mean of the training codes. The "
        "number above a column is the distance from that mean, in standard deviations of the training "
        "codes.",
        [f"{offset:+.1f}" if offset else "0" for offset in offsets],
    )  # fmt: skip
    text = [f"{_count_active(traversals)}. {_describe_order(traversals)}"]
    if traversals.class_name is not None:
        text.append(f"The decoder is given the class {traversals.class_name} for every image.")
    return Section("traversals", "Latent dimensions", text, [figure])


def _count_active(traversals: Traversals) -> str:
    dimensions = traversals.dimensions
    active, total = len(dimensions.active), len(dimensions.mean)
    verb = "is" if active == 1 else "are"
    if not traversals.sampled:
        return f"{active} of {total} dimensions {verb} active"
    informative = int(np.sum(dimensions.weight > INFORMATIVE_KL))
    return (
        f"{active} of {total} dimensions {verb} active, which means that the posterior mean varies over "
        f"images with a variance of more than {ACTIVE_VARIANCE:g}. {informative} of them have a KL "
        f"divergence of more than {INFORMATIVE_KL:g} nats. Together, the active dimensions have "
        f"{format_quantity(float(dimensions.weight.sum()))} nats per image: the codes tell no more than "
        "that about an image"
    )


def _describe_order(traversals: Traversals) -> str:
    shown, active = len(traversals.images), len(traversals.dimensions.active)
    weight = "KL divergence" if traversals.sampled else "variance of the codes"
    subset = "all of them" if shown == active else f"the first {shown}"
    return f"The figure shows {subset}, in descending order of {weight}."


def make_interpolation_section(interpolations: Interpolations) -> Section:
    """Returns the section with the interpolations as rows of images and as an animation."""
    num_pairs, steps = interpolations.linear.shape[:2]
    rows, labels = [], []
    for pair, (start, end) in enumerate(interpolations.classes):
        first, last = interpolations.ends[pair, :1], interpolations.ends[pair, 1:]
        for kind in ("linear", "spherical"):
            rows.append(np.concatenate([first, getattr(interpolations, kind)[pair], last]))
            labels.append(f"{start} → {end}, {kind}")
    pairs = f"{num_pairs} pair{'s' * (num_pairs != 1)} of test images"
    figure = draw_image_rows(
        "explore_interpolations", f"Interpolations between {pairs}", np.stack(rows), labels,
        "The first and the last column show the test images. The images between them are decoded from "
        "codes on the path from one posterior mean to the other: along a straight line (linear), or with "
        "equal angles between the codes (spherical, also called slerp).",
        ["image", *(f"{t:.1f}" for t in np.linspace(0, 1, steps)), "image"],
    )  # fmt: skip
    text = []
    if interpolations.conditional:
        text.append(
            "The decoder is given the class of the nearer test image, so the class changes abruptly in the "
            "middle. It is given no class where no training image has the class of that test image."
        )
    animation = _animate(interpolations, pairs)
    return Section("interpolations", "Interpolations", text, [figure, animation])


def _animate(interpolations: Interpolations, pairs: str) -> Animation:
    linear, spherical = interpolations.linear, interpolations.spherical
    num_pairs, steps = linear.shape[:2]
    start, end = (
        np.repeat(interpolations.ends[None, :, i], steps, axis=0) for i in (0, 1)
    )  # [S, P, H, W, C]
    rows = np.stack([start, linear.swapaxes(0, 1), spherical.swapaxes(0, 1), end], axis=2)
    frames = rows.reshape(steps, num_pairs * 4, *linear.shape[2:])
    return animate_back_and_forth(
        "explore_interpolations", frames, ("image", "linear", "spherical", "image"),
        "The same interpolations as an animation, forwards and backwards.",
        f"Animated interpolations between {pairs}.",
    )  # fmt: skip
