from vae_jax.config import default
from vae_jax.report.evaluation import facts
from vae_jax.report.evaluation.terminal_table import format_terminal_table


def test_summary_shows_counts_model_and_cost(results):
    summary = {group: dict(rows) for group, rows in facts.summarise_run(default(), results).items()}
    assert summary["Data"]["test"] == "120 normal, 80 anomalous"
    assert summary["Model"]["kind"] == "variational autoencoder"
    assert summary["Model"]["parameters"] == "91,234"
    assert summary["Training"]["training time"] == "43.2 s"


def test_an_autoencoder_has_no_beta(results):
    config = default()
    config.model.kind = "ae"
    names = dict(facts.summarise_run(config, results)["Model"])
    assert names["kind"] == "autoencoder"
    assert "beta" not in names


def test_each_observation_shows_its_grid_and_its_latent(results):
    config = default()
    config.model.observations = ("features", "bands")
    config.train.min_steps = 800
    summary = {group: dict(rows) for group, rows in facts.summarise_run(config, results).items()}
    model = summary["Model"]
    assert model["observations"] == "features, bands"
    assert model["features"] == "of images of 224 x 224 pixels"
    assert model["grid of bands"] == "16 x 16 cells, 6 channels"
    assert model["latent of features"] == "784 dimensions, 16 in each cell"
    assert model["latent of bands"] == "32 dimensions"
    assert summary["Training"]["minimum steps"] == "800"


def test_a_linear_model_has_no_facts_of_stochastic_training(results):
    config = default()
    config.model.observations, config.model.kind = ("features",), "linear"
    groups = facts.summarise_run(config, results)
    assert "widths of features" not in dict(groups["Model"])
    assert not {"batch size", "learning rate"} & set(dict(groups["Training"]))


def test_a_run_without_data_section_has_no_group_of_data():
    assert set(facts.summarise_run(default(), {})) == {"Model", "Training"}


def test_headline_shows_the_deciding_score_and_what_its_threshold_promises(results):
    decision = results["decision"] | {"recall": 0.76}
    numbers = facts.list_headline_numbers(results["detection"]["mse"], decision, 0.05)
    assert [(title, value) for title, value, _ in numbers] == [
        ("AUROC of mse", "0.910"),
        ("AUPRC of mse", "0.880"),
        ("Anomalies found", "76.0 %"),
        ("False alarms", "5.0 %"),
    ]
    notes = [note for *_, note in numbers]
    assert notes[0] == "95 % interval 0.870 to 0.950"
    assert notes[3] == "of the normal test images; promised 5.0 %; 95 % interval 1.9 % to 10.6 %"


def test_headline_of_a_rule_that_promises_no_rate_shows_no_promise(results):
    numbers = facts.list_headline_numbers({}, results["decision"], None)
    assert [title for title, *_ in numbers] == ["False alarms"]
    assert "promised" not in numbers[0][2]


def test_maps_are_listed_with_their_intervals_and_the_best_first():
    maps = {
        "mse": {
            "pixel_auroc": 0.6,
            "aupro": 0.5,
            "intervals": {"aupro": {"low": 0.4, "high": 0.6}},
        },
        "padim": {"pixel_auroc": 0.75, "pixel_ap": 0.1},
        "pca": {},
    }
    assert facts.list_map_rows({"localisation": maps}) == [
        ("padim", True, {"pixel_auroc": "0.750", "pixel_ap": "0.100"}),
        ("mse", False, {"pixel_auroc": "0.600", "aupro": "0.500 (0.400 to 0.600)"}),
        ("pca", True, {}),
    ]
    assert facts.list_map_rows({}) == []


def test_what_is_in_view_is_a_fact_of_the_data(results):
    results["dataset"]["view"] = {
        "mean_share": 0.62,
        "partial_images": 750,
        "masked_anomalies": 392,
        "anomalies_out_of_view": 123,
    }
    data = dict(facts.summarise_run(default(), results)["Data"])
    assert data["in view"] == "62.0 % of the area of a test image, on average"
    assert data["marked anomalies out of view"] == "123 of 392"


def test_regions_that_resizing_would_lose_are_a_fact_of_the_data(results):
    results["dataset"]["mask_regions"] = {"marked": 1412, "enlarged": 0}
    data = dict(facts.summarise_run(default(), results)["Data"])
    assert data["marked regions"] == "1,412, none lost by resizing"
    results["dataset"]["mask_regions"]["enlarged"] = 31
    data = dict(facts.summarise_run(default(), results)["Data"])
    assert data["marked regions"].endswith("; 31 would be lost, and count with one pixel")


def test_what_the_split_left_out_is_a_fact_of_the_data(results):
    results["dataset"]["split"] = {
        "duplicates_left_out": 1200,
        "duplicate_files": {f"train/{i}.png": f"test/{i}.png" for i in range(1000)},
        "grouped_left_out": 3,
        "near_duplicates": 40,
        "near_duplicate_groups": 12,
    }
    data = dict(facts.summarise_run(default(), results)["Data"])
    assert data["duplicates of test images"] == "1,200, left out of training"
    assert data["in a group with test images"] == "3, left out of training"
    assert data["near-duplicates"] == "40 images in 12 groups, each in one role"


def test_how_many_tiles_cover_the_images_is_a_fact_of_the_data(results):
    assert "tiles of these images" not in dict(facts.summarise_run(default(), results)["Data"])
    results["dataset"]["tiles"] = {"train": 1200, "val": 30, "calibration": 40, "test": 500}
    data = dict(facts.summarise_run(default(), results)["Data"])
    assert data["tiles of these images"] == "1,200 train, 30 val, 40 calibration, 500 test"
    assert f"tiles of these images: {data['tiles of these images']}" in format_terminal_table(
        results
    )
