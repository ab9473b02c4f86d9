"""All scores of the calibration and test images, with the figures that are reported beside them.

N images of a role, n calibration normals, m validation normals.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from vae_jax.data.examples import Examples
from vae_jax.errors import UserError
from vae_jax.model.branched import Model
from vae_jax.observation.observed import get_inputs
from vae_jax.score_names import is_combination, is_single, list_members
from vae_jax.scoring.combinations import combine_scores
from vae_jax.scoring.fits import fit_scores
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.scores import BY_OPTIMISATION, needs_posterior
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.whole_images import join_columns

log = logging.getLogger(__name__)

# Figures of the model that are computed in the same pass as the scores.
_FIGURES = ("reconstruction", "kl")
_PIXEL_FIGURES = ("quality_mse", "quality_psnr", "quality_ssim", "noisy_mse")
# These columns share one estimate: if the first is computed, the second costs nothing.
_LIKELIHOOD = ("nll", "bits_per_dim")

# Name of a score or figure -> its value for each image of a role.
Columns = dict[str, Float[np.ndarray, "N"]]
# The same for each row of the examples of a role: for each tile, where tiles cover the images.
RowColumns = dict[str, Float[np.ndarray, "_"]]


@dataclasses.dataclass(frozen=True)
class FittedScores:
    """What the scores of new images depend on, beside the model.

    Attributes:
        fits: fits of the scores on training normals, from `fits.fit_scores`.
        validation: scores of the validation normals, which set the scales of the combinations; empty if no
            combination is computed.
    """

    fits: dict[str, Any] = dataclasses.field(default_factory=dict)
    validation: dict[str, Float[np.ndarray, "m"]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RoleScores:
    """Scores and figures of two roles.

    Attributes:
        calibration: columns of the calibration normals.
        test: columns of the test images.
        fitted: what the scores were computed with.
        test_rows: columns of single scores and figures for each row of the test examples, which may be
            tiles of images; None stands for `test`.
    """

    calibration: dict[str, Float[np.ndarray, "n"]]
    test: Columns
    fitted: FittedScores = FittedScores()
    test_rows: RowColumns | None = None

    def join(self, other: "RoleScores") -> "RoleScores":
        """Returns the columns of both, computed with what this one was computed with."""
        return dataclasses.replace(
            self, calibration=self.calibration | other.calibration, test=self.test | other.test
        )


def select_supported_scores(model: Model, names: Sequence[str], field: str) -> list[str]:
    """Selects the scores that the model supports; an autoencoder has no posterior.

    Args:
        model: model that will compute the scores.
        names: requested scores.
        field: config field that requests them, for the message.

    Raises:
        UserError: if no score remains.
    """
    supported = [name for name in names if model.sampled or not needs_posterior(name)]
    if not supported:
        raise UserError(
            f"{field} contains only scores that need a posterior ({', '.join(names)}), and an autoencoder "
            "has no posterior; add a score that needs none, for example mse"
        )
    return supported


def score_calibration_and_test(setup: ScoringSetup, names: Sequence[str]) -> RoleScores:
    """Scores the calibration and the test images, and computes the figures of the model on them.

    Args:
        setup: model, data and scoring config.
        names: scores that the model supports.

    Raises:
        UserError: if a score is not a finite number.
    """
    role_examples = {"calibration": setup.dataset.calibration, "test": setup.dataset.test}
    by_role, rows_by_role, fitted = _score_rows_and_images(
        setup, names, role_examples, with_figures=True
    )
    return RoleScores(by_role["calibration"], by_role["test"], fitted, rows_by_role["test"])


def score_examples(
    setup: ScoringSetup,
    names: Sequence[str],
    role_examples: Mapping[str, Examples],
) -> tuple[dict[str, Columns], FittedScores]:
    """Scores any images, single scores and combinations alike; fits and scales come from other roles.

    Where examples are tiles that cover images, the whole images are scored; see `whole_images`.

    Args:
        setup: model, data and scoring config; the fits come from its training images, the scales of the
            combinations from its validation images.
        names: scores that the model supports.
        role_examples: name of a set of images -> the images, observed if the model observes. The
            validation images themselves may be such a set; they are not scored twice then.

    Returns:
        Name of a set -> its columns; and what they were computed with.

    Raises:
        UserError: if a score is not a finite number.
    """
    by_role, _, fitted = _score_rows_and_images(setup, names, role_examples, with_figures=False)
    return by_role, fitted


def _score_rows_and_images(
    setup: ScoringSetup,
    names: Sequence[str],
    role_examples: Mapping[str, Examples],
    *,
    with_figures: bool,
) -> tuple[dict[str, RowColumns], dict[str, RowColumns], FittedScores]:
    """Returns the columns of whole images, those of rows without combinations, and the fitted scores."""
    combinations = [name for name in names if is_combination(name)]
    members = list_members(names, setup.scoring_config.fusion)
    if members:
        members = select_supported_scores(setup.trained.model, members, "scoring.fusion")
    singles = [name for name in dict.fromkeys((*names, *members)) if is_single(name)]
    fits = fit_scores(
        singles,
        setup.trained,
        get_inputs(setup.dataset.train),
        setup.scoring_config,
        setup.seed,
        setup.given_classes(setup.dataset.train),
    )
    figures = select_figures(setup.trained.model, singles) if with_figures else ()
    columns = tuple(dict.fromkeys((*singles, *figures)))
    rows_by_role = _score_roles(setup, columns, fits, role_examples)
    by_role = {
        role: join_columns(row_columns, role_examples[role])
        for role, row_columns in rows_by_role.items()
    }
    validation: Columns = {}
    if members:
        scored = next(
            (by_role[role] for role, e in role_examples.items() if e is setup.dataset.val), None
        )
        if scored is None:
            scored = join_columns(
                _score_roles(setup, members, fits, {"val": setup.dataset.val})["val"],
                setup.dataset.val,
            )
        validation = {name: scored[name] for name in members}
        for role_columns in by_role.values():
            for name in combinations:
                role_columns[name] = combine_scores(
                    name, setup.scoring_config.fusion, validation, role_columns
                )
    return by_role, rows_by_role, FittedScores(fits, validation)


def select_figures(model: Model, singles: Sequence[str]) -> tuple[str, ...]:
    """Returns the figures that the model has, with the likelihood if one of the scores computes it."""
    likelihood = _LIKELIHOOD if "nll" in singles else ()
    elbo = ("elbo",) if model.sampled else ()
    figures = _PIXEL_FIGURES if "pixels" in model.branches else ()
    return (*figures, *_FIGURES, *elbo, *likelihood)


def _score_roles(
    setup: ScoringSetup,
    columns: Sequence[str],
    fits: dict[str, Any],
    role_examples: Mapping[str, Examples],
) -> dict[str, Columns]:
    """Scores the images of all roles with one compiled program."""
    score = make_scorer(
        setup.trained.model,
        columns,
        setup.scoring_config,
        setup.seed,
        jax.devices(),
        max(len(examples) for examples in role_examples.values()),
    )
    by_role = {}
    for role, examples in role_examples.items():
        start = time.perf_counter()
        by_role[role] = score(
            setup.trained.params,
            get_inputs(examples),
            setup.given_classes(examples),
            f"scoring {role}",
            fits=fits,
        )
        _log_speed(columns, len(examples.images), time.perf_counter() - start)
        check_finite(
            {name: by_role[role][name] for name in columns if name not in _PIXEL_FIGURES},
            examples,
            role,
        )
    return by_role


def check_finite(columns: Columns, examples: Examples, role: str) -> None:
    """Raises an error for scores that are not finite, because they cannot be ranked."""
    for name, values in columns.items():
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            raise UserError(
                f"the score {name} is {values[broken[0]]} for {examples.names[broken[0]]} ({role}); in "
                f"total it is not finite for {len(broken)} of {len(values)} images. Remove it from "
                "scoring.names and scoring.fusion, or train a model with finite scores"
            )


def _log_speed(columns: Sequence[str], num_images: int, seconds: float) -> None:
    slow = [name for name in columns if name.endswith(BY_OPTIMISATION)]
    if slow:
        log.info(
            "%s: %d images in %.1f s with compilation, %.3g images/s",
            ", ".join(slow), num_images, seconds, num_images / seconds,
        )  # fmt: skip
