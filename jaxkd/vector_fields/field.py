"""Right-hand sides y' = f(y, u) with parameters to learn: the interface, and a network."""

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
"""Scales of the data: `mean` and standard `deviation` of the variables (states, then inputs), and `slope`, the standard
deviation of each state's rate of change; deviations are > 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field(abc.ABC):
    """Kind of right-hand side to learn: a frozen description, whose parameters are stored separately."""

    @abc.abstractmethod
    def init(self, key: Key, scales: Scales) -> Params:
        """Return initial parameters."""

    @abc.abstractmethod
    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        """Return rates of change at one point, in the states' units over that of time; `vmap` takes many.

        Args:
            params: parameters from `init`, or learnt since.
            scales: scales of the training data.
            variables: states, then inputs, in their units.
        """

    def require_names(self, states: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        """Reject data that the field does not support.  Default: accept any.

        Args:
            states: names of the data's states.
            inputs: names of its inputs.

        Raises:
            ValueError: names that the field does not support.
        """
        del states, inputs

    def scales(self, variables: Float[Array, "points variables"], slopes: Float[Array, "points states"]) -> Scales:
        """Return the scales of the training data.

        Args:
            variables: states, then inputs.
            slopes: estimates of the states' rates of change.
        """
        return {
            "mean": jnp.mean(variables, axis=0),
            "deviation": positive(jnp.std(variables, axis=0)),
            "slope": positive(jnp.std(slopes, axis=0)),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(Field):
    """Multilayer perceptron with tanh, from standardised variables to slopes in units of their standard deviation."""

    width: int = 64
    depth: int = 2
    """Number of hidden layers."""
    start_at_zero: bool = False
    """Initialise the output layer to zeros, so that adding the network initially changes nothing."""

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
    """Return names for display: of many names, the first two and the last."""
    shown = names if len(names) <= 6 else (*names[:2], "...", names[-1])
    return ", ".join(shown)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorField:
    """Learnt y' = f(y, u), which evaluators of dynamics take."""

    states: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    inputs: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    field: Field = dataclasses.field(metadata={"static": True})
    params: Params
    scales: Scales

    def __str__(self) -> str:
        return f"a vector field of {listed(self.states)}"

    def __call__(self, t: Any, y: Float[Array, " states"], u: Any = None) -> Float[Array, " states"]:
        """Return y', with the signature that `jaxkd.dynamics.solve` and Diffrax take.

        Args:
            t: time, which inputs may depend on.
            y: the state.
            u: None if there are no inputs, else the inputs' values, or a function of time that returns them.
        """
        given: Any = u(t) if callable(u) else u
        variables = jnp.concatenate([y, jnp.atleast_1d(given)]) if self.inputs else y
        return self.field.slopes(self.params, self.scales, variables)
