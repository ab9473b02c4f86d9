"""How well trivial features separate anomalies from normal images, before any model is trained.

A feature that says nothing about what an image shows, such as the width of its file, must not separate
them: a model that sees a trace of it would win for the wrong reason.

M rows, K rows that are compared.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from vae_jax.audit.findings import Finding
from vae_jax.audit.survey import Survey
from vae_jax.metrics.delong import delong
from vae_jax.scoring.trivial import rarity

# Name of a feature -> its description. These say nothing about what an image shows.
FORMAL_FEATURES = {
    "stored_width": "width of the file",
    "stored_height": "height of the file",
    "aspect_ratio": "width divided by height",
    "jpeg_quantisation": "strength of the JPEG compression",
    "is_coloured": "colour in place of grey",
    "dark_border": "dark border of the whole image",
    "white_border": "white border of the whole image",
    "corner_box": "box in a corner of the whole image",
    "visible_dark_border": "dark border of the visible part",
    "visible_white_border": "white border of the visible part",
    "visible_corner_box": "box in a corner of the visible part",
}
# These depend on what an image shows, and may be what makes it abnormal.
CONTENT_FEATURES = {
    "stored_bytes": "bytes of the file",
    "mean": "mean brightness",
    "std": "contrast",
    "channel_mean_0": "mean red",
    "channel_mean_1": "mean green",
    "channel_mean_2": "mean blue",
    "dark_fraction": "share of dark pixels",
    "compressed_size": "size of the visible part after compression",
}
# A feature is a shortcut if the lower end of the interval of its separation is above this.
_MAX_SEPARATION = {True: 0.6, False: 0.75}  # formal features, features of the content
_MAX_NAMED = 3  # features in the title of a finding


@dataclasses.dataclass(frozen=True)
class Separation:
    """How well one feature separates anomalies from normal images.

    Attributes:
        name: name of the feature.
        description: what it is.
        is_formal: whether it says nothing about what an image shows.
        auroc: AUROC of the better direction, at least 0.5, with `low` and `high` of its 95 % interval.
        direction: "higher" or "lower" values are abnormal; "rare", those that few training normals have.
    """

    name: str
    description: str
    is_formal: bool
    auroc: dict[str, float]
    direction: str

    @property
    def is_shortcut(self) -> bool:
        """Whether the feature separates so well that a model may win by it alone."""
        return self.auroc["low"] >= _MAX_SEPARATION[self.is_formal]


def collect_features(survey: Survey) -> dict[str, Float[np.ndarray, "M"]]:
    """Returns name of a feature -> its value for each row."""
    images = dict.fromkeys(survey.image_of_row.tolist())
    names = next((list(survey.facts[image].features) for image in images), [])
    features = {
        name: np.concatenate([survey.facts[image].features[name] for image in images])
        for name in names
    }
    width, height = (np.array(survey.gather(name), float) for name in ("width", "height"))
    borders, visible = survey.gather("borders"), survey.gather("visible_borders")
    seen = [view or whole for view, whole in zip(visible, borders, strict=True)]
    return features | {
        "aspect_ratio": width / height,
        "jpeg_quantisation": np.array(survey.gather("quantisation"), float),
        "is_coloured": np.array(survey.gather("is_coloured"), float),
        "dark_border": np.array([border.dark for border in borders]),
        "white_border": np.array([border.white for border in borders]),
        "corner_box": np.array([max(border.boxes) for border in borders]),
        "visible_dark_border": np.array([border.dark for border in seen]),
        "visible_white_border": np.array([border.white for border in seen]),
        "visible_corner_box": np.array([max(border.boxes) for border in seen]),
    }


def measure_separations(
    features: Mapping[str, Float[np.ndarray, "M"]],
    labels: Int[np.ndarray, "M"],
    train_rows: Int[np.ndarray, "_"],
    test_rows: Int[np.ndarray, "K"],
    groups: Sequence[str],
) -> list[Separation]:
    """Measures every feature that is not the same for all images; the best ones are first.

    Args:
        features: name -> value of each row.
        labels: label of each row.
        train_rows: training normals, by which rare values are known; they may be none.
        test_rows: rows that are ranked; all of them have the label 0 or 1.
        groups: group of each row; the intervals count a group as one unit.

    Returns:
        One separation per feature; none if the rows have only one label.
    """
    ranked_labels = labels[test_rows]
    if len(np.unique(ranked_labels)) < 2:
        return []
    ranked_groups = [groups[row] for row in test_rows]
    separations = []
    for name, description in (FORMAL_FEATURES | CONTENT_FEATURES).items():
        values = features.get(name)
        if values is None or np.ptp(values[test_rows]) == 0:
            continue
        direction, auroc = _measure_direction(values[test_rows], ranked_labels, ranked_groups)
        if len(train_rows):
            rare = rarity(values[train_rows], values[test_rows])
            rare_auroc = delong(rare, ranked_labels, ranked_groups)
            if rare_auroc["value"] > auroc["value"]:
                direction, auroc = "rare", rare_auroc
        separations.append(Separation(name, description, name in FORMAL_FEATURES, auroc, direction))
    return sorted(separations, key=lambda separation: -separation.auroc["low"])


def _measure_direction(
    values: Float[np.ndarray, "K"],
    labels: Int[np.ndarray, "K"],
    groups: Sequence[str],
) -> tuple[str, dict[str, float]]:
    """Returns which values are abnormal, "higher" or "lower" ones, and the AUROC in that direction."""
    auroc = delong(values, labels, groups)
    if auroc["value"] >= 0.5:
        return "higher", auroc
    flipped = {"value": auroc["value"], "low": auroc["high"], "high": auroc["low"]}
    return "lower", {end: 1 - number for end, number in flipped.items()}


def select_rows(
    labels: Int[np.ndarray, "M"], roles: Mapping[str, Int[np.ndarray, "_"]] | None
) -> tuple[Int[np.ndarray, "_"], Int[np.ndarray, "K"]]:
    """Returns the training rows and the rows to rank; without roles, all labelled rows are ranked."""
    if roles is not None and len(np.unique(labels[roles["test"]])) == 2:
        return roles["train"], roles["test"]
    return np.zeros(0, np.int64), np.flatnonzero(labels >= 0)


def find_shortcuts(separations: Sequence[Separation]) -> list[Finding]:
    """Returns one finding for formal features, and one for features of the content."""
    findings = []
    for is_formal, kind, text in (
        (
            True,
            "shortcut",
            (
                "These features say nothing about what an image shows, so normal and abnormal images come "
                "from different sources, and a model that sees a trace of the source wins for the wrong "
                "reason. Get both from one source, hide what tells them apart (data.crop, data.roi), and "
                "compare every model with these numbers."
            ),
        ),
        (
            False,
            "content_shortcut",
            (
                "Perhaps the light or the camera differs, or these features are what makes an image "
                "abnormal. Look at the pictures, and compare every model with these numbers."
            ),
        ),
    ):
        found = [s for s in separations if s.is_shortcut and s.is_formal is is_formal]
        if found:
            titles = [f"{s.description} ({s.auroc['value']:.3f})" for s in found[:_MAX_NAMED]]
            findings.append(
                Finding(
                    kind,
                    "warning",
                    f"anomalies are separated by {', '.join(titles)}",
                    f"AUROC of abnormal against normal images: {'; '.join(map(_describe, found))}. {text}",
                )
            )
    return findings


def _describe(separation: Separation) -> str:
    auroc = separation.auroc
    return (
        f"{separation.description} {auroc['value']:.3f} [{auroc['low']:.3f}, {auroc['high']:.3f}]"
    )
