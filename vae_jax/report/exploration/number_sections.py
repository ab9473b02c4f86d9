"""Sections of numbers: how near generated images come to real ones, how well classes are told apart."""

from collections.abc import Mapping

from vae_jax.exploration.quality import Quality
from vae_jax.exploration.separability import METHOD, Separability, Share
from vae_jax.report.exploration.page import Section, Table
from vae_jax.report.numerals import format_quantity, format_rate

_SETS = {
    "held_out": "validation and calibration images",
    "test": "test images",
}


def quality(
    found: Mapping[str, Quality],
    features: str,
    count: int,
    wanted: int,
    agreement: float | None,
) -> Section:
    """The figures of each set of images.

    Args:
        found: what the images are -> figures.
        features: the network behind them.
        count: images in each set.
        wanted: `explore.generated`.
        agreement: share of labelled samples that the classifier recognises; None where there are none.
    """
    compared = (
        f"Features: {features}. Each row compares {count:,} images with the same {count:,} real ones: "
        "normals of validation, calibration and test, which neither a classifier behind the features nor "
        "the autoencoder has learnt from. The held-out images are others of these, of other groups."
    )
    text = [compared]
    if count < wanted:
        text.append(
            f"explore.generated asks for {wanted:,}, but half of those normals are only {count:,}, and "
            "every row takes as many images as the others."
        )
    if agreement is not None:
        text.append(
            f"Asked for a class, the model draws images that the classifier gives to the same class in "
            f"{100 * agreement:.2f} % of cases."
        )
    rows = [
        [name, format_quantity(q.frechet_distance), f"{q.kernel_distance:.4g}", _score(q)]
        for name, q in found.items()
    ]
    note = (
        "Fréchet distance and kernel distance to the real images: lower is better. The row of held-out "
        "images is what a perfect generator of such images would get, up to chance. The Fréchet distance "
        "falls as the number of images grows, the kernel distance (unbiased, so it may be below 0) does "
        "not. Inception Score: higher is better; mean and, from 200 images on, standard deviation over "
        "parts. None of them can be compared with figures from other features."
    )
    head = ["images", "Fréchet distance", "kernel distance", "Inception Score"]
    return Section("quality", "How near to real images", text, table=Table(head, rows, note))


def separability(found: Separability, conditional: bool) -> Section:
    """Accuracies by kind of image and by what the classifier was judged on.

    Args:
        found: the figures.
        conditional: whether the model takes a class.
    """
    rows = []
    for name, judged in found.judged.items():
        for kind, figures in judged.items():
            rows.append(
                [f"{kind}, {_SETS[name]}", f"{found.num_images[name]:,}", _share(figures.accuracy),
                 _share(figures.balanced_accuracy)]
            )  # fmt: skip
    learnt = (
        f"{METHOD}; the same for images, codes (posterior means) and decoded images, nothing tuned. "
        f"It learnt from {found.num_learnt:,} training images of {len(found.classes)} classes: "
        f"{', '.join(found.classes)}. Neither it nor the autoencoder has learnt from the images that it is "
        "judged on, nor from others of their groups; those of validation chose the autoencoder's epoch."
    )
    text = [learnt]
    if conditional:
        text.append(
            "The model is not told the class of these images but infers it, and decoded images carry the "
            "inferred label."
        )
    for name in [name for name in _SETS if name not in found.judged]:
        text.append(
            f"The {_SETS[name]} are of fewer than two of these classes, so that there is nothing to tell "
            "apart among them."
        )
    note = (
        "With 95 % intervals, which take images to be independent; where groups hold several images, they "
        "are too narrow. Where the test split is an official one, it may come from elsewhere: then the "
        "figures of test images are the ones to believe."
    )
    head = ["what, judged on", "images", "accuracy", "balanced accuracy"]
    return Section("classes", "Telling classes apart", text, table=Table(head, rows, note))


def _score(figures: Quality) -> str:
    deviation = figures.inception_score_deviation
    return f"{figures.inception_score:.3f}" + (
        f" ± {deviation:.3f}" if deviation is not None else ""
    )


def _share(share: Share) -> str:
    return f"{format_rate(share.value)} [{format_rate(share.low)}, {format_rate(share.high)}]"
