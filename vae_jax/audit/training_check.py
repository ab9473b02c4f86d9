"""What a run checks of its images before it trains: no test image has trained the model, and a verdict.

The verdict leaves out what would take long. `--mode=audit` looks at everything.

N images, K images that are compared.
"""

import collections
import dataclasses
import logging

import ml_collections
import numpy as np
from jaxtyping import Float, Int, UInt8

from vae_jax.audit.equal_images import describe_copies_in_test
from vae_jax.audit.findings import (
    Finding,
    count_things,
    describe_verdict,
    sort_findings,
    take_examples,
)
from vae_jax.audit.promised_rate import find_rate_problems, summarise_calibration
from vae_jax.audit.shortcuts import find_shortcuts, measure_separations
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.whole_images import list_tiles_of_images
from vae_jax.errors import UserError

_GRID = 16  # pixels per side of the sample by which images are compared and measured
_DARK = 26  # grey levels; as in `scoring/trivial.py`
_MIN_CONTRAST = 1.0  # grey levels; the sample of an image with a smaller deviation shows nothing
_CHUNK = 256  # images that are read at a time
_MAX_NAMED = 3  # pairs of copies that an error names

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Role:
    """The images of a role, whole images where they are covered by tiles.

    Attributes:
        examples: the images, or their tiles.
        names: name of each image.
        rows: rows of each image in `examples`.
        samples: every few pixels of each image.
    """

    examples: Examples
    names: list[str]
    rows: list[Int[np.ndarray, "_"]]
    samples: list[UInt8[np.ndarray, "_"]]

    @property
    def first_rows(self) -> Int[np.ndarray, "N"]:
        """The first row of each image."""
        return np.array([rows[0] for rows in self.rows], np.int64)


def check_dataset(dataset: Dataset, config: ml_collections.ConfigDict) -> None:
    """Refuses images that are both in test and in training, and logs the verdict about the images.

    Images that show nothing are not compared: they are equal for another reason.

    Args:
        dataset: the images with their roles.
        config: config of the run.

    Raises:
        UserError: if an image of train, val or calibration equals a test image, pixel by pixel, unless
            `data.allow_duplicates` is true.
    """
    roles = {
        role: _describe_role(getattr(dataset, role))
        for role in ("train", "val", "calibration", "test")
    }
    copies = _list_copies_in_test(roles)
    if copies and not config.data.allow_duplicates:
        named = "; ".join(" = ".join(pair) for pair in copies[:_MAX_NAMED])
        more = f"; and {len(copies) - _MAX_NAMED} more" if len(copies) > _MAX_NAMED else ""
        raise UserError(
            f"{count_things(len(copies), 'image')} in test and, with equal pixels, in train, val or "
            f"calibration ({named}{more}); remove one of each pair, give both one group in groups.csv, or "
            "set --config.data.allow_duplicates=true"
        )
    findings = [describe_copies_in_test(copies, allowed=True)] if copies else []
    features, labels, groups = _collect_features(roles)
    num_train = len(roles["train"].rows)
    separations = measure_separations(
        features,
        labels,
        np.arange(num_train),
        np.arange(num_train, len(labels)),
        groups,
    )
    findings += find_shortcuts(separations)
    findings += _find_empty_images(roles)
    findings += _find_hidden_anomalies(roles["test"])
    calibration = roles["calibration"]
    groups = {calibration.examples.groups[row] for row in calibration.first_rows}
    summary = summarise_calibration(len(calibration.rows), len(groups), config.scoring)
    findings += find_rate_problems(summary, config.scoring)
    verdict = describe_verdict(sort_findings(findings))
    _log.info("%s: short check of the images: %s; --mode=audit checks more", dataset.name, verdict)


def _describe_role(examples: Examples) -> _Role:
    samples = _sample(examples)
    if examples.boxes is None:
        rows = list(np.arange(len(examples))[:, None])
        names = examples.names
    else:
        count = len(set(examples.files))
        rows = list_tiles_of_images(examples, np.arange(count))
        names = [examples.files[tiles[0]] for tiles in rows]
    return _Role(examples, names, rows, [samples[tiles].ravel() for tiles in rows])


def _sample(examples: Examples) -> UInt8[np.ndarray, "N h w C"]:
    """Returns every few pixels of each row; images on disk are read once, a few at a time."""
    step = max(1, examples.images.shape[1] // _GRID)
    parts = [
        examples.images[start : start + _CHUNK][:, ::step, ::step]
        for start in range(0, len(examples), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 1, 1, 1), np.uint8)


def _list_copies_in_test(roles: dict[str, _Role]) -> list[tuple[str, str]]:
    """Returns (name of a test image, name of an image of another role with equal pixels)."""
    test = roles["test"]
    images_of_sample = collections.defaultdict(list)
    for image, sample in enumerate(test.samples):
        if sample.std() >= _MIN_CONTRAST:
            images_of_sample[sample.tobytes()].append(image)
    copies = {}
    for name in ("train", "val", "calibration"):
        role = roles[name]
        for image, sample in enumerate(role.samples):
            for test_image in images_of_sample.get(sample.tobytes(), ()):
                pixels = test.examples.images[test.rows[test_image]]
                if np.array_equal(pixels, role.examples.images[role.rows[image]]):
                    copies.setdefault(test_image, (test.names[test_image], role.names[image]))
    return list(copies.values())


def _collect_features(
    roles: dict[str, _Role],
) -> tuple[dict[str, Float[np.ndarray, "K"]], Int[np.ndarray, "K"], list[str]]:
    """Returns trivial features of the training and the test images, their labels and their groups."""
    columns = collections.defaultdict(list)
    for name in ("train", "test"):
        role = roles[name]
        stored_size = role.examples.stored_size[role.first_rows]
        width, height, num_bytes = stored_size.T.astype(float)
        columns["stored_width"].append(width)
        columns["stored_height"].append(height)
        columns["stored_bytes"].append(num_bytes)
        columns["aspect_ratio"].append(width / height)
        columns["mean"].append(np.array([sample.mean() for sample in role.samples]))
        columns["dark_fraction"].append(
            np.array([(sample < _DARK).mean() for sample in role.samples])
        )
    labels = [roles[name].examples.labels[roles[name].first_rows] for name in ("train", "test")]
    features = {name: np.concatenate(parts) for name, parts in columns.items()}
    groups = [
        roles[name].examples.groups[row]
        for name in ("train", "test")
        for row in roles[name].first_rows
    ]
    return features, np.concatenate(labels), groups


def _find_empty_images(roles: dict[str, _Role]) -> list[Finding]:
    names = [
        name
        for role in roles.values()
        for name, sample in zip(role.names, role.samples, strict=True)
        if sample.std() < _MIN_CONTRAST
    ]
    if not names:
        return []
    title = count_things(len(names), "constant image")
    text = f"{title}: nearly a single grey level in what the model sees."
    return [Finding("constant_images", "warning", title, text, take_examples(names))]


def _find_hidden_anomalies(test: _Role) -> list[Finding]:
    """Returns a finding if masks mark nothing in what the model sees of abnormal images."""
    if test.examples.out_of_view is None:
        return []
    hidden = [
        name
        for name, row in zip(test.names, test.first_rows, strict=True)
        if test.examples.out_of_view[row] and test.examples.labels[row] == 1
    ]
    if not hidden:
        return []
    title = f"{count_things(len(hidden), 'anomaly', 'anomalies')} out of view"
    text = f"{title}: no marked pixel in what the model sees."
    return [Finding("anomalies_out_of_view", "warning", title, text, take_examples(hidden))]
