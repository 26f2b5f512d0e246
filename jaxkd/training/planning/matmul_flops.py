"""Floating-point operations of a program, counted on its jaxpr: XLA's own count enters a loop once."""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def matmul_flops(jaxpr: Jaxpr) -> int:
    """Return the operations of the matrix products and convolutions of a program, over all devices.

    A product and its sum count as two.  The body of a scan counts as often as it runs, that of a `while_loop`, whose
    number of rounds is not known, once; of the branches of a `cond` the most expensive one counts.  Element-wise
    operations are left out: accelerators do them while they wait for memory.
    """
    return sum(map(operations, jaxpr.eqns))


def operations(equation: JaxprEqn) -> int:
    """Return the operations of an equation, those of its sub-programs included."""
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = _shape(equation.invars[0])
        return 2 * _size(equation.outvars[0]) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        features = _shape(equation.invars[1])[params["dimension_numbers"].rhs_spec[0]]
        return 2 * _size(equation.outvars[0]) * (_size(equation.invars[1]) // features)
    counts = [matmul_flops(body) for body in bodies(params.values())]
    if name == "cond":
        return max(counts, default=0)
    if name == "scan":
        return params["length"] * sum(counts)
    if name == "shard_map":  # its body has the shapes of one device
        return math.prod(params["mesh"].shape[axis] for axis in params["newly_manual_axes"]) * sum(counts)
    if name == "pallas_call":
        return math.prod(params["grid_mapping"].grid) * sum(counts)
    return sum(counts)


def bodies(values: Any) -> Iterator[Jaxpr]:
    """Yield the sub-programs among the parameters of an equation."""
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from bodies(value)


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _size(variable: Any) -> int:
    return math.prod(_shape(variable))
