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


def update_by_hand(params, gradients, config, rates):
    """AdamW of Loshchilov and Hutter 2019, algorithm 2, after clipping by the global norm, in float64."""
    m, v = ({name: np.zeros_like(value) for name, value in params.items()} for _ in range(2))
    for t, gradient in enumerate(gradients, start=1):
        norm = np.sqrt(sum(np.sum(g**2) for g in gradient.values()))
        params = dict(params)
        for name, g in gradient.items():
            g = g * min(1.0, config.clip_norm / norm)
            m[name] = config.b1 * m[name] + (1 - config.b1) * g
            v[name] = config.b2 * v[name] + (1 - config.b2) * g**2
            m_hat, v_hat = m[name] / (1 - config.b1**t), v[name] / (1 - config.b2**t)
            direction = m_hat / (np.sqrt(v_hat) + 1e-8) + config.weight_decay * params[name]
            params[name] = params[name] - rates[t - 1] * direction
    return params


def test_twenty_steps_equal_clipped_adamw_with_a_cosine_by_hand(train_config):
    train_config.clip_norm, train_config.weight_decay = 1.0, 0.3
    train_config.b1, train_config.b2 = 0.8, 0.95
    train_config.learning_rate_schedule, train_config.epochs = "cosine", 20
    train_config.warmup_epochs = 4.0
    schedule = make_learning_rate(train_config, steps_per_epoch=1)
    optimizer = make_optimizer(train_config, schedule)
    rng = np.random.default_rng(0)
    start = {"kernel": rng.standard_normal((3, 2)), "bias": rng.standard_normal(2)}
    # Global norms below and above the limit of 1, so that clipping changes the moments.
    gradients = [
        {name: scale * rng.standard_normal(value.shape) for name, value in start.items()}
        for scale in np.tile([0.1, 3.0, 0.2, 30.0], 5)
    ]
    params = jax.tree.map(jnp.float32, start)
    state = optimizer.init(params)
    for gradient in gradients:
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(jax.tree.map(jnp.float32, gradient), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    steps = np.arange(20)
    falling = 0.1 * 0.5 * (1 + np.cos(np.pi * (steps - 4) / 16))
    rates = np.where(steps < 4, 0.1 * steps / 4, falling)
    expected = update_by_hand(start, gradients, train_config, rates)
    for name, value in expected.items():
        np.testing.assert_allclose(params[name], value, rtol=1e-4, atol=1e-5)


def test_weight_decay_is_decoupled_from_the_gradient(train_config):
    train_config.weight_decay, train_config.learning_rate_schedule = 0.5, "constant"
    optimizer = make_optimizer(train_config, make_learning_rate(train_config, 10))
    params = jnp.array([1.0, 100.0])
    state = optimizer.init(params)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(jnp.zeros(2), state, params)
    # In Adam with an L2 penalty both updates would be -0.1, whatever the size of the parameter.
    np.testing.assert_allclose(updates, -0.1 * 0.5 * params, rtol=1e-6)


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
