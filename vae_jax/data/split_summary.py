"""What the split into roles did with images that belong together: duplicates, groups, near-duplicates."""

import collections
import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Int

from vae_jax.data.examples import Examples
from vae_jax.data.whole_images import take_whole_images

_MAX_NAMED = 3  # images that a line of the log names; it only counts the others

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SplitSummary:
    """Images that the split into roles left out or kept together.

    Attributes:
        duplicates: images outside the official test split that no role takes because a test image has the
            same pixels, each with the name of such a test image.
        grouped: other images outside the official test split that no role takes because a test image has
            the same group, each with this group.
        num_near_duplicates: number of images that nearly agree with another one.
        num_near_duplicate_groups: number of groups that these images form.
    """

    duplicates: dict[str, str]
    grouped: dict[str, str]
    num_near_duplicates: int = 0
    num_near_duplicate_groups: int = 0


def summarise_split(
    examples: Examples,
    rows_of_role: Mapping[str, Int[np.ndarray, "M"]],
    equal_images: Sequence[Sequence[str]],
    groups_before: Sequence[str],
) -> SplitSummary:
    """Returns what the split into roles did.

    Args:
        examples: all images, with labels and groups.
        rows_of_role: role -> rows of its images.
        equal_images: sets of files that have the same pixels.
        groups_before: group of each row before near-duplicates were joined.
    """
    near = _count_joined(examples.files, groups_before, examples.groups)
    images = take_whole_images(examples)
    if images.official_test is None:
        return SplitSummary({}, {}, *near)
    used = {examples.files[row] for rows in rows_of_role.values() for row in rows}
    tested = {examples.files[row] for row in rows_of_role["test"]}
    equal_test_file = {
        file: next((other for other in files if other in tested), "")
        for files in equal_images
        for file in files
    }
    duplicates, grouped = {}, {}
    for row in np.flatnonzero((images.labels == 0) & ~images.official_test):
        file = images.files[row]
        if file not in used:
            if equal_test_file.get(file):
                duplicates[file] = equal_test_file[file]
            else:
                grouped[file] = images.groups[row]
    return SplitSummary(duplicates, grouped, *near)


def log_split(summary: SplitSummary, dataset: str) -> None:
    """Logs which images the split has left out."""
    if summary.duplicates:
        _log.warning(
            "%s: %d images outside the official test split are duplicates of test images and are left out: "
            "%s",
            dataset, len(summary.duplicates), name_duplicates(summary.duplicates),
        )  # fmt: skip
    if summary.grouped:
        _log.warning(
            "%s: %d images outside the official test split share a group with a test image and are left "
            "out: %s",
            dataset, len(summary.grouped), _name_first(
                f"{file} (group {group})" for file, group in summary.grouped.items()
            ),
        )  # fmt: skip


def name_duplicates(duplicates: Mapping[str, str]) -> str:
    """Returns the first few duplicates, each with the image that it equals, and how many more there are."""
    return _name_first(f"{file} equals {other}" for file, other in duplicates.items())


def _name_first(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    return "; ".join(texts[:_MAX_NAMED]) + more


def _count_joined(
    files: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> tuple[int, int]:
    """Returns how many images are in groups that were joined from several, and how many such groups."""
    members = collections.defaultdict(set)
    joined = collections.defaultdict(set)
    for file, old, new in zip(files, before, after, strict=True):
        members[new].add(file)
        joined[new].add(old)
    names = [name for name, groups in joined.items() if len(groups) > 1]
    return sum(len(members[name]) for name in names), len(names)
