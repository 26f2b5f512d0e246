"""Right-hand sides y' = f(y, u) with parameters to learn: what a field is, and the network that is one."""

import abc
import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.dynamics.identification.simulate import positive
from jaxkd.networks.functional import Functional, functional
from jaxkd.typing import Key, Params

Scales = Params
"""Of the data: `mean` and `deviation` of the variables (states, and after them inputs), `slope`, the deviation of each
state's rate of change, all > 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field(abc.ABC):
    """What kind of right-hand side is learnt: a frozen description, whose parameters travel beside it."""

    @abc.abstractmethod
    def init(self, key: Key, scales: Scales) -> Params:
        """Fresh parameters."""

    @abc.abstractmethod
    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        """Rates of change at one point, in the states' units over that of time; `vmap` takes many.

        Args:
            params: as `init` made them, or learnt since.
            scales: of the data that it is or was learnt from.
            variables: states, and after them inputs, in their units.
        """

    def require_names(self, states: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        """Refuse data that the field is not made for.  Default: any will do.

        Args:
            states: names of the data's states.
            inputs: names of its inputs.

        Raises:
            ValueError: as said.
        """
        del states, inputs

    def scales(self, variables: Float[Array, "points variables"], slopes: Float[Array, "points states"]) -> Scales:
        """Of the data that is learnt from.

        Args:
            variables: states, and after them inputs.
            slopes: estimates of the states' rates of change.
        """
        return {
            "mean": jnp.mean(variables, axis=0),
            "deviation": positive(jnp.std(variables, axis=0)),
            "slope": positive(jnp.std(slopes, axis=0)),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(Field):
    """Layers of tanh, from standardised variables to slopes in units of their deviation."""

    width: int = 64
    depth: int = 2
    """Hidden layers."""
    start_at_zero: bool = False
    """With an output layer of zeros, so that what it is added to is at first unchanged."""

    def __post_init__(self) -> None:
        for name in ("width", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")

    def init(self, key: Key, scales: Scales) -> Params:
        return self._network(scales).init(key)

    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        standardised = (variables - scales["mean"]) / scales["deviation"]
        return scales["slope"] * self._network(scales).apply(params, standardised)

    def _network(self, scales: Scales) -> Functional:
        sizes = (scales["mean"].size, *[self.width] * self.depth, scales["slope"].size)
        return functional(lambda rngs: _Layers(sizes, start_at_zero=self.start_at_zero, rngs=rngs))


class _Layers(nnx.Module):
    """Linear maps with tanh between them."""

    def __init__(self, sizes: tuple[int, ...], *, start_at_zero: bool, rngs: nnx.Rngs):
        last = len(sizes) - 2
        self.layers = nnx.List(
            nnx.Linear(
                before,
                after,
                kernel_init=nnx.initializers.zeros if start_at_zero and place == last else _scaled,
                kernel_metadata={"axes": (None, None)},
                bias_metadata={"axes": (None,)},
                param_dtype=jnp.float64,
                rngs=rngs,
            )
            for place, (before, after) in enumerate(itertools.pairwise(sizes))
        )

    def __call__(self, inputs: Array) -> Array:
        *hidden, last = self.layers
        for layer in hidden:
            inputs = jnp.tanh(layer(inputs))
        return last(inputs)


_scaled = nnx.initializers.lecun_normal()


def listed(names: tuple[str, ...]) -> str:
    """For a person: of many names the first two and the last one."""
    shown = names if len(names) <= 6 else (*names[:2], "...", names[-1])
    return ", ".join(shown)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorField:
    """A learnt y' = f(y, u): what evaluators of dynamics take."""

    states: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    inputs: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    field: Field = dataclasses.field(metadata={"static": True})
    params: Params
    scales: Scales

    def __str__(self) -> str:
        return f"a vector field of {listed(self.states)}"

    def __call__(self, t: Any, y: Float[Array, " states"], u: Any = None) -> Float[Array, " states"]:
        """As `jaxkd.dynamics.solve` and Diffrax take it.

        Args:
            t: time, which inputs may depend on.
            y: the state.
            u: None where there are no inputs, else the inputs' values, or a function of time that returns them.
        """
        given: Any = u(t) if callable(u) else u
        variables = jnp.concatenate([y, jnp.atleast_1d(given)]) if self.inputs else y
        return self.field.slopes(self.params, self.scales, variables)
