"""Interpretable networks: their units are those of formulas, and a trained network is a SymPy expression.

Gradients do not find their weights reliably; a library of terms, as in `identify`, is the default.
"""

import abc
import dataclasses
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from jaxkd.dynamics.identification.equations import Equations, exact
from jaxkd.typing import Key, Params

WEIGHTS, BIASES, OUTPUT = "weights", "biases", "output"

_a, _b = sympy.symbols("a b")

IDENTITY = sympy.Lambda(_a, _a)
SQUARE = sympy.Lambda(_a, _a**2)
PRODUCT = sympy.Lambda((_a, _b), _a * _b)
SINE = sympy.Lambda(_a, sympy.sin(_a))
COSINE = sympy.Lambda(_a, sympy.cos(_a))

EXPONENTIAL = sympy.Lambda(_a, sympy.exp(sympy.Min(_a, 10)))
"""Exponential of 10 at most, so that a divergent restart stays finite."""

LOGARITHM = sympy.Lambda(_a, sympy.log(_a**2 + sympy.Float("1e-6")) / 2)
"""Logarithm `log|a|` for `|a|` well above 0.001, and finite at 0."""

QUOTIENT = sympy.Lambda((_a, _b), _a * _b / (_b**2 + sympy.Float("1e-6")))
"""Quotient a / b for `|b|` well above 0.001, and 0 at b = 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SymbolicNetwork(abc.ABC):
    """One small network per state, from states and inputs to the state's slope.

    Parameters have a first axis for the states, so that each state's network can be trained and chosen by itself.
    """

    start: float = 0.3
    """Standard deviation of the initial weights."""

    def __post_init__(self) -> None:
        if not self.start > 0:
            raise ValueError(f"start must be > 0, got {self.start}. Weights of 0 are a stationary point of products.")

    @abc.abstractmethod
    def sizes(self, variables: int) -> tuple[tuple[int, int], ...]:
        """Return outputs and inputs of the linear map before each layer, and last of the output map."""

    @abc.abstractmethod
    def output(self, arrays: ModuleType, params: Params, variables: Any) -> Any:
        """Return one state's slope at one point, for arrays of numbers (jax.numpy) or of SymPy expressions (numpy)."""

    @abc.abstractmethod
    def rescaled(
        self, params: Params, variables: Float[Array, " variables"], slopes: Float[Array, " states"]
    ) -> Params:
        """Return the same functions in other units: variables and slopes are multiplied by the given factors."""

    def init(self, key: Key, variables: int, states: int) -> Params:
        """Return normally distributed weights.

        Args:
            key: random key for the weights.
            variables: number of states and inputs.
            states: number of outputs.
        """
        layers = {}
        for number, (outputs, inputs) in enumerate(sizes := self.sizes(variables)):
            drawn = self.start * jax.random.normal(jax.random.fold_in(key, number), (states, outputs, inputs + 1))
            name = OUTPUT if number == len(sizes) - 1 else str(number)
            layers[name] = {WEIGHTS: drawn[:, :, :-1], BIASES: drawn[:, :, -1]}
        return layers

    def values(self, params: Params, points: Float[Array, "*points variables"]) -> Float[Array, "*points states"]:
        """Return slopes at points, differentiable in both arguments, for jit and vmap."""

        def slopes(point: Float[Array, " variables"]) -> Float[Array, " states"]:
            return jax.vmap(lambda one: self.output(jnp, one, point))(params)

        flat = jnp.reshape(points, (-1, points.shape[-1]))
        return jnp.reshape(jax.vmap(slopes)(flat), (*points.shape[:-1], -1))

    def expressions(self, params: Params, variables: Sequence[sympy.Symbol]) -> tuple[sympy.Expr, ...]:
        """Return the networks as expanded expressions with every digit: equal to `values` up to rounding."""
        numbers = jax.tree.map(lambda leaf: np.vectorize(exact, otypes=[object])(np.asarray(leaf)), params)
        symbols = np.array([*variables], dtype=object)
        states = len(params[OUTPUT][BIASES])
        each = [jax.tree.map(lambda leaf, state=state: leaf[state], numbers) for state in range(states)]
        return tuple(_expanded(self.output(np, one, symbols)) for one in each)

    def equations(
        self, params: Params, states: Sequence[sympy.Symbol], inputs: Sequence[sympy.Symbol] = ()
    ) -> Equations:
        """Return the networks as sums of terms, for LaTeX, Python and JAX.

        Args:
            params: parameters with one network per state.
            states: symbols of the first variables.
            inputs: symbols of the others.
        """
        return Equations.of_sums(self.expressions(params, (*states, *inputs)), states, inputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SymNet(SymbolicNetwork):
    """Polynomial: products of linear maps of all previous channels, then a linear map of all channels.

    h₀ = z; (η, ξ) = Wₖ hₖ + bₖ and hₖ₊₁ = [hₖ, η ξ] for each product; the slope is w · h + b.

    Source: PDE-Net 2.0 of Long, Lu & Dong 2019 (arXiv 1812.04426), section 2.2, the part F1 of SNODE (arXiv
    2503.08059).  Deviation: a random start, as zeros are a stationary point.

    Example:
        >>> x, y = sympy.symbols("x y")
        >>> factors = {"weights": jnp.array([[[1.0, 0.0], [0.0, 2.0]]]), "biases": jnp.array([[0.0, 1.0]])}
        >>> output = {"weights": jnp.array([[[3.0, 0.0, 1.0]]]), "biases": jnp.zeros((1, 1))}
        >>> print(SymNet(products=1).equations({"0": factors, "output": output}, [x], [y]))
        dx/dt = 4 x + 2 x y
    """

    products: int = 2
    """Number K of products: polynomials have a degree of 2^K at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.products < 1:
            raise ValueError(f"products must be >= 1, got {self.products}. Without any use polynomials of degree 1.")

    def sizes(self, variables: int) -> tuple[tuple[int, int], ...]:
        return (*((2, variables + k) for k in range(self.products)), (1, variables + self.products))

    def output(self, arrays: ModuleType, params: Params, variables: Any) -> Any:
        channels = variables
        for number in range(self.products):
            first, second = _linear(params[str(number)], channels)
            channels = arrays.concatenate([channels, arrays.stack([first * second])])
        return _linear(params[OUTPUT], channels)[0]

    def rescaled(
        self, params: Params, variables: Float[Array, " variables"], slopes: Float[Array, " states"]
    ) -> Params:
        def after(layer: Params) -> Params:
            products = jnp.ones(layer[WEIGHTS].shape[2] - variables.size)
            return layer | {WEIGHTS: layer[WEIGHTS] / jnp.concatenate([variables, products])[None, None]}

        layers = {name: after(layer) for name, layer in params.items()}
        return layers | {OUTPUT: _multiplied(layers[OUTPUT], slopes)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EQL(SymbolicNetwork):
    """Layers of a linear map and units of one or two arguments, followed by a linear map.

    A unit is a `sympy.Lambda` of anything that JAX implements: `IDENTITY`, `SQUARE`, `PRODUCT`, `SINE`,
    `COSINE`, guarded `EXPONENTIAL`, `LOGARITHM` and `QUOTIENT`, or your own.  Constants are biases.

    Source: EQL of Sahoo, Lampert & Martius 2018 (arXiv 1806.07259), equations 1 to 4.  Deviation: one network per
    state; division is guarded by a small constant and allowed in any layer.

    Example:
        >>> network = EQL(units=(SINE, PRODUCT), layers=1)
        >>> params = network.init(jax.random.key(0), variables=2, states=1)
        >>> network.values(params, jnp.ones((5, 2))).shape
        (5, 1)
    """

    units: tuple[sympy.Lambda, ...] = (IDENTITY, SQUARE, PRODUCT)
    layers: int = 2
    copies: int = 2
    """Number of copies of each unit in each layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.units or self.layers < 1 or self.copies < 1:
            raise ValueError(
                f"units, layers and copies must be one or more, got {len(self.units)}, {self.layers} and {self.copies}."
            )

    def sizes(self, variables: int) -> tuple[tuple[int, int], ...]:
        taken = self.copies * sum(len(unit.variables) for unit in self.units)
        made = self.copies * len(self.units)
        return ((taken, variables), *((taken, made),) * (self.layers - 1), (1, made))

    def output(self, arrays: ModuleType, params: Params, variables: Any) -> Any:
        channels = variables
        for number in range(self.layers):
            taken = iter(_linear(params[str(number)], channels))
            made = []
            for unit in self.units * self.copies:
                arguments = [next(taken) for _ in unit.variables]
                made.append(unit(*arguments) if arrays is np else _function(unit)(*arguments))
            channels = arrays.stack(made)
        return _linear(params[OUTPUT], channels)[0]

    def rescaled(
        self, params: Params, variables: Float[Array, " variables"], slopes: Float[Array, " states"]
    ) -> Params:
        first = params["0"] | {WEIGHTS: params["0"][WEIGHTS] / variables[None, None]}
        return params | {"0": first, OUTPUT: _multiplied(params[OUTPUT], slopes)}


def _function(unit: sympy.Lambda) -> Any:
    return sympy.lambdify(unit.variables, unit.expr, modules="jax")


def _linear(layer: Params, channels: Any) -> Any:
    return layer[WEIGHTS] @ channels + layer[BIASES]


def _multiplied(output: Params, slopes: Float[Array, " states"]) -> Params:
    return {WEIGHTS: output[WEIGHTS] * slopes[:, None, None], BIASES: output[BIASES] * slopes[:, None]}


def _expanded(expression: sympy.Expr) -> sympy.Expr:
    """Expand to a sum of products, with functions and denominators as unexpanded factors.

    Expanded arguments of nested networks would be too long to read, or even to write.
    """
    names: dict[sympy.Basic, sympy.Dummy] = {}

    def named(part: Any) -> Any:
        if part.is_Function or (part.is_Pow and not part.exp.is_nonnegative):
            return names.setdefault(part, sympy.Dummy())
        return part.func(*map(named, part.args)) if part.args else part

    whole = sympy.expand(named(sympy.sympify(expression)))
    return whole.xreplace({name: part for part, name in names.items()})
