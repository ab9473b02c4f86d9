"""The operations of a function that its results depend on.

XLA leaves out all others by itself. Another program that reads the operations of a function would keep
them, and would fail at those that it does not know.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, subjaxprs
from jax.interpreters import partial_eval


def trace(function: Callable, *arguments: Any) -> tuple[ClosedJaxpr, Any]:
    """Returns the operations of a function, and the shapes of its results as a tree.

    Args:
        function: function of trees of arrays.
        arguments: its arguments, or their shapes.
    """
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arguments)
    return jax.make_jaxpr(function, return_shape=True)(*shapes)


def list_operations(jaxpr: ClosedJaxpr, result: int) -> set[str]:
    """Returns the names of the operations that one result depends on.

    Args:
        jaxpr: operations of a function.
        result: position of the result.
    """
    used = [i == result for i in range(len(jaxpr.out_avals))]
    return _collect_names(keep_live(jaxpr, used).jaxpr)


def keep_live(jaxpr: ClosedJaxpr, used: Sequence[bool] | None = None) -> ClosedJaxpr:
    """Returns the operations that results depend on; all arguments stay.

    Args:
        jaxpr: operations of a function.
        used: whether each result is needed; None needs all of them.
    """
    used = [True] * len(jaxpr.out_avals) if used is None else used
    live, _ = partial_eval.dce_jaxpr(jaxpr.jaxpr, list(used), instantiate=True)
    return ClosedJaxpr(live, jaxpr.consts)


def _collect_names(jaxpr: Jaxpr) -> set[str]:
    names = {equation.primitive.name for equation in jaxpr.eqns}
    return names.union(*(_collect_names(inner) for inner in subjaxprs(jaxpr)))
