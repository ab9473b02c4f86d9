from vae_jax.report.evaluation import new_images
from vae_jax.report.evaluation.caveats import list_caveats


def make_results(**fields):
    evaluation = {
        "name": "lamp 2",
        "input": "scans/lamp 2",
        "workdir": "runs/screws",
        "fields": {"data.normal_classes": ["fine"], "scoring.false_alarm_rate": 0.1},
        "detector": {"fingerprint": "abc"},
        "unreadable": {},
        "left_out": {},
        "localisation": False,
    }
    return {
        "dataset": {"counts": {"test_normal": 9, "test_anomaly": 9}},
        "decision": {"score": "mse"},
        "evaluation": evaluation | fields,
    }


def test_the_report_of_a_run_says_nothing_about_new_images():
    assert new_images.name_page("screws", {}) == "screws"
    assert new_images.list_facts({}) == new_images.list_notes({}) == []
    assert new_images.make_command({}) is None
    assert list_caveats({}, "mse") == []


def test_the_command_gives_the_same_report():
    assert new_images.make_command(make_results()) == [
        "python -m vae_jax.main --mode=evaluate",
        "--workdir=runs/screws",
        "'--input=scans/lamp 2'",
        "'--name=lamp 2'",
        "--config.data.normal_classes=fine",
        "--config.scoring.false_alarm_rate=0.1",
    ]


def test_images_that_were_not_judged_are_named():
    unreadable = {f"{i}.png": "not an image" for i in range(5)}
    results = make_results(unreadable=unreadable, left_out={"odd": 7})
    first, second = list_caveats(results, "mse")
    assert first.startswith("Not judged: 5 images, because they cannot be read: 0.png (not an")
    assert first.endswith("and 2 more.")
    assert "whether it is normal: odd (7)" in second
    assert ("unreadable", "5, not judged") in new_images.list_facts(results)
    assert ("neither normal nor abnormal", "7 odd; not judged") in new_images.list_facts(results)


def test_drift_of_the_normals_is_named_where_it_is_certain():
    assert list_caveats(make_results(drift={"p_value": 0.01}), "mse") == []
    results = make_results(drift={"p_value": 1e-5})
    results["decision"] |= {"promised": 0.05, "false_alarms": {"value": 0.4}}
    [caveat] = list_caveats(results, "mse")
    assert "test of mse, p = 1e-05); 40.0 % of them are flagged, and 5.0 % were promised" in caveat


def test_what_was_not_measured_is_said():
    assert "was not measured" in new_images.list_notes(make_results())[-1]
    assert "Only the anomaly map" in new_images.list_notes(make_results(localisation=True))[-1]
