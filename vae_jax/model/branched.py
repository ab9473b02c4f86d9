"""A model of several observations of an image: one independent VAE for each of them.

The branches share nothing but the image. The ELBO of the whole model is therefore the sum of their ELBOs.
They are trained in the same steps, saved in the same checkpoint and evaluated together. A `VAE` of pixels
has the same members `branches`, `split` and `join`, so the code that trains and scores treats it as a model
of one branch.

B batch, Z latent dimensions of a branch.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Int, Key

from vae_jax import noise
from vae_jax.data.batches import to_float
from vae_jax.data.region import Region
from vae_jax.model.objective import Terms, compute_terms
from vae_jax.model.vae import VAE, build_model, init_params
from vae_jax.observation.shapes import list_shapes


@dataclasses.dataclass(frozen=True)
class BranchedVAE:
    """Independent VAEs, one for each observation.

    Attributes:
        named_branches: name of the observation and its VAE, one pair for each branch; a tuple, so that JAX
            can hash the model.
    """

    named_branches: tuple[tuple[str, VAE], ...]

    num_classes = 0  # only a model of pixels alone can be conditional

    @property
    def branches(self) -> dict[str, VAE]:
        """Name of an observation -> the model that explains it."""
        return dict(self.named_branches)

    def split(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Returns name of a branch -> its part of the parameters, inputs or fits of the whole model."""
        return {name: tree[name] for name, _ in self.named_branches}

    def join(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the inverse of `split`."""
        return dict(parts)

    @property
    def sampled(self) -> bool:
        """Whether the branches are VAEs and not autoencoders."""
        return all(branch.sampled for _, branch in self.named_branches)


Model = VAE | BranchedVAE


def build_branches(config: ml_collections.ConfigDict, region: Region | None = None) -> Model:
    """Builds the model that a resolved config describes: a `VAE` for pixels alone, else a `BranchedVAE`.

    Args:
        config: resolved config; its groups `data`, `model` and `train` are used.
        region: region of interest, `Dataset.region`; None if all pixels count.
    """
    observations = tuple(config.model.observations)
    if observations == ("pixels",):
        return build_model(config, region)
    shapes = list_shapes(config.model)
    return BranchedVAE(
        tuple((name, _build_branch(config, name, shapes[name], region)) for name in observations)
    )


def _build_branch(
    config: ml_collections.ConfigDict, name: str, shape: tuple[int, int], region: Region | None
) -> VAE:
    model_config, prefix = config.model, name.removesuffix("s")
    cells, channels = shape
    latent = model_config.latent
    if latent == "auto":
        latent = "spatial" if name == "features" else "vector"
    network = {"vector": "convolutional", "spatial": "spatial"}[latent]
    return VAE(
        image_size=cells,
        channels=channels,
        widths=tuple(model_config[f"{prefix}_widths"]),
        kernel_size=model_config.kernel_size,
        hidden_dim=0,
        latent_dim=model_config[f"{prefix}_latent_dim"],
        activation="gelu",
        likelihood_name="normal",
        sigma=model_config.sigma,
        sampled=model_config.kind != "ae",
        region=None if region is None else region.shrink(cells),
        dtype=jnp.dtype(config.train.precision),
        network="linear" if model_config.kind == "linear" else network,
    )


def init_branches(model: Model, key: Key[Array, ""]) -> dict:
    """Draws the initial parameters of all branches, float32."""
    if isinstance(model, VAE):
        return init_params(model, key)
    return {
        name: init_params(branch, jax.random.fold_in(key, i))
        for i, (name, branch) in enumerate(model.named_branches)
    }


def compute_model_terms(
    model: Model,
    params: dict,
    inputs: Mapping[str, Array],
    latent_keys: Key[Array, "B"],
    class_index: Int[Array, "B"],
) -> Terms:
    """Computes the terms of the loss of every image, from one posterior sample; sums over the branches.

    Args:
        model: the model.
        params: its parameters.
        inputs: name of a branch -> what it explains, as stored or in floats.
        latent_keys: one key per image.
        class_index: class of each image; only a conditional model reads it.
    """
    branch_params = model.split(params)
    totals = []
    for i, (name, branch) in enumerate(model.branches.items()):
        eps = noise.draw_normal(fold_branch(latent_keys, i), branch.latent_size)
        x = branch.zero_outside_region(to_float(inputs[name]))
        posterior, raw = branch.apply(
            {"params": branch_params[name]}, x, eps, branch.make_label(class_index)
        )
        totals.append(compute_terms(branch, x, posterior, raw))
    return jax.tree.map(lambda *terms: sum(terms[1:], terms[0]), *totals)


def fold_branch(keys: Key[Array, "B"], index: int) -> Key[Array, "B"]:
    """Returns the keys of a branch; those of the first branch are the keys themselves.

    Args:
        keys: one key per image.
        index: position of the branch in the model.
    """
    return noise.fold_into_each(keys, noise.FIRST_BRANCH + index) if index else keys
