"""The options of XLA, in processes of their own, as they are read once."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from vae_jax.training import compiler

# Compiles a convolution; tells who runs it.
_PROGRAM = """
from vae_jax.training.compiler import keep_convolutions
keep_convolutions()
import jax
import jax.numpy as jnp
def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
compiled = jax.jit(convolve).lower(jnp.ones((2, 8, 8, 32)), jnp.ones((4, 4, 32, 32))).compile()
print("ynn" in compiled.as_text())
"""


def _runs_in_library(flags: str) -> bool:
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {"True": True, "False": False}[done.stdout.strip()]


@pytest.mark.skipif(
    importlib.metadata.version("jaxlib") not in compiler._VERSIONS, reason="not this jaxlib"
)
def test_convolutions_leave_the_library_unless_the_user_says_otherwise():
    assert not _runs_in_library("")
    assert _runs_in_library(f"--{compiler._OPTION}=individual_convolution,individual_dot")


def test_flags_of_the_user_are_kept(monkeypatch):
    monkeypatch.setattr(compiler, "_VERSIONS", (importlib.metadata.version("jaxlib"),))
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    compiler.keep_convolutions()
    compiler.keep_convolutions()  # the second time it is there
    want = f"--xla_dump_to=here --{compiler._OPTION}=-individual_convolution"
    assert os.environ["XLA_FLAGS"] == want


def test_no_option_for_an_unknown_jaxlib(monkeypatch):
    monkeypatch.setattr(compiler, "_VERSIONS", ())
    monkeypatch.setenv("XLA_FLAGS", "")
    compiler.keep_convolutions()
    assert os.environ["XLA_FLAGS"] == ""
