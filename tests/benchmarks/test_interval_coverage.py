import interval_coverage as coverage
import pytest

from vae_jax.metrics.detection import fpr_at_tpr

CONTINUOUS, _, _, TIED, GROUPED = coverage.SHAPES


@pytest.mark.parametrize(
    ("shape", "auroc", "sizes"),
    [
        (CONTINUOUS, 0.99, (46, 764)),
        (CONTINUOUS, 0.99, (50, 20)),
        (TIED, 0.86, (46, 764)),
    ],
)
def test_intervals_contain_the_true_value_in_at_least_93_percent_of_cases(shape, auroc, sizes):
    # With 200 trials the standard error of 0.93 is 0.018. The percentile intervals of the bootstrap
    # of the AUROC cover in 0.89, 0.77 and 0.92 of these cases. The whole grid is in docs/intervals.md.
    for share in coverage.measure_coverage(shape, auroc, *sizes, trials=200):
        assert share >= 0.93 - 0.018


def test_intervals_of_differences_contain_the_true_value_where_percentile_intervals_do_in_80_percent():
    for share in coverage.measure_difference_coverage(CONTINUOUS, 0.995, 50, 20, trials=60):
        assert share >= 0.93


def test_ignoring_groups_makes_intervals_too_narrow(monkeypatch):
    monkeypatch.setattr(
        coverage,
        "delong",
        lambda scores, labels, _, measure=coverage.delong: measure(scores, labels),
    )
    assert coverage.measure_coverage(GROUPED, 0.75, 100, 100, trials=100)[0] < 0.88


def test_true_values_are_those_of_many_images():
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = coverage.np.random.default_rng(0)
    for shape in coverage.SHAPES[:4]:
        scores, labels, _ = shape.draw(rng, 0.86, 100_000, 50_000)
        auroc, auprc, fpr95 = shape.true_values(0.86, 1 / 3)
        assert roc_auc_score(labels, scores) == pytest.approx(auroc, abs=0.004)
        assert average_precision_score(labels, scores) == pytest.approx(auprc, abs=0.006)
        assert fpr_at_tpr(scores, labels) == pytest.approx(fpr95, abs=0.012)
        noisy = scores + rng.standard_normal(len(scores))
        difference = roc_auc_score(labels, noisy) - roc_auc_score(labels, scores)
        assert difference == pytest.approx(shape.true_difference(0.86, 1.0), abs=0.004)
