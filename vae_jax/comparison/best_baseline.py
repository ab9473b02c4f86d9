"""The best baseline of a run, which needs no trained network, beside the score that decides."""

import dataclasses

from vae_jax.comparison.multiple_tests import correct_by_holm
from vae_jax.comparison.stored_run import StoredRun

BETTER, WORSE, UNCLEAR = "better", "worse", "no clear difference"


@dataclasses.dataclass(frozen=True)
class BestBaseline:
    """The baseline that separates the test images best, compared with the deciding score.

    It is the best one on the test images, so the comparison favours the baseline.

    Attributes:
        name: name of the baseline.
        value: its AUROC, in the direction in which it separates better.
        low: lower end of its 95 % interval.
        high: upper end.
        is_reversed: whether lower values of the baseline are more anomalous.
        p_holm: p-value of the difference from the deciding score, corrected for all baselines of the run;
            None if the run has no paired comparison in this direction.
        verdict: whether the deciding score is BETTER or WORSE than the baseline, or UNCLEAR.
    """

    name: str
    value: float
    low: float
    high: float
    is_reversed: bool
    p_holm: float | None
    verdict: str

    def describe(self) -> str:
        """Returns the verdict about the run as a phrase."""
        return self.verdict if self.verdict == UNCLEAR else f"the run is {self.verdict}"


def find_best_baseline(run: StoredRun) -> BestBaseline | None:
    """Returns the best baseline of a run; None if it has none beside its deciding score."""
    listed = run.list_aurocs()
    aurocs = {name: listed[name] for name in run.list_baselines() if name != run.deciding}
    if not aurocs:
        return None
    name = max(aurocs, key=lambda name: abs(aurocs[name]["value"] - 0.5))
    ends = [aurocs[name][key] for key in ("value", "low", "high")]
    is_reversed = ends[0] < 0.5
    value, low, high = (1 - ends[0], 1 - ends[2], 1 - ends[1]) if is_reversed else ends
    p_holm = None if is_reversed else _correct_p_values(run, list(aurocs)).get(name)
    difference = run.results.get("differences", {}).get(name, {})
    model = run.auroc
    if p_holm is not None:
        # The interval must exclude 0 too: close to an AUROC of 1 it is more careful than the p-value.
        is_clear = p_holm < 0.05 and not difference["low"] <= 0 <= difference["high"]
        verdict = UNCLEAR if not is_clear else BETTER if model["value"] > value else WORSE
    else:
        verdict = BETTER if model["low"] > high else WORSE if model["high"] < low else UNCLEAR
    return BestBaseline(name, value, low, high, is_reversed, p_holm, verdict)


def _correct_p_values(run: StoredRun, names: list[str]) -> dict[str, float]:
    """Returns the corrected p-value of each baseline whose difference from the deciding score has one."""
    p_values = {}
    for name in names:
        entry = run.results.get("differences", {}).get(name, {})
        p_value = entry.get("p_value", entry.get("delong", {}).get("p_value"))
        if p_value is not None:
            p_values[name] = float(p_value)
    return dict(zip(p_values, correct_by_holm(list(p_values.values())), strict=True))
