"""A finished run, read from its workdir for a comparison with others. N test images."""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vae_jax import workdir as workdir_lib
from vae_jax.config_differences import run_fields
from vae_jax.errors import UserError
from vae_jax.metrics import detection
from vae_jax.score_names import is_baseline
from vae_jax.scoring.score_table import ScoreTable, read_score_table

_ENDS = ("value", "low", "high")
_ROUNDING = 1e-6  # by how much an AUROC may change because scores were written as text


@dataclasses.dataclass(frozen=True)
class StoredRun:
    """What a comparison needs of a run.

    Attributes:
        workdir: folder of the run.
        name: name of its config; without the seed, with which the name of a cell of an ablation ends.
        seed: its seed.
        fields: `{"group.field": value}` of the fields that distinguish one run from another.
        results: content of `results.json` and `details.json`.
        deciding: name of the score that decides.
        files: name of each test image, sorted.
        labels: 0 for a normal image, 1 for an anomaly.
        scores: deciding score of each test image.
        groups: number of the group of each test image; None if every image is a group of its own, or if the
            run does not say.
        knows_groups: whether the run says which images are a group.
    """

    workdir: pathlib.Path
    name: str
    seed: int
    fields: dict[str, Any]
    results: dict[str, Any]
    deciding: str
    files: tuple[str, ...]
    labels: Int[np.ndarray, "N"]
    scores: Float[np.ndarray, "N"]
    groups: Int[np.ndarray, "N"] | None
    knows_groups: bool

    @property
    def auroc(self) -> dict[str, float]:
        """`value`, `low` and `high` of the AUROC of the deciding score."""
        return self.results["detection"][self.deciding]["auroc"]

    @property
    def fingerprint(self) -> str:
        """Digest of the images of the dataset."""
        return self.results["dataset"]["fingerprint"]

    def list_aurocs(self) -> dict[str, dict[str, float]]:
        """Returns name -> AUROC with its interval, of every score and every baseline."""
        entries = self.results["detection"] | self.results.get("baselines", {})
        return {name: entry["auroc"] for name, entry in entries.items() if "auroc" in entry}

    def list_baselines(self) -> list[str]:
        """Returns the names of the baselines, which need no trained network."""
        listed = self.results.get("baselines", {})
        return [name for name in self.list_aurocs() if name in listed or is_baseline(name)]

    @functools.cached_property
    def test_set(self) -> str:
        """Digest of the dataset, the names of the test images and their labels."""
        digest = hashlib.sha256(self.fingerprint.encode())
        for file, label in zip(self.files, self.labels.tolist(), strict=True):
            digest.update(f"\0{file}\0{label}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:16]


def read_run(workdir: pathlib.Path) -> StoredRun:
    """Reads a finished run.

    Raises:
        UserError: if the workdir holds no run, a run without results or an ablation; if a file is damaged;
            or if the run has no AUROC, because its test images have one label only.
    """
    if (workdir / "cells").is_dir():
        raise UserError(
            f"--workdir={workdir} is an ablation and not a run; compare its cells with "
            f"--workdir='{workdir}/cells/*'"
        )
    config = workdir_lib.read_config(workdir)
    results = workdir_lib.read_results(workdir)
    with workdir_lib.explain_damaged_results(workdir):
        _check_types(results)
        deciding = results["decision"]["score"]
        auroc = results["detection"][deciding].get("auroc")
    if auroc is None:
        raise UserError(
            f"--workdir={workdir} has no AUROC, because its test images are not both normal and abnormal; "
            "leave it out"
        )
    table = _read_scores(workdir / "scores.csv", deciding, auroc["value"])
    groups = _read_groups(results, workdir, len(table.files))
    order = np.argsort(np.array(table.files, object), kind="stable")
    return StoredRun(
        workdir=workdir,
        name=config.name.removesuffix(f",seed={config.seed}"),
        seed=config.seed,
        fields=run_fields(config),
        results=results,
        deciding=deciding,
        files=tuple(table.files[i] for i in order),
        labels=table.labels[order],
        scores=table.columns[deciding][order],
        groups=None if groups is None else groups[order],
        knows_groups="groups" in results,
    )


def read_comparable_run(workdir: pathlib.Path) -> StoredRun | None:
    """Reads a finished run; None where `read_run` refuses, for example because it has no AUROC."""
    try:
        return read_run(workdir)
    except UserError:
        return None


def _check_types(results: Mapping[str, Any]) -> None:
    """Checks the entries that a comparison reads.

    Raises:
        KeyError, TypeError, AttributeError or ValueError: an entry is missing or is not what it should be.
    """
    entries = [*results["detection"].values(), *results.get("baselines", {}).values()]
    numbers = [entry["auroc"][key] for entry in entries if "auroc" in entry for key in _ENDS]
    numbers += results["cost"].values()
    for entry in results.get("differences", {}).values():
        numbers += [entry["low"], entry["high"]]
        numbers += [e["p_value"] for e in (entry, entry.get("delong", {})) if "p_value" in e]
    if not np.isfinite(np.array(numbers, float)).all():
        raise ValueError("a number is not finite")
    texts = results["dataset"]["name"], results["dataset"]["fingerprint"]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("the dataset is not named")


def _read_scores(path: pathlib.Path, deciding: str, auroc: float) -> ScoreTable:
    """Reads `scores.csv`, and checks that it belongs to the results.

    Raises:
        UserError: if the file is missing or damaged, or if its scores have another AUROC.
    """
    try:
        table = read_score_table(path)
        own_auroc = detection.auroc(table.columns[deciding], table.labels)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not as an evaluation writes it ({type(error).__name__}: {error}); run "
            "--mode=evaluate again"
        ) from error
    if abs(own_auroc - auroc) > _ROUNDING:
        raise UserError(
            f"{path} has the AUROC {own_auroc:.4f} and results.json {auroc:.4f}, so they are not of one "
            "evaluation; run --mode=evaluate again"
        )
    return table


def _read_groups(
    results: Mapping[str, Any], workdir: pathlib.Path, num_images: int
) -> Int[np.ndarray, "N"] | None:
    """Returns the group of each row of `scores.csv`; None if the results name no groups of images."""
    with workdir_lib.explain_damaged_results(workdir):
        numbers = results.get("groups", {}).get("of_images")
        if numbers is None:
            return None
        groups = np.array(numbers, np.int64)
        if groups.shape != (num_images,):
            raise ValueError(f"groups has {len(groups)} entries for {num_images} test images")
        return groups
