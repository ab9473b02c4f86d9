"""Lists the frames of medical files as images of their own, and joins the images of one patient."""

import concurrent.futures
import dataclasses
import logging
import os
from collections.abc import Collection, Mapping, Sequence

from vae_jax.data import medical
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.frame_file import Header
from vae_jax.data.joined_groups import join_groups

_log = logging.getLogger(__name__)


def list_frames(
    splits: Mapping[str, Sequence[SourceImage]], with_group: Collection[str] = ()
) -> dict[str, list[SourceImage]]:
    """Replaces each medical file by its frames, which stay in its group.

    Files of one patient are one group, also across splits, with the name that is first in alphabetical
    order. Nothing that a file says about its patient is stored or logged. A file that cannot be read stays
    as one frame; it is reported when the dataset is prepared.

    Args:
        splits: split -> its images, one per file.
        with_group: names of images whose group the user has given; it is kept, whatever their patient.

    Returns:
        The images in the same order; those of other formats are unchanged.
    """
    files = [image for members in splits.values() for image in members if _is_medical(image)]
    if not files:
        return {split: list(members) for split, members in splits.items()}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = dict(
            zip([image.file for image in files], pool.map(_read_header, files), strict=True)
        )
    groups_of_patient: dict[str, list[str]] = {}
    for image in files:
        header = headers[image.file]
        if header is not None and header.patient and image.file not in with_group:
            groups_of_patient.setdefault(header.patient, []).append(image.group)
    _log_patients(groups_of_patient)
    joined = join_groups(groups_of_patient.values())
    return {
        split: [
            frame
            for image in members
            for frame in _expand(image, headers.get(image.file), joined.get(image.group))
        ]
        for split, members in splits.items()
    }


def _is_medical(image: SourceImage) -> bool:
    return not isinstance(image.image, bytes) and medical.is_medical(image.image.name)


def _read_header(image: SourceImage) -> Header | None:
    try:
        return medical.read_header(image.image)
    except (ValueError, OSError):
        return None


def _log_patients(groups_of_patient: Mapping[str, Sequence[str]]) -> None:
    """Logs how many patients the files name, and warns if it is always the same one."""
    num_files = sum(map(len, groups_of_patient.values()))
    if len(groups_of_patient) == 1 and num_files > 1:
        _log.warning(
            "all %d medical files that name a patient name the same one, so they are one group and have "
            "one role; if that is wrong, for example after anonymisation, list their groups in groups.csv",
            num_files,
        )
    elif groups_of_patient:
        _log.info(
            "%d medical files name %d patients; the images of a patient are one group",
            num_files, len(groups_of_patient),
        )  # fmt: skip


def _expand(image: SourceImage, header: Header | None, group: str | None) -> list[SourceImage]:
    """Returns the frames of a file, or an image of another format as it is."""
    if not _is_medical(image):
        return [image]
    if header is None:
        return [dataclasses.replace(image, frame=0)]
    image = dataclasses.replace(
        image, group=group or image.group, size=header.size, num_frames=len(header.suffixes)
    )
    return [
        dataclasses.replace(image, file=image.file + suffix, frame=frame)
        for frame, suffix in enumerate(header.suffixes)
    ]
