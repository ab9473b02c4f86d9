"""What the model does not see of images and masks, and which masks are missing."""

from typing import Any

import numpy as np

from vae_jax.audit.findings import Finding, count_things, make_refusal, take_examples
from vae_jax.audit.survey import Survey
from vae_jax.data.builders import mask_levels
from vae_jax.errors import UserError

_MAX_HIDDEN = 0.1  # mean share of the area that may be out of view without a warning
_MAX_SHRINKING = 4  # an image that is this many times as large as what the model sees loses details


def summarise_masks(survey: Survey) -> dict[str, Any]:
    """Returns how many masks there are, how many match, and what they mark."""
    inventories = [i for i in (survey.inventory, survey.other_inventory) if i is not None]
    areas = [facts.mask for facts in survey.facts if facts.mask is not None]
    marked = sum(area.marked for area in areas)
    return {
        "files": sum(inventory.num_masks for inventory in inventories),
        "unmatched": sum(len(inventory.unmatched_masks) for inventory in inventories),
        "images_with_mask": len(areas),
        "empty": sum(area.marked == 0 for area in areas),
        "marked_share": marked / max(sum(area.total for area in areas), 1),
        "marked_out_of_view": 1 - sum(area.visible for area in areas) / marked if marked else 0.0,
        "anomalies_out_of_view": len(_list_hidden(survey)),
    }


def summarise_framing(survey: Survey) -> dict[str, Any]:
    """Returns how images become squares, and which share of them is out of view."""
    hidden = [facts.out_of_view for facts in survey.facts]
    framing = survey.framing
    return {
        "framing": "strips" if framing.cuts_strips else framing.framing,
        "crop": framing.crop,
        "image_size": framing.image_size,
        "out_of_view": {"mean": float(np.mean(hidden)), "highest": float(np.max(hidden))},
        "enlargement": float(np.median([_measure_enlargement(survey, f) for f in survey.facts])),
    }


def find_mask_problems(survey: Survey, is_automatic: bool) -> list[Finding]:
    """Returns findings about masks that are missing, unmatched, empty or unexpected.

    Args:
        survey: all images.
        is_automatic: whether every value above 0 is abnormal, so that a run checks what masks mark.
    """
    findings = []
    unmatched = [
        name
        for inventory in (survey.inventory, survey.other_inventory)
        if inventory is not None
        for name in inventory.unmatched_masks
    ]
    if unmatched:
        findings.append(
            Finding(
                "unmatched_masks",
                "warning",
                f"{count_things(len(unmatched), 'mask')} without an image",
                f"{len(unmatched)} of {summarise_masks(survey)['files']} masks belong to no image, and "
                "are ignored. Give each mask the name of its image.",
                take_examples(unmatched),
            )
        )
    of_label = {
        label: [
            (survey.sources[image].file, survey.facts[image].mask)
            for image in np.unique(survey.image_of_row[survey.labels == label])
        ]
        for label in (0, 1)
    }
    with_mask = [file for file, mask in of_label[1] if mask is not None]
    if with_mask:
        missing = [file for file, mask in of_label[1] if mask is None]
        empty = [file for file, mask in of_label[1] if mask is not None and mask.marked == 0]
        findings += _describe_masks(
            "anomalies_without_mask", missing, "abnormal image", "without a mask",
            "Others have one, so metrics of pixels treat these images as unknown.",
        )  # fmt: skip
        findings += _describe_masks(
            "empty_masks", empty, "abnormal image", "with an empty mask",
            "A mask that marks nothing says that the image is normal.",
        )  # fmt: skip
    marked = [file for file, mask in of_label[0] if mask is not None and mask.marked]
    if not survey.framing.cuts_strips:
        findings += _describe_masks(
            "marked_normals", marked, "normal image", "with marked pixels",
            "Either the class or the mask is wrong.",
        )  # fmt: skip
    if is_automatic:
        areas = [facts.mask for facts in survey.facts if facts.mask is not None]
        try:
            mask_levels.check_share(sum(a.marked for a in areas), sum(a.total for a in areas))
        except UserError as error:
            findings.append(make_refusal("mask_share", "masks mark most pixels", error))
    return findings


def find_hidden_parts(survey: Survey) -> list[Finding]:
    """Returns findings about images and anomalies that are out of view, and about details that vanish."""
    findings = []
    problems = [facts.problem for facts in survey.facts if facts.problem]
    if problems:
        findings.append(
            make_refusal("tiles", "images cannot be cut into tiles", UserError(problems[0]))
        )
    summary = summarise_framing(survey)
    mean = summary["out_of_view"]["mean"]
    if mean > _MAX_HIDDEN:
        advice = (
            "--config.data.framing=stretch, pad or tiles shows them whole"
            if survey.framing.framing == "crop"
            else "a larger data.crop shows more of them"
        )
        if survey.framing.crop < 1 and survey.framing.framing == "crop":
            advice += ", and so does a larger data.crop"
        findings.append(
            Finding(
                "out_of_view",
                "notice",
                f"{mean:.0%} of the area of the images is out of view",
                f"With data.framing={survey.framing.framing} and data.crop={survey.framing.crop:g}, the "
                f"model does not see {mean:.0%} of the area of the images on average, and "
                f"{summary['out_of_view']['highest']:.0%} of one of them; {advice}.",
            )
        )
    hidden = _list_hidden(survey)
    masks = summarise_masks(survey)
    if hidden:
        findings.append(
            Finding(
                "anomalies_out_of_view",
                "warning",
                f"{count_things(len(hidden), 'anomaly', 'anomalies')} out of view",
                f"{count_things(len(hidden), 'abnormal image')} without a marked pixel in the part that "
                f"the model sees, so nothing can be found there; {masks['marked_out_of_view']:.1%} of all "
                "marked pixels are out of view. Show more of the images with data.framing or data.crop.",
                take_examples(hidden),
            )
        )
    if summary["enlargement"] < 1 / _MAX_SHRINKING:
        findings.append(
            Finding(
                "shrunk",
                "notice",
                f"images are shrunk {1 / summary['enlargement']:.1f} times",
                f"Half of the images are shrunk at least {1 / summary['enlargement']:.1f} times, to "
                f"{survey.framing.image_size} pixels, so small defects vanish. Raise data.image_size, or "
                "set --config.data.framing=tiles.",
            )
        )
    return findings


def _describe_masks(kind: str, files: list[str], noun: str, what: str, text: str) -> list[Finding]:
    if not files:
        return []
    title = f"{count_things(len(files), noun)} {what}"
    return [Finding(kind, "warning", title, f"{title}. {text}", take_examples(files))]


def _list_hidden(survey: Survey) -> list[str]:
    """Returns the files of abnormal images whose marked pixels are all out of view."""
    abnormal = {int(survey.image_of_row[row]) for row in np.flatnonzero(survey.labels == 1)}
    return [
        survey.sources[image].file
        for image in sorted(abnormal)
        if (mask := survey.facts[image].mask) is not None and mask.marked and not mask.visible
    ]


def _measure_enlargement(survey: Survey, facts: Any) -> float:
    """Returns how many pixels of the model show one pixel of the shorter side of an image."""
    framing = survey.framing
    if framing.covers_image:
        return framing.image_size / min(facts.width, facts.height, framing.tile_side)
    longer_counts = framing.framing == "pad"
    side = max(facts.width, facts.height) if longer_counts else min(facts.width, facts.height)
    return framing.image_size / (framing.crop * side)
