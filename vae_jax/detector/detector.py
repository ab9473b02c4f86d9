"""A trained run as a detector for programs: images in, scores and decisions out.

N rows: images, or tiles of images where images are cut into tiles. H W image, C channels.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vae_jax.detector.artifact import read_artifact
from vae_jax.detector.exported_scorer import ExportedScorer, Scorer
from vae_jax.detector.image_scorer import ImageScorer
from vae_jax.detector.parts import DetectorParts
from vae_jax.detector.sources import Source, list_sources
from vae_jax.detector.storage import read_detector
from vae_jax.detector.stream import ScoredImage, score_images, score_sources
from vae_jax.errors import UserError
from vae_jax.scoring.calibration import Threshold, quantile
from vae_jax.scoring.decision import Decision, decide, judge
from vae_jax.scoring.role_scores import Columns, RoleScores
from vae_jax.validate import DECISION_FIELDS, validate_config
from vae_jax.workdir import override_fields


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The outcome for some images.

    Attributes:
        names: path of each file, or number of each image; a tile that is judged by itself is followed by
            `@` and its offset.
        scores: name of a score -> its value for each row; higher is more anomalous.
        p_values: conformal p-value of each row under the deciding score.
        anomalous: whether each row is anomalous.
        images: the images, decoded.
        scorer: computes the anomaly maps.
    """

    names: list[str]
    scores: dict[str, Float[np.ndarray, "N"]]
    p_values: Float[np.ndarray, "N"]
    anomalous: Bool[np.ndarray, "N"]
    images: list[ScoredImage] = dataclasses.field(repr=False)
    scorer: Scorer = dataclasses.field(repr=False)

    def anomaly_maps(self) -> list[Float[np.ndarray, "H W"]]:
        """Computes the anomaly map of each row, in standard deviations above calibration normals.

        All maps have the size of the model's images, unless tiles cover images of different sizes.
        """
        scored = score_images(self.images, self.scorer, with_maps=True)
        return [values for image in scored for values in image.maps]


class Detector:
    """Scores new images with a trained run, and decides which of them are anomalous.

    Attributes:
        parts: what it was fitted on.
        scorer: computes scores and anomaly maps.

    Args:
        parts: a fitted detector.
        scorer: the programs of an exported detector; None scores by the model.
    """

    def __init__(self, parts: DetectorParts, scorer: Scorer | None = None):
        self.parts = parts
        self.scorer = ImageScorer(parts) if scorer is None else scorer
        # A decision about calibration normals themselves has the thresholds of every decision.
        role_scores = RoleScores(parts.calibration, parts.calibration)
        self._decision = decide(parts.names, role_scores, parts.config.scoring)

    @classmethod
    def load(cls, path: str | os.PathLike, **scoring: Any) -> "Detector":
        """Reads the detector of a run, or an exported one.

        Args:
            path: a workdir, the folder `detector` in it, or the file that `--mode=export` has written.
            scoring: fields of the `scoring` group that decide otherwise than the run did: `decision`,
                `threshold_rule`, `false_alarm_rate`, `false_discovery` and `mean_std_k`.

        Raises:
            UserError: if there is no detector, it is damaged or of another version, or a field is not one
                of these or has no valid value.
        """
        path = pathlib.Path(path).expanduser()
        if path.is_file():
            artifact = read_artifact(path)
            return cls(change_decision(artifact.parts, scoring), ExportedScorer(artifact))
        return cls(change_decision(read_detector(path), scoring))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scores."""
        return self.parts.names

    @property
    def deciding_score(self) -> str:
        """Name of the score that decides."""
        return self._decision.score

    @property
    def rule(self) -> str:
        """The rule of the decision, in words."""
        return self._decision.rule

    @property
    def promised_rate(self) -> float | None:
        """Promised share of normal images that are called anomalous; None if the rule promises none."""
        return self._decision.promised_rate

    @property
    def threshold(self) -> Threshold:
        """Threshold of the deciding score."""
        return self._decision.thresholds[self._decision.score]

    @property
    def contour(self) -> float:
        """Value of a map that a normal image passes, anywhere, with at most the rate of false alarms."""
        return quantile(self.parts.map.maxima, self.parts.config.scoring.false_alarm_rate).upper

    def predict(self, images: Any) -> Predictions:
        """Scores images and decides about them; all of them are in memory together.

        Args:
            images: a path of a file or a folder, a uint8 or uint16 array [H, W], [H, W, C] or, of several
                images, [N, H, W, C], an image of Pillow, or an iterable of any of them. Grey images,
                colour images and images of any size are treated as in training.

        Raises:
            UserError: if an image cannot be read; the message names it.
        """
        return self._join(list(self._score_readable(images)))

    def stream(self, images: Any, batch_size: int = 64) -> Iterator[Predictions]:
        """Yields the predictions of `batch_size` images at a time, in constant memory.

        Args:
            images: as for `predict`.
            batch_size: number of images of each result; the last one may have fewer.

        Raises:
            UserError: if an image cannot be read, or `scoring.false_discovery` decides about all images
                together.
        """
        if self.parts.config.scoring.false_discovery:
            raise UserError(
                "scoring.false_discovery decides about all images together, which a stream never has; use "
                "`predict`, or load the detector with false_discovery=False"
            )
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}; it must be at least 1")
        batch: list[ScoredImage] = []
        for image in self._score_readable(images):
            batch.append(image)
            if len(batch) == batch_size:
                yield self._join(batch)
                batch = []
        if batch:
            yield self._join(batch)

    def score_sources(
        self, sources: Iterable[Source], *, with_maps: bool = False
    ) -> Iterator[ScoredImage]:
        """Yields every source with its scores, or with the reason why it has none, in constant memory."""
        return score_sources(sources, self.parts.preprocessing, self.scorer, with_maps=with_maps)

    def decide(self, columns: Columns) -> Decision:
        """Decides by the scores of some images which of them are anomalous."""
        scores = columns[self.deciding_score]
        p, anomalous = judge(
            self.parts.calibration[self.deciding_score],
            scores,
            self.threshold,
            self.parts.config.scoring,
        )
        return dataclasses.replace(self._decision, scores=scores, p_values=p, anomalous=anomalous)

    def _score_readable(self, images: Any) -> Iterator[ScoredImage]:
        sources = list_sources(images, self.parts.preprocessing.max_pixels)
        for image in self.score_sources(sources):
            if image.error:
                raise UserError(f"{image.source.name}: {image.error}")
            yield image

    def _join(self, images: list[ScoredImage]) -> Predictions:
        columns = {
            name: np.concatenate([np.empty(0), *(image.columns[name] for image in images)])
            for name in self.parts.names
        }
        decision = self.decide(columns)
        names = [name for image in images for name in image.names]
        return Predictions(
            names, columns, decision.p_values, decision.anomalous, images, self.scorer
        )


def change_decision(parts: DetectorParts, scoring: dict[str, Any]) -> DetectorParts:
    """Returns a detector that decides otherwise.

    Args:
        parts: the detector.
        scoring: fields of the `scoring` group, among DECISION_FIELDS.

    Raises:
        UserError: if a field is not one of them, its value is not valid, or the detector does not compute
            the score that shall decide.
    """
    for field in scoring:
        if field not in DECISION_FIELDS:
            raise UserError(
                f"scoring.{field} cannot change in a detector; valid: {', '.join(DECISION_FIELDS)}"
            )
    return override_config(parts, {f"scoring.{field}": value for field, value in scoring.items()})


def override_config(parts: DetectorParts, fields: Mapping[str, Any]) -> DetectorParts:
    """Returns a detector whose config has other values.

    Args:
        parts: the detector.
        fields: `{"group.field": value}` of fields on which nothing that was fitted depends.

    Raises:
        UserError: if a value is not valid, or the detector does not compute the score that shall decide.
    """
    config = parts.config.copy_and_resolve_references()
    try:
        override_fields(config, fields)
    except (TypeError, ValueError) as error:
        raise UserError(f"{', '.join(fields)}: {' '.join(str(error).split())}") from error
    validate_config(config)
    decision = config.scoring.decision
    if decision and decision not in parts.names:
        raise UserError(
            f"scoring.decision is {decision}, which this detector does not compute; valid: "
            f"{', '.join(parts.names)}; for another score run --mode=evaluate with "
            f"--config.scoring.decision={decision}"
        )
    return dataclasses.replace(parts, config=config)
