"""Reasons to doubt the model of a run: broken training, a code that tells little, bad reconstructions."""

import math
from collections.abc import Iterator
from typing import Any

from vae_jax.report.numerals import format_quantity

# Below this share of active latent dimensions most of the latent code is unused.
_MIN_ACTIVE_SHARE = 0.1
# Nats of KL; below it reconstructions hardly depend on the image.
_MIN_KL = 5.0
# Nats of KL per active dimension; below it the posterior is nearly as wide as the prior.
_MIN_KL_PER_UNIT = 0.1
# Reconstructions from the posterior mean are worse than those from samples if their error is so many times
# as large. Where the code is not used the two are equal but for chance.
_WORSE = 1.05


def check_rollbacks(results: dict[str, Any]) -> Iterator[str]:
    """Says how often training broke and went back, and with which learning rate it went on."""
    rollbacks = results.get("training", {}).get("rollbacks", [])
    if rollbacks:
        times = [
            f"at step {rollback['step']:,} back to step {rollback['checkpoint']:,} with "
            f"{rollback['rate_factor']:g} times the learning rate"
            for rollback in rollbacks
        ]
        count = "once" if len(times) == 1 else f"{len(times)} times"
        yield (
            f"Training broke {count}, because a number was not finite, and went on from a checkpoint "
            f"with a lower learning rate: {'; '.join(times)}. Results with a train.learning_rate that does "
            "not break may differ."
        )


def check_posterior(results: dict[str, Any]) -> Iterator[str]:
    """Yields a sentence for each branch whose latent code tells little about the image."""
    latent = results.get("latent")
    if not latent:
        return
    whole = {
        "dimensions": len(latent["kl_per_dimension"]),
        "active_units": latent["active_units"],
        "informative_units": latent["informative_units"],
        "kl_nats": sum(latent["kl_per_dimension"]),
    }
    for branch, measures in latent.get("branches", {"": whole}).items():
        yield from _check_branch(branch, measures)


def _check_branch(branch: str, measures: dict[str, Any]) -> Iterator[str]:
    """Checks that the code of one branch is used; the only branch of a model has no name here."""
    active, total, nats = (measures[key] for key in ("active_units", "dimensions", "kl_nats"))
    # A dimension whose mean varies may still be hidden in the width of its posterior, and one with a narrow
    # posterior may be the same for all images.
    used = min(active, measures["informative_units"])
    of_branch = f" of {branch}" if branch else ""
    field = f"model.{branch.removesuffix('s')}_latent_dim"
    if branch in ("", "pixels"):
        field = "model.latent_dim"
    information = (
        f"{used} of {total} latent dimensions{of_branch} carry information about the image, "
        f"{nats:.2g} nats in total"
    )
    is_little = used < max(1, _MIN_ACTIVE_SHARE * total)
    if is_little and nats < _MIN_KL:
        yield (
            f"The posterior{of_branch} has collapsed: {information}. Reconstructions hardly depend on the "
            "image, and scores of the latent code mean little. Lower objective.beta, increase it more "
            "slowly, or train longer."
        )
    elif is_little:
        yield (
            f"Most of the latent code{of_branch} is unused: {information}. A smaller {field} would be "
            "enough; a lower objective.beta would use more dimensions."
        )
    elif nats < _MIN_KL_PER_UNIT * active:
        yield (
            f"The latent code{of_branch} is hardly used: {active} of {total} dimensions vary with the "
            f"image, but they carry only {nats:.2g} nats in total, so that the posterior is nearly as wide "
            "as the prior. Reconstructions depend little on the image. Lower objective.beta, or increase "
            "it more slowly."
        )


def check_reconstructions(results: dict[str, Any]) -> Iterator[str]:
    """Compares reconstructions of normal images with the mean image, and with those of samples."""
    for branch, errors in results.get("reconstruction_errors", {}).items():
        of_branch = "" if branch == "pixels" else f"{branch} of "
        from_mean, sampled = errors["posterior_mean"], errors.get("posterior_sample", math.inf)
        unit = f"mean squared error on validation normals {format_quantity(from_mean)}"
        if from_mean > errors["mean_image"]:
            yield (
                f"The model reconstructs {of_branch}normal images worse than the mean training image does: "
                f"{unit} against {format_quantity(errors['mean_image'])}. Scores that compare an image "
                "with its reconstruction mean little."
            )
        if from_mean > _WORSE * sampled:
            yield (
                f"Reconstructions of {of_branch}normal images from the posterior mean are worse than those "
                f"from posterior samples: {unit} against {format_quantity(sampled)}. The decoder has "
                "learned from samples, and a code that is hardly used keeps them far from the mean. "
                "Scores therefore come from posterior samples, unless scoring.samples is 0."
            )
