"""Sections on images that the model makes: samples, reconstructions, copies of training images.

N images, H W image, C channels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from vae_jax.data.image_store import Images
from vae_jax.exploration.class_samples import ClassSamples
from vae_jax.exploration.neighbours import Memorisation
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.exploration import image_grids
from vae_jax.report.exploration.page import Section
from vae_jax.report.numerals import format_percent, format_quantity

_PAIRS = 12  # samples shown beside their nearest training image
_MOST_ROWS = 20  # classes in one figure


def samples(
    drawn: Mapping[str, Float32[np.ndarray, "M H W C"]],
    decoded: Float32[np.ndarray, "N H W C"],
    real: UInt8[np.ndarray, "N H W C"],
    by_class: ClassSamples,
) -> Section:
    """Samples of each kind and class, and beside the first kind decoded and real images.

    Args:
        drawn: how codes were drawn -> the images.
        decoded: reconstructions of `real`.
        real: test normals, of each class in turn.
        by_class: samples of each class.
    """
    count = len(next(iter(drawn.values())))
    kinds = [(f"{kind}, {len(images)}", images) for kind, images in drawn.items()]
    first, images = next(iter(drawn.items()))
    num = min(len(real), count)
    beside = [
        (f"drawn: {first}", images[:num]),
        ("decoded test images", decoded[:num]),
        ("the test images themselves", real[:num] / np.float32(255)),
    ]
    figures = [
        image_grids.grids(
            "explore_samples", f"Samples, {count} each", kinds, 8,
            "Expected images of codes that were drawn, not chosen. They should look like normal images "
            "and differ from each other. Where the mixture's are better, the codes of real images do not "
            "fill the prior.",
        ),
        image_grids.grids(
            "explore_beside_real", f"Samples, decoded and real images, {num} each", beside, 5,
            "Decoded images are the fair comparison for samples: both come from the decoder and are "
            "equally smooth. What separates decoded from real images is the autoencoder's loss, what "
            "separates samples from decoded images is where the codes are drawn.",
        ),
        _by_class(by_class),
    ]  # fmt: skip
    return Section("samples", "Samples", [], figures)


def _by_class(found: ClassSamples) -> Drawing:
    """Draws a row for each class; says how many do not fit."""
    shown = min(len(found.classes), _MOST_ROWS)
    if found.by_label:
        caption = (
            "The class is given to the decoder. A column is one code, drawn as the first samples above: "
            "what stays the same down a column is what the code says beside the class."
        )
    else:
        caption = (
            "z from one Gaussian a class, with the mean and variance of each dimension that the "
            "posteriors of its images have together. It ignores how dimensions go together, so that a "
            "class of several shapes is mixed. "
        )
        if any(found.tested):
            caption += "(test): no training image has the class; codes of test images. "
    if shown < len(found.classes):
        caption += f"{len(found.classes) - shown} more classes are not shown."
    return image_grids.rows(
        "explore_classes", f"Samples by class, {found.images.shape[1]} of each of {shown}",
        found.images[:shown],
        [f"{name} (test)" if test else name
         for name, test in zip(found.classes[:shown], found.tested, strict=False)],
        caption,
    )  # fmt: skip


def reconstructions(
    images: UInt8[np.ndarray, "N H W C"],
    decoded: Float32[np.ndarray, "N H W C"],
    classes: Sequence[str],
) -> Section:
    """Test images over their reconstructions."""
    pair = np.stack([images / np.float32(255), decoded])
    figure = image_grids.rows(
        "explore_reconstructions", f"Test images and their reconstructions, {len(images)}", pair,
        ["image", "decoded"],
        "One test image of each class in turn, not chosen, over what the decoder makes of its posterior "
        "mean.",
        [_short(name) for name in classes],
    )  # fmt: skip
    return Section("reconstructions", "Reconstructions", [], [figure])


def memorisation(
    found: Memorisation,
    images: Float32[np.ndarray, "N H W C"],
    train: UInt8[Images, "n H W C"],
) -> Section:
    """The samples nearest to a training image, and all distances against those of test images."""
    order = np.argsort(found.samples, kind="stable")[:_PAIRS]
    neighbours = train[found.neighbours.index[order]] / np.float32(255)
    pairs = image_grids.rows(
        "explore_neighbours", f"The {len(order)} samples nearest to a training image",
        np.stack([images[order], neighbours]), ["sample", "nearest"],
        "Above each pair: the root mean squared difference a pixel. A copy would show the same image "
        "twice.",
        [format_quantity(float(found.samples[i])) for i in order],
    )  # fmt: skip
    sample, test, decoded = (
        float(np.median(values)) for values in (found.samples, found.test, found.decoded)
    )
    told = (
        f"Half of the {len(found.samples)} samples lie within {format_quantity(sample)} a pixel of their "
        f"nearest training image; of {len(found.test)} test normals, which were never trained on, half "
        f"lie within {format_quantity(test)}, and of their reconstructions within "
        f"{format_quantity(decoded)}. "
        f"{format_percent(found.suspicious)} of the samples are nearer to a training image than 99 % of "
        "those reconstructions: 1 % is what chance gives, much more would mean copies. Reconstructions are "
        "the yardstick because they are as smooth as samples; a sharp image is further from everything."
    )
    return Section("memory", "Copies of training images?", [told], [pairs, _distances(found)])


def _distances(found: Memorisation) -> Drawing:
    groups = (
        ("samples", found.samples, drawing.VERMILION),
        ("test normals", found.test, drawing.BLUE),
        ("decoded test normals", found.decoded, drawing.GREEN),
    )
    every = np.concatenate([values for _, values, _ in groups])
    edges = np.linspace(0, float(every.max()) * 1.02 + 1e-9, 41)
    figure, axes = drawing.make_panel(6.2, 2.8, legend_rows=1)
    for label, values, colour in groups:
        weights = np.full(len(values), 100 / len(values))
        axes.hist(values, edges, weights=weights, histtype="step", linewidth=1.5, color=colour,
                  label=f"{label} (n = {len(values):,})")  # fmt: skip
    axes.set_title("Distance to the nearest training image", pad=22)
    axes.set_xlabel("root mean squared difference a pixel")
    axes.set_ylabel("% of the group, per bin")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.2,
                columnspacing=1.2, handletextpad=0.5)  # fmt: skip
    caption = "Samples that pile up to the left of the reconstructions would be copies."
    alt = "Histogram of distances to the nearest training image of samples and of test images."
    return Drawing("explore_distances", drawing.encode_png(figure), caption, alt)


def _short(name: str) -> str:
    return name if len(name) <= 10 else name[:9] + "…"
