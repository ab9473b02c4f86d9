import json
import math
import pathlib

import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.training import epoch as epoch_lib
from vae_jax.training.epoch_part import EpochPart
from vae_jax.training.nonfinite import check_metrics
from vae_jax.training.pace import Pace
from vae_jax.training.placement import place_images
from vae_jax.training.plans import make_plans, skip_steps
from vae_jax.training.state import TrainState
from vae_jax.training.step import TracedHyperparameters


def plan_epoch():
    """Returns the plans of 70 images of 3 classes, in batches of 16 and calls of 2 steps."""
    return make_plans(0, 0, np.arange(70, dtype=np.int32) % 3, 16, 2)


def test_an_epoch_passes_the_state_on_and_returns_the_metrics_of_the_steps_that_were_run():
    images = np.arange(70, dtype=np.uint8).reshape(70, 1, 1, 1)
    hyperparameters = TracedHyperparameters(np.uint32(0), np.float32(1.0))
    counts = []

    def run_steps(state, images, plan, num_steps, received):
        """Counts the steps; the only metric of a step is the number of its images."""
        assert received is hyperparameters
        np.testing.assert_array_equal(images[plan.rows][..., 0, 0, 0], plan.index)
        return state.replace(step=state.step + num_steps), {"count": plan.mask.sum(axis=1)}

    start = TrainState(10, {}, (), None, np.inf, 0)
    state, metrics = epoch_lib.run_epoch(
        run_steps, place_images(images, "host"), start, plan_epoch(),
        hyperparameters, counts.append,
    )  # fmt: skip
    assert state.step == 15
    assert metrics["count"].tolist() == [16, 16, 16, 16, 6]
    assert counts == [32, 32, 6]


def test_terms_are_means_over_images_and_rates_are_those_of_the_last_step():
    metrics = {
        "loss": np.array([1.0, 2.0, 6.0]),
        "kl": np.array([0.0, 1.0, 0.0]),
        "count": np.array([4.0, 4.0, 2.0]),
        "beta": np.array([0.1, 0.2, 0.3]),
        "learning_rate": np.array([3.0, 2.0, 1.0]),
    }
    assert epoch_lib.average_steps(metrics) == pytest.approx(
        {"loss": (4 + 8 + 12) / 10, "kl": 0.4, "beta": 0.3, "learning_rate": 1.0}
    )


def check(**metrics):
    check_metrics(
        {name: np.array(values) for name, values in metrics.items()}, 7, pathlib.Path("folder")
    )


def test_finite_metrics_pass():
    check(reconstruction=[1.0, -1e30], kl=[0.0, 0.0], loss=[1.0, 2.0])


def test_an_error_names_the_first_broken_step_and_there_the_term_that_is_computed_first():
    with pytest.raises(UserError, match=r"broke at step 8: kl is inf; .* stays in folder"):
        check(
            reconstruction=[1.0, 1.0, np.nan],
            kl=[0.0, np.inf, np.nan],
            loss=[1.0, np.inf, np.nan],
        )
    with pytest.raises(UserError, match="broke at step 7: gradient_norm is nan"):
        check(loss=[1.0, np.nan], gradient_norm=[np.nan, np.nan])


@pytest.mark.parametrize(
    ("num_images", "epochs", "min_steps", "expected"),
    [
        (64, 5, 0, 5),
        (64, 5, 20, 5),
        (64, 5, 21, 6),
        (65, 1, 10, 2),
        (3, 1, 800, 800),
        (10**6, 2, 800, 2),
    ],
)
def test_epochs_are_added_until_there_are_enough_steps_and_never_removed(
    num_images, epochs, min_steps, expected
):
    config = default()
    config.train.batch_size, config.train.epochs, config.train.min_steps = 16, epochs, min_steps
    extended = epoch_lib.extend_epochs(config, num_images)
    assert extended.train.epochs == expected
    assert extended.train.epochs * math.ceil(num_images / 16) >= min_steps
    assert config.train.epochs == epochs


@pytest.mark.parametrize("num_done", range(1, 6))
@pytest.mark.parametrize("cache", ["device", "host"])
def test_an_epoch_that_is_stopped_and_continued_makes_the_same_steps(num_done, cache):
    images = np.arange(70, dtype=np.uint8).reshape(70, 1, 1, 1)
    start = TrainState(np.int32(0), None, None, None, None, None)
    hyperparameters = TracedHyperparameters(np.uint32(0), np.float32(1.0))
    made = []

    def run_steps(state, images, plan, num_steps, _):
        """Notes the images of each step; the only metric of a step is their number."""
        pixels = np.asarray(images)[plan.rows][..., 0, 0, 0]
        for i in range(num_steps):
            made.append((pixels[i][plan.mask[i] > 0].tolist(), plan.index[i].tolist()))
        return state, {"count": plan.mask.sum(axis=1)}

    def run(plans, is_stopping=lambda: False):
        return epoch_lib.run_epoch(
            run_steps, place_images(images, cache), start, plans, hyperparameters, lambda _: None,
            Pace(), is_stopping,
        )[1]  # fmt: skip

    whole = run(plan_epoch())
    expected, made[:] = made[:], []
    part = run(plan_epoch(), lambda: len(made) >= num_done)
    part = EpochPart({}, 0.0).extend(part, 1.0)
    assert part.num_steps == len(made) >= num_done
    part = EpochPart.from_json(json.loads(json.dumps(part.to_json())))
    if part.num_steps < 5:
        rest = run(skip_steps(plan_epoch(), part.num_steps))
        part = part.extend(rest, 2.0)
        assert part.seconds == 3.0
    assert made == expected
    np.testing.assert_array_equal(part.metrics["count"], whole["count"])
    assert part.metrics["count"].dtype == np.float32


@pytest.mark.parametrize(
    ("field", "value", "shown", "steps"),
    [
        ("epochs", 10**9, "1e+09", "4e+09"),
        ("warmup_epochs", 1e300, "1e+300", "4e+300"),
    ],
)
def test_more_steps_than_jax_can_count_are_refused(field, value, shown, steps):
    config = default()
    config.train.batch_size, config.train[field] = 16, value
    with pytest.raises(UserError) as refused:
        epoch_lib.extend_epochs(config, 64)
    assert str(refused.value) == (
        f"train.{field} is {shown}, which are {steps} steps with these training images; set it to at most "
        "536870911, because JAX counts up to 2147483647"
    )
    config.train[field] = 536870911
    epoch_lib.extend_epochs(config, 64)
