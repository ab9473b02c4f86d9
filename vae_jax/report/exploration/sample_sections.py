"""Sections about images that the model generates: samples, reconstructions, and possible memorisation.

N samples, M test images, n training images, H W image, C channels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from vae_jax.data.image_store import Images
from vae_jax.exploration.class_samples import ClassSamples
from vae_jax.exploration.neighbours import Memorisation
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.exploration.image_grids import draw_image_grids, draw_image_rows
from vae_jax.report.exploration.page import Section
from vae_jax.report.images import colour_errors, to_rgb
from vae_jax.report.numerals import format_percent, format_quantity

_MAX_NEIGHBOURS = 12  # samples that are shown with their nearest training image
_MAX_CLASSES = 20  # classes in one figure
_MAX_LETTERS = 10  # longer class names are shortened above a column
_LIMIT_QUANTILE = 0.995  # of the errors that are shown, where their colour scale ends
# Samples that vary less than this share of what real images vary are one image for the eye.
_MIN_SPREAD = 0.1


def make_sample_section(
    samples: Mapping[str, Float32[np.ndarray, "N H W C"]],
    reconstructions: Float32[np.ndarray, "M H W C"],
    real: UInt8[np.ndarray, "M H W C"],
    class_samples: ClassSamples,
) -> Section:
    """Returns the section with samples from each density and of each class.

    Args:
        samples: name of a density -> images decoded from its codes. The first density is also shown beside
            reconstructions and real images.
        reconstructions: reconstruction of each real image.
        real: test normals.
        class_samples: samples of each class.
    """
    count = len(next(iter(samples.values())))
    density, images = next(iter(samples.items()))
    num_compared = min(len(real), count)
    compared = [
        (f"samples: {density}", images[:num_compared]),
        ("reconstructions of test images", reconstructions[:num_compared]),
        ("test images", real[:num_compared] / np.float32(255)),
    ]
    figures = [
        draw_image_grids(
            "explore_samples", f"{count} samples from each density", list(samples.items()), 8,
            "Each image is decoded from a random code. Samples should look like normal images and differ "
            "from each other. If samples from the mixture look better than samples from the prior, the "
            "codes of real images do not fill the prior.",
        ),
        draw_image_grids(
            "explore_beside_real",
            f"Samples, reconstructions and test images, {num_compared} of each", compared, 5,
            "Compare samples with reconstructions rather than with real images, because both are outputs "
            "of the decoder and equally smooth. Reconstructions differ from real images because the "
            "autoencoder loses information. Samples differ from reconstructions because of the density of "
            "their codes.",
        ),
        _draw_class_samples(class_samples),
    ]  # fmt: skip
    return Section("samples", "Samples", _describe_spread(images, real), figures)


def _describe_spread(
    samples: Float32[np.ndarray, "N H W C"], real: UInt8[np.ndarray, "M H W C"]
) -> list[str]:
    """Returns a paragraph if the samples hardly differ from each other; otherwise nothing."""
    spread = float(samples.std(axis=0).mean())
    real_spread = float((real / np.float32(255)).std(axis=0).mean())
    if min(len(samples), len(real)) < 2 or spread >= _MIN_SPREAD * real_spread:
        return []
    text = (
        "The samples are hardly different from each other: the standard deviation of a pixel over samples "
        f"is {format_quantity(spread)}, and {format_quantity(real_spread)} over test images. The decoder "
        "ignores most of the code (posterior collapse), so the samples are one mean image. A lower "
        "objective.beta, more steps or a larger model may help."
    )
    return [text]


def _draw_class_samples(class_samples: ClassSamples) -> Drawing:
    """Draws one row per class. The caption reports how many classes are not shown."""
    num_classes = len(class_samples.classes)
    shown = min(num_classes, _MAX_CLASSES)
    if class_samples.by_label:
        caption = (
            "The decoder is given the class of the row. All images of a column have the same code, one of "
            "the codes of the first samples above. What stays the same in a column is the information of "
            "the code that does not depend on the class. "
        )
    else:
        caption = (
            "The codes of each class are drawn from one Gaussian. It has the mean and the variance of the "
            "aggregated posterior of the images of the class, separately for each dimension. The Gaussian "
            "ignores correlations between dimensions, so a class with several typical shapes gives "
            "mixtures of them. "
        )
        if any(class_samples.from_test):
            caption += (
                "Classes with the mark (test) have no training images; their Gaussian is computed from "
                "test images. "
            )
    if shown < num_classes:
        caption += f"{num_classes - shown} more classes are not shown."
    count = class_samples.images.shape[1]
    return draw_image_rows(
        "explore_classes", f"{count} samples of each class", class_samples.images[:shown],
        class_samples.labels[:shown], caption.strip(),
    )  # fmt: skip


def make_reconstruction_section(
    images: UInt8[np.ndarray, "M H W C"],
    reconstructions: Float32[np.ndarray, "M H W C"],
    classes: Sequence[str],
    masks: UInt8[np.ndarray, "M H W"] | None = None,
) -> Section:
    """Returns the section with test images above their reconstructions, errors and masks.

    Args:
        images: test images.
        reconstructions: reconstruction of each image.
        classes: class of each image.
        masks: above 0 where an image is abnormal; None without masks.
    """
    x = images / np.float32(255)
    errors = np.abs(x - reconstructions).mean(axis=3)
    limit = max(float(np.quantile(errors, _LIMIT_QUANTILE)), 1e-3)
    rows = {
        "image": to_rgb(x),
        "reconstruction": to_rgb(reconstructions),
        "error": colour_errors(errors, limit),
    }
    caption = (
        "The test images were chosen at random from each class in turn. Below each image is its "
        "reconstruction: the output of the decoder for the posterior mean. The error is the mean absolute "
        f"difference over channels: black is 0, light yellow is {format_quantity(limit)} and above."
    )
    if masks is not None and masks.any():
        rows["mask"] = np.repeat(
            np.where(masks > 0, np.uint8(255), np.uint8(0))[..., None], 3, axis=3
        )
        caption += " White parts of a mask are marked as abnormal; the model never sees masks."
    figure = draw_image_rows(
        "explore_reconstructions", f"{len(images)} test images and their reconstructions",
        np.stack(list(rows.values())) / np.float32(255), list(rows), caption,
        [_shorten(name) for name in classes],
    )  # fmt: skip
    return Section("reconstructions", "Reconstructions", [], [figure])


def make_memorisation_section(
    memorisation: Memorisation,
    samples: Float32[np.ndarray, "N H W C"],
    train: UInt8[Images, "n H W C"],
) -> Section:
    """Returns the section with the samples nearest to training images and the histogram of distances.

    Args:
        memorisation: distances to the nearest training images.
        samples: samples of the model.
        train: training images.
    """
    distances = memorisation.samples
    order = np.argsort(distances, kind="stable")[:_MAX_NEIGHBOURS]
    nearest = train[memorisation.neighbours.index[order]] / np.float32(255)
    figure = draw_image_rows(
        "explore_neighbours", f"The {len(order)} samples nearest to a training image",
        np.stack([samples[order], nearest]), ["sample", "training image"],
        "The number above each pair is the root mean squared difference per pixel. If the model had "
        "memorised a training image, both images of a pair would be equal.",
        [format_quantity(float(distances[row])) for row in order],
    )  # fmt: skip
    sample_median, test_median, reconstruction_median = (
        format_quantity(float(np.median(values)))
        for values in (distances, memorisation.test, memorisation.reconstructions)
    )
    text = (
        "The distance between two images is the root mean squared difference per pixel. The median "
        f"distance to the nearest training image is {sample_median} for the {len(distances)} samples, "
        f"{test_median} for {len(memorisation.test)} normal test images, and {reconstruction_median} for "
        "the reconstructions of these test images. "
        f"{format_percent(memorisation.suspicious)} of the samples are nearer to a training image than "
        "99 % of the reconstructions. About 1 % is expected by chance; a much larger value means that the "
        "model may have memorised training images. Samples are compared with reconstructions because both "
        "are equally smooth, and a sharp image has a larger distance to every other image."
    )
    return Section("memory", "Memorisation", [text], [figure, _draw_distances(memorisation)])


def _draw_distances(memorisation: Memorisation) -> Drawing:
    groups = (
        ("samples", memorisation.samples, drawing.VERMILION),
        ("test normals", memorisation.test, drawing.BLUE),
        ("reconstructions", memorisation.reconstructions, drawing.GREEN),
    )
    largest = max(float(distances.max()) for _, distances, _ in groups)
    edges = np.linspace(0, largest * 1.02 + 1e-9, 41)
    figure, axes = drawing.make_panel(6.2, 2.8, legend_rows=1)
    for label, distances, colour in groups:
        weights = np.full(len(distances), 100 / len(distances))
        axes.hist(distances, edges, weights=weights, histtype="step", linewidth=1.5, color=colour,
                  label=f"{label} (n = {len(distances):,})")  # fmt: skip
    axes.set_title("Distance to the nearest training image", pad=22)
    axes.set_xlabel("root mean squared difference per pixel")
    axes.set_ylabel("% of the group, per bin")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.2,
                columnspacing=1.2, handletextpad=0.5)  # fmt: skip
    caption = (
        "If many samples have smaller distances than the reconstructions, the model may have memorised "
        "training images."
    )
    alt = (
        "Histogram of the distances to the nearest training image, of samples, test images and "
        "reconstructions."
    )
    return Drawing("explore_distances", drawing.encode_figure(figure), caption, alt)


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_LETTERS else name[: _MAX_LETTERS - 1] + "…"
