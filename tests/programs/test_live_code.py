import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from vae_jax.programs.live_code import keep_live, list_operations, trace


def compute(x):
    @jax.jit
    def inner(y):
        return {"plain": jnp.tanh(y), "random": y + jax.random.normal(jax.random.key(0), y.shape)}

    results = inner(x)
    return {"a": results["plain"] * 2, "b": results["random"]}


def test_the_operations_of_one_result_leave_out_those_of_the_others():
    jaxpr, shapes = trace(compute, jnp.ones(3))
    assert sorted(shapes) == ["a", "b"]
    assert "tanh" in list_operations(jaxpr, 0)
    assert "random_bits" not in list_operations(jaxpr, 0)
    assert "random_bits" in list_operations(jaxpr, 1)
    assert "tanh" not in list_operations(jaxpr, 1)


def test_live_operations_compute_the_same_results():
    x = jnp.arange(3.0)
    jaxpr, _ = trace(compute, x)
    for expected, value in zip(compute(x).values(), jaxpr_as_fun(keep_live(jaxpr))(x), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_a_function_of_any_number_of_rows_can_be_traced():
    (n,) = jax.export.symbolic_shape("n")
    jaxpr, shapes = trace(compute, jax.ShapeDtypeStruct((n, 2), jnp.float32))
    assert str(shapes["a"].shape[0]) == "n"
    assert "tanh" in list_operations(jaxpr, 0)
