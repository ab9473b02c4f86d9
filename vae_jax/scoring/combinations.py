"""Scores that combine the scores in `scoring.fusion`, each on a scale of its surprise among normals.

m validation normals, N images.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from vae_jax.score_names import FUSIONS, select_member_names
from vae_jax.scoring.fusion import fuse_scores
from vae_jax.scoring.rule_fusion import harmonic, hedge


def combine_scores(
    name: str,
    members: Sequence[str],
    normals: Mapping[str, Float[np.ndarray, "m"]],
    scores: Mapping[str, Float[np.ndarray, "N"]],
) -> Float[np.ndarray, "N"]:
    """Computes a combination of scores.

    Args:
        name: name in `score_names.COMBINATIONS`. `fusion`, `fusion_mean`, `fusion_max` and
            `fusion_contrast` are means of surprises; `hedge` is the larger of `fusion_mean` and
            `fusion_max`; `harmonic` is the harmonic mean of the p-values of the last three fusions.
        members: `scoring.fusion`; a score that is missing in `normals` is left out.
        normals: scores of the validation normals, by name.
        scores: the same scores of the images to score.
    """
    if name == "hedge":
        return hedge(*(_fuse(part, members, normals, scores) for part in FUSIONS[1:3]))
    if name == "harmonic":
        fused_normals = {part: _fuse(part, members, normals, normals) for part in FUSIONS[1:]}
        fused = {part: _fuse(part, members, normals, scores) for part in FUSIONS[1:]}
        return harmonic(fused_normals, fused)
    return _fuse(name, members, normals, scores)


def _fuse(name, members, normals, scores):
    names = [member for member in select_member_names(name, members) if member in normals]
    return fuse_scores({member: normals[member] for member in names}, scores)
