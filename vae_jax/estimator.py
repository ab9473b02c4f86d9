"""The detector as an estimator of scikit-learn: arrays in, scores and decisions out.

n images, D numbers of an image, H W image as it is passed, C channels.
"""

import inspect
import logging
import os
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from vae_jax.data.array_images import choose_shape
from vae_jax.detector.detector import Detector
from vae_jax.detector.parts import DetectorParts
from vae_jax.detector.storage import read_detector, write_detector
from vae_jax.errors import UserError
from vae_jax.estimator_config import make_config, plan_epochs
from vae_jax.estimator_data import frame_rows, make_dataset
from vae_jax.estimator_file import FILE, describe_estimator, read_estimator
from vae_jax.fit_detector import fit_detector
from vae_jax.runtime.progress import hide_progress_bars
from vae_jax.scoring.role_scores import Columns
from vae_jax.workdir import write_text

_log = logging.getLogger(__name__)

_CHUNK = 1024  # images that are scored together


class VAEDetector(OutlierMixin, BaseEstimator):
    """Fits a VAE to normal images, and tells which new images are unlike them.

    A part of the images trains the model, a part chooses its best state, and a part calibrates: the
    promised rate of false alarms holds for new images that are exchangeable with these. All images that are
    passed to `fit` should be normal. Parameters are checked by `fit`.

    Images are arrays (n, H, W, C) with one or three channels, (n, H, W), or rows (n, D) of `image_shape`.
    Numbers of type uint8 are grey levels. Of other types, the window `value_range` becomes grey.

    Attributes:
        n_features_in_: D, or H * W * C.
        image_shape_: height, width and channels of an image.
        intensity_: the map from numbers to grey levels.
        offset_: threshold: images with a lower `score_samples` are abnormal.
        promised_rate_: promised share of normal images that are called abnormal. It is higher than
            `false_alarm_rate` where the calibration images are too few for it.
        deciding_score_: name of the score.
        detector_: the fitted `vae_jax.Detector`.

    Args:
        observation: what the model explains: "pixels", "bands", "features" (needs the extra `features`), or
            several of the latter two, as in "features,bands".
        deciding_score: name of the score that decides, as in `scoring.decision`; None takes the fusion of
            several scores.
        steps: training steps.
        latent_dim: dimensions of the latent.
        calibration_fraction: share of the images that calibrate.
        false_alarm_rate: promised share of normal images that are called abnormal.
        image_shape: height and width, or height, width and channels, of the images in rows (n, D). None
            takes the smallest grey square that holds D numbers.
        image_size: side of the square that the model sees, pixels. None takes the longer side of the
            images, at most 64 for pixels, 128 for bands and 224 for features.
        value_range: numbers that become black and white. None takes uint8 as it is, and for other types the
            range from the 0.1th to the 99.9th percentile of the training images, with a quarter of its
            length added at each end.
        config: other fields of `vae_jax.config.default`, as in {"model.widths": (16, 32)}.
        random_state: seed of the split into parts, of the initialisation and of all noise.
        verbose: whether `fit` shows progress bars.
    """

    def __init__(
        self,
        observation="pixels",
        *,
        deciding_score=None,
        steps=1000,
        latent_dim=16,
        calibration_fraction=0.2,
        false_alarm_rate=0.05,
        image_shape=None,
        image_size=None,
        value_range=None,
        config=None,
        random_state=None,
        verbose=False,
    ):
        self.observation = observation
        self.deciding_score = deciding_score
        self.steps = steps
        self.latent_dim = latent_dim
        self.calibration_fraction = calibration_fraction
        self.false_alarm_rate = false_alarm_rate
        self.image_shape = image_shape
        self.image_size = image_size
        self.value_range = value_range
        self.config = config
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> "VAEDetector":
        """Trains the model on a part of the images, and calibrates the threshold on another part.

        Args:
            X: normal images.
            y: is not used.
            groups: patient, video or object of each image. Images of a group stay in one part, without
                which images of the same patient would calibrate a model that knows the patient.

        Raises:
            UserError: if a parameter has no valid value, or there are too few images or groups.
            ValueError: if X is not an array of finite numbers.
        """
        rows, shape = self._read_rows(X, reset=True)
        shape = shape or choose_shape(rows.shape[1], self.image_shape)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        config = make_config(self.get_params(), shape, seed)
        groups = range(len(rows)) if groups is None else groups
        if len(groups) != len(rows):
            raise ValueError(f"there are {len(groups)} groups and {len(rows)} images")
        dataset = make_dataset(config, rows, shape, list(map(str, groups)), self.value_range)
        plan_epochs(config, len(dataset.train))
        if self.verbose:
            parts = fit_detector(config, dataset)
        else:
            with hide_progress_bars():
                parts = fit_detector(config, dataset)
        self.image_shape_ = shape
        self._take_parts(parts)
        warning = self.detector_.threshold.warning
        if warning:
            _log.warning("%s", warning)
        return self

    def score_samples(self, X: Any) -> Float[np.ndarray, "n"]:
        """Returns minus the deciding score of each image: lower is more abnormal."""
        return -self._score(X)[self.deciding_score_]

    def decision_function(self, X: Any) -> Float[np.ndarray, "n"]:
        """Returns `score_samples` minus `offset_`: negative where an image is abnormal."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Int[np.ndarray, "n"]:
        """Returns 1 for each normal image, and -1 for each abnormal one."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> Float[np.ndarray, "n"]:
        """Returns the conformal p-value of each image: small where an image is unlike the normal ones."""
        columns = self._score(X)
        return self.detector_.decide(columns).p_values

    def save(self, path: str | os.PathLike) -> None:
        """Writes a folder without pickle, which `VAEDetector.load` and `vae_jax.Detector.load` read.

        Raises:
            UserError: if `config` or another parameter is no value of JSON.
        """
        check_is_fitted(self)
        parameters = self.get_params()
        if not isinstance(self.random_state, int | None):
            parameters["random_state"] = None  # the state of a generator; the fitted numbers stay
        attributes = {"image_shape_": self.image_shape_, "n_features_in_": self.n_features_in_}
        if hasattr(self, "feature_names_in_"):
            attributes["feature_names_in_"] = self.feature_names_in_.tolist()
        text = describe_estimator(parameters, attributes)
        folder = pathlib.Path(path).expanduser()
        write_detector(folder, self.detector_.parts)
        write_text(folder / FILE, text)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "VAEDetector":
        """Reads a fitted estimator that `save` has written.

        Raises:
            UserError: if there is none, or it is damaged.
        """
        folder = pathlib.Path(path).expanduser()
        parameters, attributes = read_estimator(folder, list(inspect.signature(cls).parameters))
        estimator = cls(**parameters)
        if "feature_names_in_" in attributes:
            names = np.array(attributes["feature_names_in_"], dtype=object)
            attributes["feature_names_in_"] = names
        vars(estimator).update(attributes)
        estimator._take_parts(read_detector(folder))
        return estimator

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        # Compiled programs stay here; they are made again from the parts.
        detector = state.pop("detector_", None)
        return state if detector is None else state | {"_parts": detector.parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        parts = state.pop("_parts", None)
        super().__setstate__(state)
        if parts is not None:
            self._take_parts(parts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _take_parts(self, parts: DetectorParts) -> None:
        self.detector_ = Detector(parts)
        self.deciding_score_ = self.detector_.deciding_score
        self.offset_ = -self.detector_.threshold.upper
        self.promised_rate_ = self.detector_.promised_rate
        self.intensity_ = parts.preprocessing.framing.intensity

    def _score(self, X: Any) -> Columns:
        check_is_fitted(self)
        rows, shape = self._read_rows(X, reset=False)
        if shape is not None and shape != self.image_shape_:
            raise ValueError(f"X has images of {shape}, but those of fit had {self.image_shape_}")
        preprocessing, scorer = self.detector_.parts.preprocessing, self.detector_.scorer
        chunks = []
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            images = frame_rows(chunk, self.image_shape_, preprocessing)
            chunks.append(scorer.score(images)[0])
        columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        columns = scorer.combine(columns)
        broken = np.flatnonzero(~np.isfinite(columns[self.deciding_score_]))
        if len(broken):
            raise UserError(
                f"the score {self.deciding_score_} of image {broken[0]} is not a finite number; choose "
                "another deciding_score"
            )
        return {name: np.asarray(values, np.float64) for name, values in columns.items()}

    def _read_rows(
        self, X: Any, *, reset: bool
    ) -> tuple[Num[np.ndarray, "n D"], tuple[int, int, int] | None]:
        """Returns the images as rows, and their shape unless they were passed as rows."""
        shape = None
        if getattr(X, "ndim", 2) in (3, 4):
            X = np.asarray(X)
            shape = (*X.shape[1:], 1) if X.ndim == 3 else X.shape[1:]
            X = X.reshape(len(X), -1)
        rows = validate_data(
            self, X, reset=reset, dtype="numeric", ensure_min_samples=3 if reset else 1
        )
        return rows, shape
