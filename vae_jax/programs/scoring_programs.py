"""The scores and the anomaly map of a detector as pure functions of arrays and images.

A detector computes some of its scores with NumPy and scikit-learn. Here everything is one function that JAX
can trace, so that it can be exported. The functions work on images in steps of a fixed number, as the
detector does, so that they need the same memory for any number of images.

N images, B images of a step, H W image, C channels.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, UInt8

from vae_jax.data.batches import Batch, to_unit
from vae_jax.detector.parts import DetectorParts
from vae_jax.model.branched import BranchedVAE, build_branches
from vae_jax.observation.observers import make_observers
from vae_jax.observation.standardise import HIGHEST_VALUE
from vae_jax.observation.weights import Weights
from vae_jax.programs.baseline_scores import blur_maps, score_baselines
from vae_jax.programs.combinations import make_combination
from vae_jax.score_names import is_baseline, is_combination
from vae_jax.scoring.class_marginal import bind_most_likely_class
from vae_jax.scoring.error_maps import compute_map
from vae_jax.scoring.fits import restore_fits
from vae_jax.scoring.pictures import choose_branch
from vae_jax.scoring.place_maps import upsample_maps
from vae_jax.scoring.scorer import build_views, compile_columns
from vae_jax.scoring.scores import deciding_score

Arrays = Mapping[str, Any]  # name -> array, or another such dict
Images = UInt8[Array, "N H W C"]
Index = Int32[Array, "N"]


@dataclasses.dataclass(frozen=True)
class ScoringPrograms:
    """The functions of a detector.

    Attributes:
        arrays: what the first two functions read beside the images, a tree of arrays.
        score: (arrays, images, index) -> name of a score -> its value for each image, without combinations.
        map: (arrays, images, index) -> anomaly map of each image, in standard deviations above calibration
            normals.
        combine: scores of each image, by name -> its combinations, by name.
        read_names: scores that `combine` reads.
        step: number of images that are computed at the same time.
    """

    arrays: dict[str, Any]
    score: Callable[[Arrays, Images, Index], dict[str, Float[Array, "N"]]]
    map: Callable[[Arrays, Images, Index], Float[Array, "N H W"]]
    combine: Callable[[dict[str, Float[Array, "N"]]], dict[str, Float[Array, "N"]]]
    read_names: tuple[str, ...]
    step: int


def make_programs(parts: DetectorParts, arrays: dict[str, Any], step: int) -> ScoringPrograms:
    """Makes the functions of a detector.

    Args:
        parts: the detector; all of its scores must be exportable, see `exportable.split_names`.
        arrays: tree of its arrays, from `detector.storage.collect_tree`; those that the functions do not
            read are left out.
        step: number of images that are computed at the same time.
    """
    functions = make_functions(parts)

    def in_steps(compute):
        return _in_steps(
            lambda arrays, images, index: compute(
                arrays, images, functions.observe(arrays, images, index)
            ),
            step,
        )

    return ScoringPrograms(
        arrays=select_arrays(arrays),
        score=in_steps(functions.score),
        map=in_steps(functions.map),
        combine=functions.combine,
        read_names=tuple(parts.list_members(parts.names)),
        step=step,
    )


def select_arrays(arrays: Arrays) -> dict[str, Any]:
    """Returns those arrays of a detector that its functions read."""
    return {name: arrays[name] for name in _READ}


_READ = ("params", "fits", "baselines", "standardisers", "map", "weights")


@dataclasses.dataclass(frozen=True)
class ImageFunctions:
    """The functions of a detector for B images, all of them at the same time.

    Attributes:
        observe: (arrays, images, index) -> a batch of what the model reads.
        score: (arrays, images, batch) -> name of a score -> its values, without combinations.
        map: (arrays, images, batch) -> anomaly maps, see `ScoringPrograms`.
        combine: scores of each image, by name -> its combinations, by name.
    """

    observe: Callable[[Arrays, Images, Index], Batch]
    score: Callable[[Arrays, Images, Batch], dict[str, Float[Array, "B"]]]
    map: Callable[[Arrays, Images, Batch], Float[Array, "B H W"]]
    combine: Callable[[dict[str, Float[Array, "B"]]], dict[str, Float[Array, "B"]]]


def make_functions(parts: DetectorParts) -> ImageFunctions:
    """Makes the functions of a detector, see `make_programs`."""
    combinations = {
        name: make_combination(name, parts.config.scoring.fusion, parts.fitted.validation)
        for name in parts.names
        if is_combination(name)
    }
    return ImageFunctions(
        observe=functools.partial(_observe, parts),
        score=_make_score(parts),
        map=_make_map(parts),
        combine=lambda columns: {name: f(columns) for name, f in combinations.items()},
    )


def _in_steps(function: Callable, step: int) -> Callable:
    """Returns a function of any number of images that calls a function of `step` images at a time.

    The number of images may be unknown while the function is traced.
    """

    def apply(arrays, images, index):
        count = images.shape[0]
        shapes = jax.eval_shape(
            function,
            arrays,
            jax.ShapeDtypeStruct((step, *images.shape[1:]), images.dtype),
            jax.ShapeDtypeStruct((step,), index.dtype),
        )
        # A symbolic number of images becomes a number of the running program.
        number = jnp.asarray(count, jnp.int32)

        def run_step(i, results):
            # The last step is filled with copies of the last image.
            rows = jnp.minimum(i * step + jnp.arange(step, dtype=jnp.int32), number - 1)
            values = function(arrays, images[rows], index[rows])
            return jax.tree.map(lambda all_, own: all_.at[rows].set(own), results, values)

        empty = jax.tree.map(lambda s: jnp.zeros((count, *s.shape[1:]), s.dtype), shapes)
        return jax.lax.fori_loop(0, (number + step - 1) // step, run_step, empty)

    return apply


def _make_score(parts: DetectorParts) -> Callable:
    """Returns the function that computes all scores but combinations, of B images."""
    config, region = parts.config, parts.preprocessing.region
    model = build_branches(config, region)
    singles = parts.list_singles()
    score_columns = compile_columns(model, singles, config.scoring) if singles else None
    baselines = [name for name in parts.names if is_baseline(name)]
    cells = None if region is None else region.shrink(config.model.grid).mask

    def score(arrays, images, batch):
        columns = {}
        if score_columns is not None:
            fits = restore_fits(arrays["fits"])
            seed = np.uint32(config.seed)
            columns = score_columns(arrays["params"], fits, batch, {}, seed, classes_given=False)
        observed = batch.image if isinstance(batch.image, dict) else {}
        columns |= score_baselines(
            baselines, arrays["baselines"], images, observed.get("features"), cells
        )
        return {name: values.astype(jnp.float32) for name, values in columns.items()}

    return score


def _make_map(parts: DetectorParts) -> Callable:
    """Returns the function that computes the anomaly maps of B images; see `scoring.pictures`."""
    config = parts.config
    model = build_branches(config, parts.preprocessing.region)
    name = deciding_score(config.scoring.decision, parts.names)

    def compute(arrays, images, batch):
        if not isinstance(model, BranchedVAE):
            x = to_unit(images)
            bound = bind_most_likely_class(model, arrays["params"], x)
            x_hat = model.mean(bound.decode(bound.encode(x).mu))
            return jnp.sqrt(jnp.mean(jnp.square(x - x_hat), axis=3))
        branch = choose_branch(model, name, config.scoring.fusion)
        # The map draws no random number, so any seed gives the same one.
        views = build_views(model, arrays["params"], batch, config.scoring, config.seed, {})
        return upsample_maps(compute_map(views[branch], "place_nll"), images.shape[1])

    def compute_scaled(arrays, images, batch):
        maps = compute(arrays, images, batch).astype(jnp.float32)
        if config.scoring.map_smoothing:
            maps = blur_maps(maps, config.scoring.map_smoothing)
        mean, deviation = arrays["map"]["mean"][None], arrays["map"]["deviation"][None]
        return jnp.maximum((maps - mean) / deviation, 0)

    return compute_scaled


def _observe(
    parts: DetectorParts, arrays: Arrays, images: UInt8[Array, "B H W C"], index: Int32[Array, "B"]
) -> Batch:
    """Returns a batch of what the model reads."""
    weights = Weights(arrays["weights"], parts.weights.digest) if parts.weights else None
    observed: dict[str, Array] = {}
    for observer in make_observers(parts.config.model, weights):
        observed |= {
            name: _standardise(arrays["standardisers"][name], _round_to_half(values))
            for name, values in observer.compute(images).items()
        }
    count = images.shape[0]
    return Batch(
        image=observed or images,
        index=index,
        mask=jnp.ones(count, jnp.float32),
        class_index=jnp.zeros(count, jnp.int32),
    )


def _standardise(standardiser: Arrays, o: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
    """Returns what `observation.standardise.Standardiser.apply` returns."""
    # One value for each channel, or for each place and channel, is the same for all images.
    mean, deviation = (
        jnp.expand_dims(standardiser[name], range(o.ndim - standardiser[name].ndim))
        for name in ("mean", "deviation")
    )
    values = (o.astype(jnp.float32) - mean) / deviation
    if "projection" in standardiser:
        exact = jax.lax.Precision.HIGHEST
        values = jnp.matmul(values, standardiser["projection"], precision=exact)
    return _round_to_half(jnp.clip(values, -HIGHEST_VALUE, HIGHEST_VALUE))


def _round_to_half(values: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
    """Returns values rounded to float16, and of that type.

    The compiler may leave out a conversion to float16 that is followed by one to float32, which would skip
    the rounding. It leaves out no explicit rounding.
    """
    rounded = jax.lax.reduce_precision(
        values.astype(jnp.float32), exponent_bits=5, mantissa_bits=10
    )
    return rounded.astype(jnp.float16)
