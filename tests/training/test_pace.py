from vae_jax.training.pace import Pace


def test_calls_become_so_long_that_a_signal_waits_for_seconds_only():
    pace = Pace()
    limits = []
    for seconds in (30.0, 0.5, 4.0):  # the first call includes compilation
        limits.append(pace.limit_steps(64))
        pace.record(limits[-1], seconds)
    assert limits == [1, 1, 8]
