"""Sections of numbers: the quality of generated images, and the separability of classes."""

from vae_jax.exploration.quality import GenerationQuality, Quality
from vae_jax.exploration.separability import METHOD, Proportion, Separability
from vae_jax.report.exploration.page import NumberTable, Section
from vae_jax.report.numerals import format_quantity, format_rate

_SET_NAMES = {
    "held_out": "validation and calibration images",
    "test": "test images",
}


def make_quality_section(quality: GenerationQuality, requested: int) -> Section:
    """Returns the section with the measures of each set of images.

    Args:
        quality: quality of each set.
        requested: `explore.generated`, the requested number of images in each set.
    """
    count = f"{quality.num_images:,}"
    comparison = (
        f"The features come from this network: {quality.network_name}. Each row compares {count} images "
        f"with the same {count} real images. These are normal images of validation, calibration and test. "
        "Neither the autoencoder nor a classifier that provides the features was trained on them. The "
        "held-out images are images of the same kind, but from other groups."
    )
    text = [comparison]
    if quality.num_images < requested:
        text.append(
            f"explore.generated requests {requested:,} images. There are fewer here because these normal "
            f"images are split into two halves of {count}, and all rows have the same number of images."
        )
    if quality.label_agreement is not None:
        text.append(
            "The model generates images of a given class. The classifier assigns "
            f"{100 * quality.label_agreement:.2f} % of them to that class."
        )
    rows = [
        [name, format_quantity(measures.frechet_distance), f"{measures.kernel_distance:.4g}",
         _format_inception_score(measures)]
        for name, measures in quality.sets.items()
    ]  # fmt: skip
    note = (
        "Lower values of the Fréchet distance and the kernel distance are better. The row of held-out "
        "images shows what a perfect generator would reach, up to chance. The Fréchet distance decreases "
        "as the number of images grows. The kernel distance does not; it is unbiased and can therefore be "
        "negative. Higher values of the Inception Score are better; from 200 images on it is shown with "
        "its standard deviation over parts of the images. No value can be compared with a value from "
        "another network."
    )
    head = ["images", "Fréchet distance", "kernel distance", "Inception Score"]
    return Section("quality", "Sample quality", text, table=NumberTable(head, rows, note))


def make_separability_section(separability: Separability, conditional: bool) -> Section:
    """Returns the section with the accuracies for each kind of input and each evaluated set.

    Args:
        separability: accuracies of the classifiers.
        conditional: whether the model is conditional.
    """
    rows = [
        [f"{kind}, {_SET_NAMES[set_name]}", f"{separability.num_images[set_name]:,}",
         _format_proportion(accuracies.accuracy),
         _format_proportion(accuracies.balanced_accuracy)]
        for set_name, by_kind in separability.accuracies.items()
        for kind, accuracies in by_kind.items()
    ]  # fmt: skip
    method = (
        f"A classifier ({METHOD}) predicts the class of an image from its pixels (real), from its "
        "posterior mean (codes), or from the pixels of its reconstruction (decoded). All three have the "
        "same settings, and none was tuned. The classifiers were trained on "
        f"{separability.num_training_images:,} training images of {len(separability.classes)} classes: "
        f"{', '.join(separability.classes)}. Neither the classifiers nor the autoencoder was trained on "
        "the images of the table or on other images of their groups, but the validation images chose the "
        "epoch of the autoencoder."
    )
    text = [method]
    if conditional:
        text.append(
            "The model is not given the class of these images. It infers the class, and the decoder is "
            "given the inferred class."
        )
    for set_name, description in _SET_NAMES.items():
        if set_name not in separability.accuracies:
            text.append(
                f"The table has no rows for the {description}, because they have fewer than two of these "
                "classes."
            )
    note = (
        "Brackets contain 95 % intervals. They assume that images are independent and are too narrow where "
        "a group has several images. If the dataset defines its own test split, the test images may differ "
        "from the training images. Their rows are then the more reliable ones."
    )
    head = ["input, evaluated on", "images", "accuracy", "balanced accuracy"]
    return Section("classes", "Class separability", text, table=NumberTable(head, rows, note))


def _format_inception_score(measures: Quality) -> str:
    score, deviation = measures.inception_score, measures.inception_score_deviation
    return f"{score:.3f}" if deviation is None else f"{score:.3f} ± {deviation:.3f}"


def _format_proportion(proportion: Proportion) -> str:
    low, high = format_rate(proportion.low), format_rate(proportion.high)
    return f"{format_rate(proportion.value)} [{low}, {high}]"
