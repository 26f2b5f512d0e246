"""Multiply-adds of the convolutions and linear maps of a network, as papers on small networks count them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from jaxkd.training.planning.matmul_flops import bodies, operations
from jaxkd.typing import Params

_Origin = frozenset[str]
"""Arguments that a value is computed from: "parameters", "inputs", both, or neither."""

_PARAMETERS, _INPUTS = frozenset({"parameters"}), frozenset({"inputs"})


def linear_multiply_adds(network: Callable[..., Any], params: Params, *inputs: Any) -> int:
    """Return the multiply-adds of the convolutions and matrix products that apply parameters to `inputs`.

    A product counts where one factor is computed from parameters alone and the other from the inputs: those of
    attention, of two values that both depend on the inputs, do not, nor does resizing by a constant matrix.

    Args:
        network: function of `params` and `inputs`.
        params: arrays or shapes.
        inputs: arrays or shapes; one of them may hold what is neither learnt nor given, such as running statistics.

    Raises:
        ValueError: a loop with an unknown number of rounds.

    Source: the rule by which the tool thop counts, which 11penguins/VFFM-UNet@dcfb562 calls GFLOPs: modules alone, a
    product and its sum as one.  Deviation: none for networks whose linear maps are modules.

    Example:
        >>> import jax.numpy as jnp
        >>> def attention(params, x):
        ...     scores = (x @ params["query"]) @ x.T
        ...     return scores @ x
        >>> linear_multiply_adds(attention, {"query": jnp.ones((4, 4))}, jnp.ones((10, 4)))
        160
    """
    closed = jax.make_jaxpr(network)(params, *inputs)
    learnt = len(jax.tree.leaves(params))
    origins = [_PARAMETERS if place < learnt else _INPUTS for place in range(len(closed.jaxpr.invars))]
    return _counted(closed.jaxpr, origins)[0]


def _counted(jaxpr: Jaxpr, origins: Sequence[_Origin]) -> tuple[int, list[_Origin]]:
    """Return the multiply-adds of a program and the origins of its results, given those of its arguments."""
    known: dict[Any, _Origin] = dict(zip(jaxpr.invars, origins, strict=True))

    def origin(variable: Any) -> _Origin:
        return frozenset() if isinstance(variable, Literal) else known.get(variable, frozenset())

    total = 0
    for equation in jaxpr.eqns:
        count, results = _of_equation(equation, [origin(variable) for variable in equation.invars])
        total += count
        known.update(zip(equation.outvars, results, strict=True))
    return total, [origin(variable) for variable in jaxpr.outvars]


def _of_equation(equation: JaxprEqn, origins: Sequence[_Origin]) -> tuple[int, list[_Origin]]:
    name, merged = equation.primitive.name, frozenset().union(*origins)
    results = [merged] * len(equation.outvars)
    if name in ("dot_general", "conv_general_dilated"):
        applies = _PARAMETERS in origins and any("inputs" in one for one in origins)
        return (operations(equation) // 2 if applies else 0), results
    if name == "while":
        raise ValueError("a loop of multiply-adds must have a known number of rounds, got a while_loop. Use a scan.")
    if name == "cond":
        return max((_counted(body, origins[1:])[0] for body in bodies(equation.params.values())), default=0), results
    if name == "scan":
        return _of_scan(equation, list(origins))
    # Of several bodies, such as a function and its derivative, the first is what runs.
    for body in bodies(equation.params.values()):
        if len(body.invars) == len(origins):
            return _counted(body, origins)
    return 0, results


def _of_scan(equation: JaxprEqn, origins: list[_Origin]) -> tuple[int, list[_Origin]]:
    """Count a scan's body, once the origins of what it carries no longer change."""
    body, length = equation.params["jaxpr"].jaxpr, equation.params["length"]
    # Constants, carries, slices: a round takes slices of an axis less than the scan.  Parameters that count the three
    # differ between versions of JAX.
    after = sum(_same_rank(whole, one) for whole, one in zip(equation.invars, body.invars, strict=True))
    first = after - sum(_same_rank(whole, one) for whole, one in zip(equation.outvars, body.outvars, strict=True))
    while True:
        count, results = _counted(body, origins)
        carried = [before | now for before, now in zip(origins[first:after], results, strict=False)]
        if carried == origins[first:after]:
            return length * count, results
        origins[first:after] = carried


def _same_rank(first: Any, second: Any) -> bool:
    return len(first.aval.shape) == len(second.aval.shape)
