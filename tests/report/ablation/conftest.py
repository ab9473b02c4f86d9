"""Outcomes of the cells of an ablation with two factors and three seeds, made without training a model."""

from collections.abc import Callable

import pytest

from vae_jax.report.ablation.cell_outcomes import CellOutcome

SEEDS = (0, 1, 2)


@pytest.fixture
def levels() -> dict[str, list[str]]:
    """Field -> levels as text, the base first."""
    return {"model.latent_dim": ["16", "4", "128"], "model.likelihood": ["bernoulli", "laplace"]}


def _make_outcome(
    latent_dim: str, likelihood: str, seed: int, auroc: float, **fields
) -> CellOutcome:
    measures = {"auroc": auroc, "auroc.low": auroc - 0.02, "auroc.high": auroc + 0.02}
    measures |= {"auroc.mse": auroc, "auroc.baseline.pca": 0.8, "normal.mse": 0.0123 + auroc / 1e3}
    measures |= {"parameters": 1000, "train_seconds": 61.0}
    cell_levels = {"model.latent_dim": latent_dim, "model.likelihood": likelihood}
    fields = {"status": "done", "decision": "mse", "measures": measures} | fields
    return CellOutcome(f"{latent_dim}-{likelihood},seed={seed}", cell_levels, seed, **fields)


@pytest.fixture
def make_outcome() -> Callable[..., CellOutcome]:
    """A function that makes the outcome of a cell from its levels, its seed and its AUROC."""
    return _make_outcome


@pytest.fixture
def outcomes() -> list[CellOutcome]:
    """Outcomes of the design "one at a time"; seeds differ by about 0.1 in AUROC, levels by 0.01."""
    settings = [("16", "bernoulli", 0.0), ("4", "bernoulli", -0.01), ("128", "bernoulli", 0.01)]
    settings.append(("16", "laplace", 0.02))
    return [
        _make_outcome(latent_dim, likelihood, seed, 0.7 + 0.1 * seed + shift + 0.001 * seed)
        for seed in SEEDS
        for latent_dim, likelihood, shift in settings
    ]
