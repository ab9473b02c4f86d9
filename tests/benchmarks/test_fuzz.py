import fuzz
import pytest


@pytest.mark.parametrize("target", fuzz.list_targets())
def test_random_input_is_accepted_or_refused_in_one_line(target):
    report = fuzz.fuzz(target, 50)
    assert report["losses"] == {}
    assert report["lost"] == 0
    assert report["accepted"] + report["refused"] >= 40
