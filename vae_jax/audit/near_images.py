"""Images that nearly agree, within and across classes and roles."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from vae_jax.audit.findings import Finding, count_things, take_examples
from vae_jax.audit.survey import Survey
from vae_jax.data.medical import is_slice
from vae_jax.data.near_duplicates import (
    MAX_IMAGES,
    choose_agreement,
    list_agreeing_pairs,
    make_views,
    merge_components,
)

_MAX_PAIRS = 200_000  # of near-duplicates that are kept; the others are only counted
_MAX_LISTED = 200  # pairs and sets that the report of an audit lists


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Images that nearly agree.

    Attributes:
        pairs: two rows each, without pairs of equal images and of tiles of one image.
        num_pairs: number of all such pairs.
        agreement: correlation of thumbnails from which on two images agree.
        groups: group of each row, after groups of near-duplicates were joined as a run would join them.
        problem: why there are no pairs; "" if the images were compared.
    """

    pairs: list[tuple[int, int]]
    num_pairs: int
    agreement: float
    groups: list[str]
    problem: str = ""


def find_near_duplicates(survey: Survey) -> NearDuplicates:
    """Compares all labelled rows with each other, by the rule of `data.group_near_duplicates`."""
    groups = list(survey.groups)
    if survey.thumbnails is None:
        problem = f"there are more than {MAX_IMAGES} images, too many to compare"
        return NearDuplicates([], 0, 0.0, groups, problem)
    # Slices of one height nearly agree in all volumes, so a run does not compare them.
    compared = ~np.array([is_slice(file) for file in survey.files], bool)
    if not compared.any():
        return NearDuplicates([], 0, 0.0, groups, "all images are slices of volumes")
    outside = compared & ~survey.test_only
    if survey.official_test is not None:
        outside &= ~survey.official_test
    reference = np.flatnonzero((survey.labels == 0) & outside)
    if not len(reference):
        reference = np.flatnonzero(compared)
    thumbnails = survey.thumbnails * compared[:, None]  # one without contrast agrees with none
    grouping = choose_agreement(make_views(thumbnails[reference], thumbnails[reference]))
    if grouping is None:
        return NearDuplicates([], 0, 0.0, groups, "so many images agree that all look alike")
    agreement, components = grouping
    views = make_views(thumbnails, thumbnails[reference])
    digests = [facts.digest for facts in survey.facts]
    pairs, num_pairs = [], 0
    for first, second in list_agreeing_pairs(views, agreement):
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            image_a, image_b = survey.image_of_row[a], survey.image_of_row[b]
            if image_a == image_b or digests[image_a] == digests[image_b]:
                continue
            num_pairs += 1
            if len(pairs) < _MAX_PAIRS:
                pairs.append((a, b))
    merged = merge_components(groups, reference, components)
    return NearDuplicates(pairs, num_pairs, agreement, merged)


def find_agreeing_images(
    survey: Survey, near: NearDuplicates, role_names: Sequence[str], is_grouped: bool
) -> list[Finding]:
    """Returns findings about near-duplicates.

    Args:
        survey: all images.
        near: the pairs.
        role_names: role of each row.
        is_grouped: whether the run joins their groups, `data.group_near_duplicates`.
    """
    findings = []
    files = survey.files
    if near.problem:
        text = f"Near-duplicates were not looked for: {near.problem}."
        return [Finding("near_duplicates_unknown", "notice", "near-duplicates are unknown", text)]
    normal, contradictory = [], []
    for a, b in near.pairs:
        labels = {int(survey.labels[a]), int(survey.labels[b])}
        roles = {role_names[a], role_names[b]}
        if labels == {0, 1}:
            contradictory.append((a, b))
        elif labels == {0} and len(roles) == 2 and "" not in roles:
            normal.append((a, b))
    if normal:
        counts = collections.Counter(
            " and ".join(sorted((role_names[a], role_names[b]), key=_ROLE_ORDER.index))
            for a, b in normal
        )
        listed = ", ".join(f"{pair}: {count}" for pair, count in counts.most_common())
        images = len({row for pair in normal for row in pair})
        advice = (
            "They are in the official test split, so a run keeps both; remove one of each pair."
            if is_grouped
            else "Set --config.data.group_near_duplicates=true, which keeps such images in one role."
        )
        findings.append(
            Finding(
                "near_duplicates_across_roles",
                "warning",
                f"{images} normal images nearly agree with one of another role",
                f"{count_things(len(normal), 'pair')} of normal images that nearly agree (frames of one "
                f"video, or one object photographed twice), but have different roles ({listed}). What is "
                f"measured on such images looks better than on new ones. {advice}",
                take_examples([f"{files[a]} ~ {files[b]}" for a, b in normal]),
            )
        )
    if contradictory:
        findings.append(
            Finding(
                "near_duplicates_across_labels",
                "warning",
                f"{count_things(len(contradictory), 'pair')} of normal and abnormal images nearly alike",
                f"In {count_things(len(contradictory), 'pair')} a normal image nearly agrees with an "
                "abnormal one. Either a label is wrong, or both show one object and the defect is small.",
                take_examples([f"{files[a]} ~ {files[b]}" for a, b in contradictory]),
            )
        )
    if near.num_pairs and not (normal or contradictory):
        findings.append(
            Finding(
                "near_duplicates",
                "notice",
                f"{count_things(near.num_pairs, 'pair')} of images nearly alike",
                f"In {count_things(near.num_pairs, 'pair')} the images nearly agree, but none of these "
                "pairs is in two roles or has two labels.",
                take_examples([f"{files[a]} ~ {files[b]}" for a, b in near.pairs]),
            )
        )
    return findings


_ROLE_ORDER = ["train", "val", "calibration", "test"]


def list_pairs(survey: Survey, near: NearDuplicates, role_names: Sequence[str]) -> list[dict]:
    """Returns the first pairs of near-duplicates for a report, those across roles and labels first."""
    files = survey.files

    def is_harmless(pair: tuple[int, int]) -> bool:
        a, b = pair
        return role_names[a] == role_names[b] and survey.classes[a] == survey.classes[b]

    return [
        {
            "files": [files[row] for row in pair],
            "classes": [survey.classes[row] for row in pair],
            "roles": [role_names[row] for row in pair],
        }
        for pair in sorted(near.pairs, key=is_harmless)[:_MAX_LISTED]
    ]
