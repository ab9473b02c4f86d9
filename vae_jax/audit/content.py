"""What the images of each class are like: size, kind, empty images, borders, boxes in corners."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vae_jax.audit.borders import CORNERS
from vae_jax.audit.findings import Finding, count_things, make_refusal, take_examples
from vae_jax.audit.image_facts import ImageFacts
from vae_jax.audit.survey import Survey
from vae_jax.data.intensity import OWN_RANGE, Intensity, check_levels
from vae_jax.errors import UserError

_FLAT = 1.0  # grey levels; images with a smaller standard deviation show nothing
_EMPTY = 0.995  # share of nearly black or nearly white pixels of an image that shows nothing
_SATURATED, _USUALLY_SATURATED = 0.5, 0.05  # share of white pixels of an image, and of most images
_MIN_BORDER = 0.03  # share of the area; smaller dark or white parts at a border are no frame
_MIN_FRAMED, _MIN_BOXED = 0.2, 0.05  # share of the images of a class that have a frame, or a box
_MIN_BOXES = 5  # fewer images with a box may be chance
_MIN_DIFFERENCE = 0.2  # difference of two shares between normal and abnormal images
_MAX_LISTED = 4  # sizes that a table lists


def summarise_classes(survey: Survey) -> dict[str, dict[str, Any]]:
    """Returns class -> numbers about its images, as the folders name the classes."""
    images_of_class = collections.defaultdict(list)
    for source, facts in zip(survey.sources, survey.facts, strict=True):
        images_of_class[source.class_name].append((source, facts))
    num_unreadable = collections.Counter(
        source.class_name
        for inventory in (survey.inventory, survey.other_inventory)
        if inventory is not None
        for source in inventory.sources
        if source.file in survey.unreadable
    )
    labels = _label_classes(survey)
    return {
        name: _summarise(members)
        | {"label": labels.get(name, -1), "unreadable": num_unreadable[name]}
        for name, members in sorted(images_of_class.items())
    }


def find_empty_images(survey: Survey) -> list[Finding]:
    """Returns findings about images of one grey level, and about black, white and saturated ones."""
    usual_white = np.median([facts.white for facts in survey.facts])
    kinds = collections.defaultdict(list)
    for source, facts in zip(survey.sources, survey.facts, strict=True):
        kind = _classify(facts, float(usual_white))
        if kind:
            kinds[kind].append(source.file)
    texts = {
        "constant": "have a single grey level",
        "black": "are black, except for a few pixels",
        "white": "are white, except for a few pixels",
        "saturated": f"are white in more than {_SATURATED:.0%} of their area, unlike most images",
    }
    return [
        Finding(
            f"{kind}_images",
            "warning",
            count_things(len(files), f"{kind} image"),
            f"{len(files)} of {len(survey.facts)} images {texts[kind]}. Remove them: among normal images "
            "they teach the model that nothing is normal, and among anomalies they are found too easily.",
            take_examples(files),
        )
        for kind, files in kinds.items()
    ]


def find_borders(survey: Survey) -> list[Finding]:
    """Returns findings about dark and white frames, and about boxes in corners."""
    findings = []
    for colour in ("dark", "white"):
        shares = _share_of_classes(
            survey, lambda facts, colour=colour: getattr(facts.borders, colour) >= _MIN_BORDER
        )
        if max(shares.values()) >= _MIN_FRAMED:
            whole = np.mean([getattr(facts.borders, colour) for facts in survey.facts])
            visible = np.mean(
                [getattr(f.visible_borders or f.borders, colour) for f in survey.facts]
            )
            findings.append(
                Finding(
                    f"{colour}_frame",
                    "notice",
                    f"a {colour} frame",
                    f"Images have a {colour} frame: {_list_shares(shares)}. It covers {whole:.1%} of an "
                    f"image on average, and {visible:.1%} of the part that the model sees. data.crop cuts "
                    "it off; data.roi hides it.",
                )
            )
    for corner, name in enumerate(CORNERS):
        shares = _share_of_classes(survey, lambda facts, i=corner: facts.borders.boxes[i] > 0)
        with_box = [
            source.file
            for source, facts in zip(survey.sources, survey.facts, strict=True)
            if facts.borders.boxes[corner] > 0
        ]
        if max(shares.values()) < _MIN_BOXED or len(with_box) < _MIN_BOXES:
            continue
        visible = _share_of_classes(
            survey, lambda facts, i=corner: (facts.visible_borders or facts.borders).boxes[i] > 0
        )
        is_uneven = np.ptp(list(shares.values())) >= _MIN_DIFFERENCE
        findings.append(
            Finding(
                "corner_box",
                "warning" if is_uneven else "notice",
                f"a box in the {name} corner",
                f"Images have a box of one colour in the {name} corner: {_list_shares(shares)}. In the "
                f"part that the model sees: {_list_shares(visible)}. "
                + (
                    "The classes differ in it, so a model may tell them apart by the box alone. "
                    if is_uneven
                    else ""
                )
                + "data.crop cuts it off; data.roi hides it.",
                take_examples(with_box),
            )
        )
    return findings


def find_kinds(survey: Survey) -> list[Finding]:
    """Returns a finding if normal and abnormal images differ in format or kind of pixels."""
    findings = []
    for name, description in (("file_format", "file format"), ("kind", "kind of pixels")):
        counts = {0: collections.Counter(), 1: collections.Counter()}
        for label, value in zip(survey.labels.tolist(), survey.gather(name), strict=True):
            if label in counts:
                counts[label][value] += 1
        if not counts[0] or not counts[1]:
            continue
        shares = {
            label: {value: n / counter.total() for value, n in counter.items()}
            for label, counter in counts.items()
        }
        values = sorted(shares[0].keys() | shares[1].keys())
        distance = sum(abs(shares[0].get(v, 0) - shares[1].get(v, 0)) for v in values) / 2
        if distance >= _MIN_DIFFERENCE:
            listed = "; ".join(
                f"{value}: {shares[0].get(value, 0):.0%} of the normal images, "
                f"{shares[1].get(value, 0):.0%} of the abnormal ones"
                for value in values
            )
            findings.append(
                Finding(
                    f"{name}_differs",
                    "warning",
                    f"the {description} differs between normal and abnormal images",
                    f"The {description} differs between normal and abnormal images ({listed}), so they "
                    "come from different sources. Store all images in the same way.",
                )
            )
    return findings


def find_lost_levels(
    survey: Survey, train_rows: Int[np.ndarray, "_"], intensity: Intensity, dataset: str
) -> list[Finding]:
    """Returns a finding if a run would refuse the images because few grey levels would be left."""
    if intensity == OWN_RANGE:  # percentiles of the training images, which keep their levels
        return []
    levels = np.array(survey.gather("levels"), np.float64).reshape(len(survey.labels), -1)
    try:
        check_levels(levels, levels[train_rows], intensity, dataset)
    except UserError as error:
        return [make_refusal("bit_depth", "few grey levels would be left", error)]
    return []


def _summarise(members: Sequence[tuple[Any, ImageFacts]]) -> dict[str, Any]:
    facts = [fact for _, fact in members]
    sizes = collections.Counter(f"{fact.width}x{fact.height}" for fact in facts)
    widths, heights = (np.array([getattr(f, side) for f in facts]) for side in ("width", "height"))
    return {
        "count": len(facts),
        "sizes": dict(sizes.most_common(_MAX_LISTED)),
        "num_sizes": len(sizes),
        "width": _summarise_numbers(widths),
        "height": _summarise_numbers(heights),
        "aspect_ratio": _summarise_numbers(widths / heights),
        "bytes": _summarise_numbers(np.array([fact.num_bytes for fact in facts])),
        "formats": dict(collections.Counter(fact.file_format for fact in facts).most_common()),
        "kinds": dict(collections.Counter(fact.kind for fact in facts).most_common()),
        "coloured": sum(fact.is_coloured for fact in facts),
        "dark_border": float(np.mean([fact.borders.dark for fact in facts])),
        "boxes": {
            corner: sum(fact.borders.boxes[i] > 0 for fact in facts)
            for i, corner in enumerate(CORNERS)
        },
    }


def _summarise_numbers(values: np.ndarray) -> dict[str, float]:
    return {
        "lowest": float(values.min()),
        "median": float(np.median(values)),
        "highest": float(values.max()),
    }


def _label_classes(survey: Survey) -> dict[str, int]:
    """Returns the label of each class of images; a class with an abnormal tile is abnormal."""
    labels: dict[str, int] = {}
    for image, label in zip(survey.image_of_row.tolist(), survey.labels.tolist(), strict=True):
        name = survey.sources[image].class_name
        labels[name] = max(labels.get(name, -1), label)
    return labels


def _classify(facts: ImageFacts, usual_white: float) -> str:
    if facts.std == 0:
        return "constant"
    if facts.black >= _EMPTY:
        return "black"
    if facts.white >= _EMPTY:
        return "white"
    if facts.std < _FLAT:
        return "constant"
    if facts.white > _SATURATED and usual_white < _USUALLY_SATURATED:
        return "saturated"
    return ""


def _share_of_classes(survey: Survey, condition) -> dict[str, float]:
    counts: dict[str, list[bool]] = collections.defaultdict(list)
    for source, facts in zip(survey.sources, survey.facts, strict=True):
        counts[source.class_name].append(bool(condition(facts)))
    return {name: float(np.mean(values)) for name, values in sorted(counts.items())}


def _list_shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{share:.0%} of {name}" for name, share in shares.items())
