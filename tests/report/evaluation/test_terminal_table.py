from vae_jax.report.evaluation.terminal_table import format_terminal_table


def test_table_fits_a_terminal_of_100_columns(results):
    results["baselines"]["a name that nobody would want to read to its very end"] = results[
        "baselines"
    ]["pca"]
    assert max(map(len, format_terminal_table(results).splitlines())) <= 100


def test_scores_come_before_baselines_and_the_best_first(results):
    results["baselines"]["width"] = {"auroc": {"value": 0.99, "low": 0.98, "high": 1.0}}
    text = format_terminal_table(results)
    order = ("  mse", "  kl", "  baselines", "  width", "  pca", "  mean")
    positions = [text.index(f"\n{name}") for name in order]
    assert positions == sorted(positions)


def test_numbers_are_aligned_with_their_headings(results):
    lines = format_terminal_table(results).splitlines()
    head = next(line for line in lines if "AUROC" in line)
    row = next(line for line in lines if line.startswith("  mse"))
    for heading, number in (("interval]", "0.106]"), ("recall", "0.760"), ("FPR95", "0.310")):
        ends = [text.rindex(word) + len(word) for text, word in ((head, heading), (row, number))]
        assert ends[0] == ends[1]


def test_names_cannot_break_the_table(results):
    results["baselines"]["two\nlines \x1b[31m"] = results["baselines"]["pca"]
    assert "\x1b" not in format_terminal_table(results)
    assert r"two\nlines" in format_terminal_table(results)


def test_a_test_set_without_anomalies_has_a_table(results):
    for entry in (*results["detection"].values(), *results["baselines"].values()):
        for key in ("auroc", "auprc", "fpr95", "recall"):
            entry.pop(key, None)
    del results["reconstruction"]["anomaly"]
    text = format_terminal_table(results)
    assert "0.050 [0.019, 0.106]" in text
    assert "None" not in text


def test_empty_results_give_a_table_of_headings():
    text = " ".join(format_terminal_table({}).split())
    assert text == "AUROC [95 % interval] AUPRC FPR95 recall FPR [95 % interval]"


def test_strips_have_rows_within_100_columns(results, strip_results):
    results["strips"] = strip_results
    text = format_terminal_table(results)
    line = next(line for line in text.splitlines() if line.startswith("  mse map"))
    numbers = "0.580 [0.540, 0.620]  0.620 [0.580, 0.660] 0.710 0.843 0.519"
    assert line.split()[2:] == numbers.split()
    assert "8 normal and 48 anomalous strips" in text
    assert max(map(len, text.splitlines())) <= 100
