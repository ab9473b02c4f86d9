"""A trained model together with its config and its dataset, on which every part of an exploration works."""

import dataclasses
import pathlib

import ml_collections

from vae_jax.data.class_indices import index_classes
from vae_jax.data.examples import Dataset, Examples
from vae_jax.model.vae import build_model
from vae_jax.scoring.inference import ClassIndices, TrainedModel
from vae_jax.training.best_params import load_best_params

_BATCH_SIZE = 64  # images on the device at once


@dataclasses.dataclass(frozen=True)
class TrainedRun(TrainedModel):
    """The best model of a run, its config and its dataset.

    Attributes:
        config: config of the run.
        dataset: dataset with the roles of the run.
    """

    config: ml_collections.ConfigDict
    dataset: Dataset

    def index_classes(self, examples: Examples) -> ClassIndices:
        """Returns the class index of each image, or None if the model is not conditional."""
        all_known = self.config.scoring.condition == "given"
        return index_classes(self.dataset, examples, self.model.num_classes, all_known)


def load_trained_run(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> TrainedRun:
    """Reads the best checkpoint of a run.

    Raises:
        UserError: if the workdir has no checkpoint.
    """
    params = load_best_params(workdir, dataset.fingerprint)
    model = build_model(config, dataset.region)
    return TrainedRun(model, params, _BATCH_SIZE, config, dataset)
