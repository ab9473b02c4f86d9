"""The options of XLA; they are tested in processes of their own, because XLA reads them only once."""

import dataclasses
import importlib.metadata
import os
import subprocess
import sys

import pytest

from vae_jax.runtime import compiler

# Prints for each of three programs whether the library runs it.
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
_LIBRARY_OPTION, _LOOP_OPTION = compiler.OPTIONS


def _uses_library(flags: str) -> list[bool]:
    """Returns whether the library runs a convolution, a sum after other operations, and a product."""
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [{"True": True, "False": False}[line] for line in result.stdout.split()]


@pytest.mark.skipif(
    _JAXLIB not in _LIBRARY_OPTION.jaxlibs, reason="this jaxlib does not know the option"
)
def test_only_products_go_to_the_library_unless_the_user_sets_the_option():
    assert _uses_library("") == [False, False, True]
    assert (
        _uses_library(f"--{_LIBRARY_OPTION.name}=individual_convolution,individual_dot,reduce")
        == [True] * 3
    )


@pytest.fixture
def all_options(monkeypatch):
    """Makes the installed jaxlib count as one that knows every option."""
    options = tuple(dataclasses.replace(option, jaxlibs=(_JAXLIB,)) for option in compiler.OPTIONS)
    monkeypatch.setattr(compiler, "OPTIONS", options)


def test_options_that_the_user_has_set_stay_as_they_are(all_options, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to=here --{_LOOP_OPTION.name}=true")
    compiler.choose_xla_options("float32")
    compiler.choose_xla_options("float32")  # the second call must add nothing
    added = f"--{_LIBRARY_OPTION.name}={_LIBRARY_OPTION.value}"
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=here --{_LOOP_OPTION.name}=true {added}"


def test_the_name_of_a_file_with_options_stays_as_it_is(all_options, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "flags.txt")
    compiler.choose_xla_options("float32")
    assert os.environ["XLA_FLAGS"] == "flags.txt"


def test_bfloat16_keeps_the_newer_emitter_of_loops(all_options, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    compiler.choose_xla_options("bfloat16")
    assert os.environ["XLA_FLAGS"] == f"--{_LIBRARY_OPTION.name}={_LIBRARY_OPTION.value}"


def test_an_unknown_jaxlib_gets_no_option(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.0")
    monkeypatch.setenv("XLA_FLAGS", "")
    compiler.choose_xla_options("float32")
    assert os.environ["XLA_FLAGS"] == ""
