"""A plugin of pytest that runs tests on the accelerator; `tests/conftest.py` alone would choose the CPU.

    PYTHONPATH=benchmarks python -m pytest -n0 -p gpu_tests tests/training

Tests that compare numbers need products in full float32, so TF32 is switched off here. A test that needs
several devices is skipped where there is one: such tests are about eight virtual devices of the CPU.
"""

import pytest


def pytest_sessionstart(session: pytest.Session) -> None:
    """Chooses the accelerator, after conftest.py has been read and before a test runs."""
    del session
    import jax

    jax.config.update("jax_platforms", None)
    jax.config.update("jax_default_matmul_precision", "highest")
    print(f"gpu_tests: {len(jax.devices())} x {jax.devices()[0].device_kind}", flush=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests of several devices where there are fewer than eight."""
    import jax

    if len(jax.devices()) < 8:
        for item in items:
            if "test_parallel" in item.nodeid or "pmap" in item.name or "sharded" in item.name:
                item.add_marker(pytest.mark.skip(reason="needs eight devices"))
