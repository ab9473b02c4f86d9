"""The options of XLA, in processes of their own, as they are read once."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from vae_jax.training import compiler

# Compiles a convolution; tells who runs it.
_PROGRAM = """
from vae_jax.training.compiler import choose_options
choose_options("float32")
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
    name, _ = compiler._LIBRARY
    assert _runs_in_library(f"--{name}=individual_convolution,individual_dot")


def test_flags_of_the_user_are_kept(monkeypatch):
    monkeypatch.setattr(compiler, "_VERSIONS", (importlib.metadata.version("jaxlib"),))
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    compiler.choose_options("float32")
    compiler.choose_options("float32")  # the second time it is there
    chosen = "--xla_cpu_experimental_ynn_fusion_type=individual_dot"
    chosen += " --xla_cpu_use_fusion_emitters=false"
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=here {chosen}"


def test_bfloat16_keeps_the_newer_loops(monkeypatch):
    monkeypatch.setattr(compiler, "_VERSIONS", (importlib.metadata.version("jaxlib"),))
    monkeypatch.setenv("XLA_FLAGS", "")
    compiler.choose_options("bfloat16")
    assert compiler._LOOPS[0] not in os.environ["XLA_FLAGS"]
    assert compiler._LIBRARY[0] in os.environ["XLA_FLAGS"]


def test_no_option_for_an_unknown_jaxlib(monkeypatch):
    monkeypatch.setattr(compiler, "_VERSIONS", ())
    monkeypatch.setenv("XLA_FLAGS", "")
    compiler.choose_options("float32")
    assert os.environ["XLA_FLAGS"] == ""
