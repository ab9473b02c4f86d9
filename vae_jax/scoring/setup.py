"""What every step of an evaluation needs, in one object."""

import dataclasses
import functools

import ml_collections

from vae_jax.data.class_indices import index_classes
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.whole_images import view_whole_images
from vae_jax.scoring.inference import ClassIndices, TrainedModel


@dataclasses.dataclass(frozen=True)
class ScoringSetup:
    """A trained model, the data to score, and the way to score it.

    Attributes:
        trained: model with its best parameters and the number of images per step.
        dataset: images of all roles.
        scoring_config: the `scoring` group of the config.
        seed: seed of the run.
        reconstruction_errors: errors of validation normals, from `measure_reconstruction_errors`.
    """

    trained: TrainedModel
    dataset: Dataset
    scoring_config: ml_collections.ConfigDict
    seed: int
    reconstruction_errors: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def images(self) -> Dataset:
        """The dataset with one row per whole image, where the images of `dataset` are tiles."""
        return view_whole_images(self.dataset)

    def given_classes(self, examples: Examples) -> ClassIndices:
        """Returns the class index of each image that the scorer uses, or None.

        The result is None if the model is not conditional, or if `scoring.condition` is `marginal`:
        then every image is scored under all classes.

        Raises:
            UserError: if an image has a class that no training normal has.
        """
        if self.scoring_config.condition != "given":
            return None
        return index_classes(self.dataset, examples, self.trained.model.num_classes, all_known=True)
