import numpy as np
import pytest

from vae_jax.scoring.calibration import p_values
from vae_jax.scoring.fusion import fuse_scores
from vae_jax.scoring.whole_images import join_tiles


def test_the_score_of_an_image_is_the_highest_of_its_tiles():
    rng = np.random.default_rng(0)
    image_of_tile = np.concatenate([np.arange(9), rng.integers(0, 9, 40)])
    columns = {name: rng.normal(size=49) for name in ("mse", "kl")}
    joined = join_tiles(columns, image_of_tile)
    for name, values in columns.items():
        expected = [values[image_of_tile == image].max() for image in range(9)]
        np.testing.assert_array_equal(joined[name], expected)


def test_the_order_of_tiles_does_not_matter_and_types_are_kept():
    rng = np.random.default_rng(1)
    image_of_tile = np.repeat(np.arange(5), 3)
    values = rng.normal(size=15).astype(np.float32)
    order = rng.permutation(15)
    first = join_tiles({"a": values}, image_of_tile)["a"]
    second = join_tiles({"a": values[order]}, image_of_tile[order])["a"]
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert join_tiles({"a": values[:0]}, image_of_tile[:0])["a"].shape == (0,)


# Exchangeable images of 3 to 12 tiles. The tiles of an image share its light, so they are not independent.
def draw_images(rng, count):
    counts = rng.integers(3, 13, count)
    image_of_tile = np.repeat(np.arange(count), counts)
    light = rng.normal(size=count)[image_of_tile]
    a = light + rng.normal(size=len(light))
    b = rng.gamma(2.0, size=len(light))
    return {"a": a, "b": b}, image_of_tile


@pytest.mark.parametrize("score", ["a", "fused"])
def test_the_promised_false_alarm_rate_holds_per_image_and_calibration_by_tiles_breaks_it(score):
    rng = np.random.default_rng(2)
    rate, num_runs, num_calibration, num_test = 0.05, 300, 59, 60
    alarms, alarms_of_tiles = [], []
    for _ in range(num_runs):
        val, calibration, test = (draw_images(rng, n) for n in (40, num_calibration, num_test))
        images = [join_tiles(*part) for part in (val, calibration, test)]
        tiles = [part[0] for part in (val, calibration, test)]
        for parts in (images, tiles):
            for part in parts:
                part["fused"] = fuse_scores({n: parts[0][n] for n in ("a", "b")}, part)
        alarms.append(np.mean(p_values(images[1][score], images[2][score]) <= rate))
        flagged_tiles = p_values(tiles[1][score], tiles[2][score]) <= rate
        flagged = join_tiles({"flag": flagged_tiles.astype(float)}, test[1])["flag"]
        alarms_of_tiles.append(flagged.mean())
    # 60 p-values of 1/60 to 60/60, of which 3 are at most 0.05: the promise is exact.
    error = np.std(alarms) / np.sqrt(num_runs)
    assert np.mean(alarms) == pytest.approx(rate, abs=4 * error)
    assert error < 0.003
    assert np.mean(alarms_of_tiles) > 3 * rate
