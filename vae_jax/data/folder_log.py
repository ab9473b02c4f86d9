"""What the log says about the images of a folder of your own: their labels, and what is out of view."""

import collections
import logging

import ml_collections
import numpy as np

from vae_jax.data.examples import NO_LABEL, Examples

_log = logging.getLogger(__name__)


def log_labels(examples: Examples, dataset: str) -> None:
    """Logs which classes of the user's own images are normal, abnormal or not used."""
    for label, meaning in ((0, "normal"), (1, "abnormal"), (NO_LABEL, "not used")):
        counts = collections.Counter(np.array(examples.classes)[examples.labels == label].tolist())
        if counts:
            listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
            _log.info("%s: %s: %s", dataset, meaning, listed)


def log_cropping(examples: Examples, data_config: ml_collections.ConfigDict) -> None:
    """Logs how much of the user's own images the model does not see because they are not square."""
    short, long = np.sort(examples.stored_size[:, :2]).T
    if data_config.framing == "crop" and (short < long).any():
        _log.info(
            "%s: %d of %d images are not square; the model sees their centre, on average %.0f %% of the "
            "longer side; data.framing=stretch or pad shows them whole",
            data_config.dataset, (short < long).sum(), len(short),
            100 * np.mean(data_config.crop * short / long),
        )  # fmt: skip
