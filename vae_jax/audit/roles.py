"""The roles that a run would give the images, and groups that are on both sides of the official test.

M rows, K rows of a role.
"""

from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np
from jaxtyping import Int

from vae_jax.audit.findings import Finding, count_things, make_refusal, take_examples
from vae_jax.audit.survey import Survey
from vae_jax.data import splits
from vae_jax.errors import UserError

Roles = Mapping[str, Int[np.ndarray, "_"]]


def assign_roles(
    survey: Survey, groups: Sequence[str], data_config: ml_collections.ConfigDict, seed: int
) -> tuple[dict[str, Int[np.ndarray, "K"]] | None, list[Finding]]:
    """Returns role -> its rows, or None and a finding if a run could not give roles."""
    fractions = splits.Fractions(
        data_config.val_fraction, data_config.calibration_fraction, data_config.test_fraction
    )
    try:
        roles = splits.assign_roles(
            survey.labels, groups, survey.official_test, fractions, seed, test_only=survey.test_only
        )
    except UserError as error:
        return None, [make_refusal("empty_role", "a role would have no normal image", error)]
    if data_config.balanced_test:
        roles["test"] = splits.balance_test(roles["test"], survey.labels, survey.files, seed)
    return roles, []


def name_roles(survey: Survey, roles: Roles | None) -> list[str]:
    """Returns the role of each row, "" where it has none.

    If a run could give no roles, only the official test split is known.
    """
    names = [""] * len(survey.labels)
    if roles is None:
        if survey.official_test is not None:
            names = ["test" if is_test else "" for is_test in survey.official_test]
        return names
    for role, rows in roles.items():
        for row in rows:
            names[row] = role
    return names


def find_straddling_groups(survey: Survey, groups: Sequence[str]) -> list[Finding]:
    """Returns a finding if groups have images both inside and outside the official test split."""
    if survey.official_test is None:
        return []
    tested = np.flatnonzero(survey.official_test & (survey.labels >= 0))
    inside = {groups[row] for row in tested}
    lost = [
        row
        for row, group in enumerate(groups)
        if group in inside and not survey.official_test[row] and survey.labels[row] == 0
    ]
    if not lost:
        return []
    straddling = sorted({groups[row] for row in lost})
    files = survey.files
    return [
        Finding(
            "straddling_groups",
            "warning",
            f"{count_things(len(straddling), 'group')} on both sides of the test split",
            f"{count_things(len(straddling), 'group')} with images both inside and outside the official "
            f"test split; {count_things(len(lost), 'normal image')} outside it cannot be used. If such "
            "images do not belong together, rename the groups; if they do, move them to one side.",
            take_examples([files[row] for row in lost]),
        )
    ]
