"""What is in a folder and no part of its dataset: other files, hidden entries, leftovers."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Collection

from vae_jax.audit.findings import Finding, count_things, take_examples
from vae_jax.data.builders import groups
from vae_jax.data.builders.folder_walk import walk_folder
from vae_jax.data.builders.image_suffixes import is_image
from vae_jax.data.region import DATASET_FILE
from vae_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class PassedOver:
    """What a run does not read.

    Attributes:
        entries: kind of entry, for example "hidden" -> number of entries that no walk enters.
        suffixes: suffix in lower case -> number of files that are not images by their suffix.
        images: names of images that are no part of the dataset.
        problem: why the folder could not be searched to its end; "" if it could.
    """

    entries: dict[str, int]
    suffixes: dict[str, int]
    images: list[str]
    problem: str = ""


def list_passed_over(folder: pathlib.Path, used: Collection[str]) -> PassedOver:
    """Searches a folder for everything that the dataset does not use.

    Args:
        folder: the user's folder.
        used: the files that the dataset uses.
    """
    entries: collections.Counter[str] = collections.Counter()
    suffixes: collections.Counter[str] = collections.Counter()
    images = []
    problem = ""
    try:
        for visited in walk_folder(folder, passed_over=entries):
            for name in visited.files:
                path = visited.path / name
                relative = path.relative_to(folder).as_posix()
                if os.fspath(path) in used or relative in (DATASET_FILE, groups.FILE_NAME):
                    continue
                if is_image(name):
                    images.append(relative)
                else:
                    suffixes[path.suffix.lower() or "without a suffix"] += 1
    except UserError as error:
        problem = str(error)
    return PassedOver(dict(entries), dict(suffixes.most_common()), images, problem)


def find_passed_over(passed_over: PassedOver) -> list[Finding]:
    """Returns a finding about ignored images, and one about other files."""
    findings = []
    if passed_over.problem:
        text = f"Training will end with this message: {passed_over.problem}"
        findings.append(Finding("unreadable_folder", "refusal", "a folder cannot be read", text))
    if passed_over.images:
        count = len(passed_over.images)
        findings.append(
            Finding(
                "unused_images",
                "warning",
                count_things(count, "unused image"),
                f"{count_things(count, 'file')} with the suffix of an image, but outside the folders that "
                "the dataset reads. If they should count, move them into the folder of a class.",
                take_examples(passed_over.images),
            )
        )
    if passed_over.suffixes:
        listed = ", ".join(f"{count} {suffix}" for suffix, count in passed_over.suffixes.items())
        findings.append(
            Finding(
                "other_files",
                "notice",
                count_things(sum(passed_over.suffixes.values()), "other file"),
                f"These files are not images by their suffix, and are left out: {listed}.",
            )
        )
    if passed_over.entries:
        listed = ", ".join(f"{kind}: {count}" for kind, count in passed_over.entries.items())
        findings.append(
            Finding(
                "passed_over",
                "notice",
                count_things(sum(passed_over.entries.values()), "hidden entry", "hidden entries"),
                f"No walk enters these hidden entries and leftovers: {listed}.",
            )
        )
    return findings
