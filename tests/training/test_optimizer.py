import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import validate
from vae_jax.config import default
from vae_jax.training.optimizer import (
    LEARNING_RATE_SCHEDULES,
    make_learning_rate,
    make_optimizer,
    make_plateau,
    update_plateau,
)


@pytest.fixture
def train_config():
    """Ten epochs with a peak of 0.1; the tests count ten steps per epoch."""
    config = default().train
    config.epochs = 10
    config.learning_rate = 0.1
    config.warmup_epochs = 0.0
    return config


def compute_rates(train_config, steps):
    schedule = make_learning_rate(train_config, steps_per_epoch=10)
    # Optax mixes integers with floats.
    with jax.numpy_dtype_promotion("standard"):
        return [float(schedule(step)) for step in steps]


def test_constant_rate_rises_linearly_over_the_warmup_and_then_stays(train_config):
    train_config.learning_rate_schedule = "constant"
    assert compute_rates(train_config, [0, 99]) == pytest.approx([0.1, 0.1])
    train_config.warmup_epochs = 2.0
    assert compute_rates(train_config, [0, 5, 20, 99]) == pytest.approx([0, 0.025, 0.1, 0.1])


def test_cosine_rate_falls_to_zero_at_the_last_step(train_config):
    train_config.learning_rate_schedule = "cosine"
    steps = np.array([0, 25, 50, 99, 100])
    expected = 0.1 * 0.5 * (1 + np.cos(np.pi * steps / 100))
    assert compute_rates(train_config, steps) == pytest.approx(expected, abs=1e-7)


def test_cosine_rate_with_a_warmup_starts_to_fall_after_it(train_config):
    train_config.learning_rate_schedule, train_config.warmup_epochs = "cosine", 2.0
    steps = np.array([20, 60, 100])
    expected = 0.1 * 0.5 * (1 + np.cos(np.pi * (steps - 20) / 80))
    assert compute_rates(train_config, steps) == pytest.approx(expected, abs=1e-7)
    assert compute_rates(train_config, [10]) == pytest.approx([0.05])


def test_a_cosine_rate_survives_a_warmup_as_long_as_training(train_config):
    train_config.learning_rate_schedule, train_config.warmup_epochs = "cosine", 10.0
    assert compute_rates(train_config, [0, 50, 100]) == pytest.approx([0, 0.05, 0.1])


def test_config_validation_knows_the_names_of_the_schedules():
    assert set(validate.LEARNING_RATE_SCHEDULES) == set(LEARNING_RATE_SCHEDULES)


def update_by_hand(param, gradients, config, rate):
    """AdamW of Loshchilov and Hutter 2019, algorithm 2, after clipping by the norm, in float64."""
    m = v = np.zeros_like(param)
    for t, gradient in enumerate(gradients, start=1):
        norm = np.linalg.norm(gradient)
        gradient = gradient * min(1.0, config.clip_norm / norm)
        m = config.b1 * m + (1 - config.b1) * gradient
        v = config.b2 * v + (1 - config.b2) * gradient**2
        m_hat, v_hat = m / (1 - config.b1**t), v / (1 - config.b2**t)
        param = param - rate(t - 1) * (
            m_hat / (np.sqrt(v_hat) + 1e-8) + config.weight_decay * param
        )
    return param


def test_updates_equal_adamw_by_hand_with_clipped_gradients(train_config):
    train_config.clip_norm = 1.0
    train_config.weight_decay = 0.3
    train_config.learning_rate_schedule = "cosine"
    schedule = make_learning_rate(train_config, steps_per_epoch=1)
    optimizer = make_optimizer(train_config, schedule)
    rng = np.random.default_rng(0)
    start = rng.standard_normal(5)
    # Norms below and above the limit of 1.
    gradients = [scale * rng.standard_normal(5) for scale in (0.1, 3.0, 0.2)]
    param = jnp.float32(start)
    state = optimizer.init(param)
    for gradient in gradients:
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(jnp.float32(gradient), state, param)
        param = param + updates
    expected = update_by_hand(start, gradients, train_config, lambda step: float(schedule(step)))
    np.testing.assert_allclose(param, expected, rtol=1e-5, atol=1e-6)


def drive(train_config, values):
    """The scale of the learning rate after each validation."""
    plateau = make_plateau(train_config)
    state, scales = plateau.init({}), []
    for value in values:
        state = update_plateau(plateau, state, jnp.float32(value))
        scales.append(float(state.scale))
    return scales


def test_the_scale_is_lowered_after_as_many_validations_without_improvement_as_the_patience(
    train_config,
):
    train_config.plateau_patience, train_config.plateau_factor = 2, 0.5
    assert drive(train_config, [3, 2, 2, 2, 1, 1, 1]) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_improvements_of_a_negative_loss_keep_the_scale_and_its_plateaus_lower_it(train_config):
    train_config.plateau_patience, train_config.plateau_factor = 1, 0.5
    assert drive(train_config, [-1, -2, -3]) == [1, 1, 1]
    assert drive(train_config, [-1, -1]) == [1, 0.5]
