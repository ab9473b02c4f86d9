"""The options of XLA, in processes of their own, as they are read once."""

import dataclasses
import importlib.metadata
import os
import subprocess
import sys

import pytest

from vae_jax.runtime import compiler

# Tells of three programs whether a library runs them.
_PROGRAM = """
from vae_jax.runtime.compiler import choose_xla_options
choose_xla_options("float32")
import jax
import jax.numpy as jnp
def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
x = jnp.ones((2, 8, 8, 32))
for function, arguments in (
    (convolve, (x, jnp.ones((4, 4, 32, 32)))),
    (lambda x: jnp.sum(jax.nn.sigmoid(x) ** 2, axis=(1, 2, 3)), (jnp.ones((4, 256, 256, 1)),)),
    (jnp.matmul, (jnp.ones((256, 256)), jnp.ones((256, 256)))),
):
    print("ynn" in jax.jit(function).lower(*arguments).compile().as_text())
"""
_JAXLIB = importlib.metadata.version("jaxlib")
_LIBRARY, _LOOPS = compiler.OPTIONS


def _in_library(flags: str) -> list[bool]:
    """Whether it runs a convolution, a sum of what is computed on the way, and a product."""
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [{"True": True, "False": False}[line] for line in done.stdout.split()]


@pytest.mark.skipif(_JAXLIB not in _LIBRARY.jaxlibs, reason="not this jaxlib")
def test_products_alone_go_to_the_library_unless_the_user_says_otherwise():
    assert _in_library("") == [False, False, True]
    assert (
        _in_library(f"--{_LIBRARY.name}=individual_convolution,individual_dot,reduce") == [True] * 3
    )


@pytest.fixture
def known(monkeypatch):
    """Every option is known to the jaxlib that is installed."""
    options = tuple(dataclasses.replace(option, jaxlibs=(_JAXLIB,)) for option in compiler.OPTIONS)
    monkeypatch.setattr(compiler, "OPTIONS", options)


def test_flags_of_the_user_are_kept(known, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to=here --{_LOOPS.name}=true")
    compiler.choose_xla_options("float32")
    compiler.choose_xla_options("float32")  # the second time it is there
    chosen = f"--{_LIBRARY.name}={_LIBRARY.value}"
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=here --{_LOOPS.name}=true {chosen}"


def test_a_file_of_options_is_left_alone(known, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "flags.txt")
    compiler.choose_xla_options("float32")
    assert os.environ["XLA_FLAGS"] == "flags.txt"


def test_bfloat16_keeps_the_newer_loops(known, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    compiler.choose_xla_options("bfloat16")
    assert os.environ["XLA_FLAGS"] == f"--{_LIBRARY.name}={_LIBRARY.value}"


def test_no_option_for_an_unknown_jaxlib(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.0")
    monkeypatch.setenv("XLA_FLAGS", "")
    compiler.choose_xla_options("float32")
    assert os.environ["XLA_FLAGS"] == ""
