"""The images of an audit as columns, with labels and roles as a run would give them.

A row is a crop, which is what a model sees: a whole image, or one of its tiles. An image that cannot be
read has no row.

N images that can be read, M rows, D pixels of a thumbnail.
"""

import dataclasses
import logging
from collections.abc import Sequence

import ml_collections
import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from vae_jax.audit.findings import Finding, count_things, take_examples
from vae_jax.audit.framing import read_framing, read_region, show_whole
from vae_jax.audit.image_facts import ImageFacts, Request
from vae_jax.audit.inventory import Inventory, take_inventory
from vae_jax.audit.labelling import choose_classes, label_rows, list_anomalies
from vae_jax.audit.measurements import can_keep_thumbnails, measure_images
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.framing import Framing
from vae_jax.data.framing_choice import judge_sizes
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError

PICTURES_PER_CLASS = 24

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Survey:
    """All images of an audit.

    Attributes:
        sources: the images that can be read.
        facts: their facts.
        unreadable: file -> reason, of the images that cannot be read.
        labels: label of each row: 0 normal, 1 anomaly, `NO_LABEL`.
        classes: class of each row; a tile of an abnormal strip may have another class than its strip.
        groups: group of each row.
        image_of_row: position of the image of each row in `sources`.
        official_test: which rows belong to the official test split; None if there is no such split.
        test_only: which rows may only be in test.
        thumbnails: thumbnail of each row; None if there are too many images to compare.
        framing: how images become squares. Images that tiles cover are measured as whole, stretched images,
            because a run judges them as wholes.
        inventory: what the dataset consists of.
        other_inventory: the same of the dataset of anomalies; None without one.
    """

    sources: list[SourceImage]
    facts: list[ImageFacts]
    unreadable: dict[str, str]
    labels: Int32[np.ndarray, "M"]
    classes: list[str]
    groups: list[str]
    image_of_row: Int[np.ndarray, "M"]
    official_test: Bool[np.ndarray, "M"] | None
    test_only: Bool[np.ndarray, "M"]
    thumbnails: Float32[np.ndarray, "M D"] | None
    framing: Framing
    inventory: Inventory
    other_inventory: Inventory | None

    @property
    def files(self) -> list[str]:
        """File of each row."""
        return [self.sources[image].file for image in self.image_of_row]

    def gather(self, name: str) -> list:
        """Returns one value per row: an attribute of the facts of its image."""
        return [getattr(self.facts[image], name) for image in self.image_of_row]


def survey_images(
    data_config: ml_collections.ConfigDict, seed: int
) -> tuple[Survey, list[Finding]]:
    """Reads all images once, and labels them.

    Args:
        data_config: the `data` group of the config.
        seed: seed of the choice of pictures for the page.

    Returns:
        The survey, and findings about what would stop a run before it gives images their roles.

    Raises:
        UserError: if there is nothing to audit: no folder, no image, or no image that can be read.
    """
    findings = []
    framing = read_framing(data_config, findings)
    region = read_region(data_config, findings)
    inventory = take_inventory(data_config, data_config.dataset, data_config.manual_dir)
    normal, abnormal = choose_classes(data_config, inventory, findings)
    findings += inventory.findings
    sources, official_test = list(inventory.sources), inventory.official_test
    other = None
    if data_config.anomaly_dataset:
        other = take_inventory(
            data_config, data_config.anomaly_dataset, data_config.anomaly_manual_dir
        )
        findings += other.findings
        anomalies = list_anomalies(data_config, other, abnormal, findings)
        if official_test is not None:
            official_test = np.append(official_test, np.ones(len(anomalies), bool))
        sources += anomalies
    request = Request(
        framing=show_whole(framing),
        mask_values=inventory.builder.MASK_VALUES
        if data_config.mask_values == "auto"
        else data_config.mask_values,
        max_pixels=data_config.max_pixels,
        region=region,
        pictured=_choose_pictures(sources, seed),
        keeps_thumbnails=can_keep_thumbnails(len(sources)),
    )
    measured = list(measure_images(sources, request))
    readable = [i for i, facts in enumerate(measured) if not isinstance(facts, str)]
    unreadable = {
        source.file: facts
        for source, facts in zip(sources, measured, strict=True)
        if isinstance(facts, str)
    }
    if not readable:
        file, reason = next(iter(unreadable.items()))
        raise UserError(
            f"none of {len(sources)} images can be read, for example {file} ({reason}); replace them"
        )
    images = [sources[i] for i in readable]
    facts = [measured[i] for i in readable]
    rows, classes, not_used = _list_rows(images, facts, inventory, framing)
    if not_used:
        _log.warning("%d images without a mask give no tiles", not_used)
    in_other = np.array([i >= len(inventory.sources) for i in readable], bool)[rows]
    labels = label_rows(classes, in_other, normal, abnormal, data_config, findings)
    thumbnails = None
    if request.keeps_thumbnails and can_keep_thumbnails(len(rows)):
        thumbnails = _join_thumbnails(facts, rows)
    survey = Survey(
        sources=images,
        facts=facts,
        unreadable=unreadable,
        labels=labels,
        classes=classes,
        groups=[images[image].group for image in rows],
        image_of_row=rows,
        official_test=None if official_test is None else official_test[readable][rows],
        test_only=np.isin(classes, list(inventory.builder.CLEAN_TILES.values())),
        thumbnails=thumbnails,
        framing=framing,
        inventory=inventory,
        other_inventory=other,
    )
    survey = _resolve_framing(survey)
    return survey, findings + _find_unreadable(survey, data_config.skip_corrupt)


def _resolve_framing(survey: Survey) -> Survey:
    """Returns the survey with the framing that "auto" stands for."""
    if survey.framing.framing != "auto":
        return survey
    rows = survey.labels == 0
    if survey.official_test is not None and (rows & ~survey.official_test).any():
        rows &= ~survey.official_test
    if not rows.any():
        rows[:] = True
    sizes = np.array([survey.gather("width"), survey.gather("height")]).T[rows]
    kind, _ = judge_sizes(sizes, survey.framing)
    return dataclasses.replace(survey, framing=dataclasses.replace(survey.framing, framing=kind))


def _choose_pictures(sources: Sequence[SourceImage], seed: int) -> set[str]:
    """Returns the files of which the page shows a picture, a few of each class."""
    files_of_class: dict[str, list[str]] = {}
    for source in sources:
        files_of_class.setdefault(source.class_name, []).append(source.file)
    return {
        files[row]
        for files in files_of_class.values()
        for row in draw_rows(len(files), PICTURES_PER_CLASS, seed, in_order=True)
    }


def _list_rows(
    images: Sequence[SourceImage],
    facts: Sequence[ImageFacts],
    inventory: Inventory,
    framing: Framing,
) -> tuple[Int[np.ndarray, "M"], list[str], int]:
    """Returns the image and the class of each row, and how many images give no row."""
    clean_tiles = inventory.builder.CLEAN_TILES if framing.cuts_strips else {}
    rows, classes, num_without_rows = [], [], 0
    for i, (image, fact) in enumerate(zip(images, facts, strict=True)):
        clean = clean_tiles.get(image.class_name)
        if clean is not None and image.mask is None:
            num_without_rows += 1
            continue
        rows += [i] * len(fact.crop_digests)
        classes += [
            image.class_name if clean is None or has_defect else clean
            for has_defect in fact.has_defect
        ]
    return np.array(rows, np.int64), classes, num_without_rows


def _join_thumbnails(
    facts: Sequence[ImageFacts], rows: Int[np.ndarray, "M"]
) -> Float32[np.ndarray, "M D"] | None:
    parts = [facts[image].thumbnails for image in dict.fromkeys(rows.tolist())]
    return np.concatenate(parts) if parts else None


def _find_unreadable(survey: Survey, skips: bool) -> list[Finding]:
    if not survey.unreadable:
        return []
    count = len(survey.unreadable)
    files = [f"{file}: {reason}" for file, reason in survey.unreadable.items()]
    consequence = (
        "data.skip_corrupt leaves them out"
        if skips
        else "training will refuse the dataset; replace them, or set --config.data.skip_corrupt=true"
    )
    return [
        Finding(
            "unreadable",
            "warning" if skips else "refusal",
            count_things(count, "unreadable image"),
            f"{count} of {count + len(survey.sources)} images cannot be read: {consequence}.",
            take_examples(files),
        )
    ]
