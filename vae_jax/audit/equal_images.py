"""Images with equal pixels, within and across classes and roles."""

import collections
import itertools
from collections.abc import Iterable, Sequence

from vae_jax.audit.findings import Finding, count_things, take_examples
from vae_jax.audit.survey import Survey

_MAX_LISTED = 200  # pairs and sets that the report of an audit lists


def list_equal_images(survey: Survey) -> list[list[int]]:
    """Returns every set of two or more images with equal pixels, as positions in `survey.sources`."""
    return _collect_equal(range(len(survey.facts)), [facts.digest for facts in survey.facts])


def find_equal_images(
    survey: Survey, equal: Sequence[Sequence[int]], role_names: Sequence[str], allowed: bool
) -> list[Finding]:
    """Returns findings about equal images.

    Args:
        survey: all images.
        equal: sets of equal images, from `list_equal_images`.
        role_names: role of each row.
        allowed: `data.allow_duplicates`.
    """
    findings = []
    files = survey.files
    crop_digests = _list_crop_digests(survey)
    used = [row for row, role in enumerate(role_names) if role]
    across, among = [], []
    for rows in _collect_equal(used, [crop_digests[row] for row in used]):
        roles = {role_names[row] for row in rows}
        if "test" in roles and len(roles) > 1:
            across.append(rows)
        elif len(roles) > 1:
            among.append(rows)
    if across:
        findings.append(
            describe_copies_in_test([[files[row] for row in rows] for rows in across], allowed)
        )
    if among:
        findings.append(
            Finding(
                "copies_among_roles",
                "warning",
                f"{count_things(len(among), 'image')} with copies in training and calibration",
                f"{count_things(len(among), 'normal image')} with equal pixels in two of the roles train, "
                "val and calibration. Calibration images that trained the model score lower than new "
                "images will, so that more false alarms occur than promised. Remove the copies, or give "
                "them one group.",
                take_examples([_pair(rows, files) for rows in among]),
            )
        )
    labels = _label_images(survey)
    names = [source.file for source in survey.sources]
    contradictory = [rows for rows in equal if {0, 1} <= {labels[image] for image in rows}]
    if contradictory:
        findings.append(
            Finding(
                "contradictory_copies",
                "warning",
                f"{count_things(len(contradictory), 'image')} both normal and abnormal",
                f"{count_things(len(contradictory), 'image')} in a normal and, with equal pixels, in an "
                "abnormal class, so one of the two labels is wrong. Remove one of the files.",
                take_examples([_pair(rows, names) for rows in contradictory]),
            )
        )
    if equal:
        num_copies = sum(len(images) - 1 for images in equal)
        removed = _count_removed(survey, role_names, crop_digests)
        consequence = (
            f" {removed} normal images outside the test split are not used, because a copy is tested."
            if removed
            else ""
        )
        findings.append(
            Finding(
                "exact_duplicates",
                "notice",
                count_things(num_copies, "exact copy", "exact copies"),
                f"{sum(map(len, equal))} images in {count_things(len(equal), 'set')} have equal pixels, so "
                f"{num_copies} of them can go.{consequence}",
                take_examples([_pair(images, names) for images in equal]),
            )
        )
    return findings


def describe_copies_in_test(sets: Sequence[Sequence[str]], allowed: bool) -> Finding:
    """Returns the finding that images are both in test and in another role.

    Args:
        sets: files of each set of equal images.
        allowed: `data.allow_duplicates`.
    """
    consequence = (
        "data.allow_duplicates lets a run test what it has learned"
        if allowed
        else "training will refuse the data. Remove one of the files of each pair, give both one group in "
        "groups.csv, or set --config.data.allow_duplicates=true"
    )
    return Finding(
        "copies_in_test",
        "warning" if allowed else "refusal",
        f"{count_things(len(sets), 'test image')} with a copy in training",
        f"{count_things(len(sets), 'image')} in test and, with equal pixels, in train, val or calibration: "
        f"{consequence}.",
        take_examples([" = ".join(sorted(set(files))[:3]) for files in sets]),
    )


def list_sets(
    survey: Survey, equal: Sequence[Sequence[int]], role_names: Sequence[str]
) -> list[dict]:
    """Returns the first sets of equal images for a report."""
    role_of_image = dict(zip(survey.image_of_row.tolist(), role_names, strict=True))
    return [
        {
            "files": [survey.sources[image].file for image in images],
            "classes": [survey.sources[image].class_name for image in images],
            "roles": [role_of_image.get(image, "") for image in images],
        }
        for images in equal[:_MAX_LISTED]
    ]


def _collect_equal(items: Iterable[int], digests: Sequence[bytes]) -> list[list[int]]:
    sets = collections.defaultdict(list)
    for item, digest in zip(items, digests, strict=True):
        sets[digest].append(item)
    return [members for members in sets.values() if len(members) > 1]


def _list_crop_digests(survey: Survey) -> list[bytes]:
    images = dict.fromkeys(survey.image_of_row.tolist())
    return list(itertools.chain.from_iterable(survey.facts[image].crop_digests for image in images))


def _label_images(survey: Survey) -> dict[int, int]:
    """Returns the label of each image; an image with an abnormal tile is abnormal."""
    labels: dict[int, int] = collections.defaultdict(lambda: -1)
    for image, label in zip(survey.image_of_row.tolist(), survey.labels.tolist(), strict=True):
        labels[image] = max(labels[image], label)
    return labels


def _count_removed(survey: Survey, role_names: Sequence[str], crop_digests: Sequence[bytes]) -> int:
    if survey.official_test is None:
        return 0
    tested = {crop_digests[row] for row, role in enumerate(role_names) if role == "test"}
    return sum(
        not role and not survey.official_test[row] and survey.labels[row] == 0
        and crop_digests[row] in tested
        for row, role in enumerate(role_names)
    )  # fmt: skip


def _pair(rows: Sequence[int], names: Sequence[str]) -> str:
    return " = ".join([names[row] for row in rows][:3])
