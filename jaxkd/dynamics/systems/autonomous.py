"""Systems with known equations, and their trajectories, to test methods on."""

import dataclasses
from typing import TypeAlias

import jax
import jax.numpy as jnp
import sympy
from jaxtyping import Array, Float

from jaxkd.dynamics.float64 import require_float64
from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.solvers.solve import ACCURATE, solve
from jaxkd.dynamics.systems.attractor import OnAttractor
from jaxkd.typing import Key

TOLERANCE = ACCURATE.rtol
"""Relative and absolute tolerance of trajectories.  Halving it changes them by 1e-7 of their standard deviation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Uniform:
    """Uniform initial states in a box."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __call__(self, key: Key, count: int, equations: Equations) -> Float[Array, "count states"]:
        """Sample `count` initial states; the equations are ignored."""
        del equations
        low, high = jnp.asarray(self.low), jnp.asarray(self.high)
        return jax.random.uniform(key, (count, low.size), low.dtype, minval=low[None], maxval=high[None])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normal:
    """Normal initial states about a point."""

    mean: tuple[float, ...]
    deviation: float

    def __call__(self, key: Key, count: int, equations: Equations) -> Float[Array, "count states"]:
        """Sample `count` initial states; the equations are ignored."""
        del equations
        mean = jnp.asarray(self.mean)
        return mean[None] + self.deviation * jax.random.normal(key, (count, mean.size), mean.dtype)


Initial: TypeAlias = Uniform | Normal | OnAttractor


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """Equations, and how their trajectories are sampled."""

    name: str
    equations: Equations
    initial: Initial
    duration: float
    samples: int
    """Number of samples, evenly spaced, both ends included."""

    def times(self) -> Float[Array, " times"]:
        """Return the sample times."""
        return jnp.linspace(0.0, self.duration, self.samples)

    def starts(self, key: Key, count: int) -> Float[Array, "count states"]:
        """Sample initial states.

        Raises:
            TypeError: JAX is not in double precision.
        """
        starts = self.initial(key, count, self.equations)
        require_float64(initial=starts)
        return starts

    def trajectories(self, key: Key, count: int, *, tolerance: float = TOLERANCE) -> Float[Array, "count times states"]:
        """Return clean states at the system's times, from sampled initial states.

        Raises:
            TypeError: JAX is not in double precision.
        """
        initial = self.starts(key, count)
        solver = dataclasses.replace(ACCURATE, rtol=tolerance, atol=tolerance)
        field, times = self.equations.vector_field(), self.times()
        # Sequential, so that no trajectory takes the steps of another.
        return jax.lax.map(lambda y0: solve(field, y0, times, solver=solver).states, initial)

    def slopes(self, states: Float[Array, "*points states"]) -> Float[Array, "*points states"]:
        """Return the right-hand sides at any states."""
        field = self.equations.vector_field()
        flat = jnp.reshape(states, (-1, states.shape[-1]))
        return jnp.reshape(jax.vmap(lambda y: field(0.0, y))(flat), states.shape)


def with_noise(
    states: Float[Array, "trajectories times states"], key: Key, *, level: float
) -> Float[Array, "trajectories times states"]:
    """Add white noise of `level` times each state's standard deviation over all trajectories."""
    deviation = jnp.std(states, axis=(0, 1))
    return states + level * deviation[None, None] * jax.random.normal(key, states.shape, states.dtype)


_x, _y, _z, _v, _w = sympy.symbols("x y z v w")
_third = sympy.Rational(1, 3)

DAMPED_OSCILLATOR = System(
    name="damped oscillator",
    equations=Equations.of([_v, -_x - 0.2 * _v], (_x, _v)),
    initial=Uniform(low=(-2.0, -2.0), high=(2.0, 2.0)),
    duration=12.0,
    samples=121,
)

VAN_DER_POL = System(
    name="Van der Pol",
    equations=Equations.of([_v, (1 - _x**2) * _v - _x], (_x, _v)),
    initial=Uniform(low=(-2.5, -2.5), high=(2.5, 2.5)),
    duration=12.0,
    samples=121,
)

FITZHUGH_NAGUMO = System(
    name="FitzHugh-Nagumo",
    equations=Equations.of([_v - _third * _v**3 - _w + 0.5, 0.08 * (_v + 0.7 - 0.8 * _w)], (_v, _w)),
    initial=Uniform(low=(-2.0, -0.5), high=(2.0, 1.5)),
    duration=40.0,
    samples=161,
)

DUFFING = System(
    name="Duffing",
    equations=Equations.of([_v, _x - _x**3 - 0.3 * _v], (_x, _v)),
    initial=Uniform(low=(-1.5, -1.5), high=(1.5, 1.5)),
    duration=12.0,
    samples=121,
)

LOTKA_VOLTERRA = System(
    name="Lotka-Volterra",
    equations=Equations.of([1.5 * _x - _x * _y, -3 * _y + _x * _y], (_x, _y)),
    initial=Uniform(low=(1.0, 1.0), high=(4.0, 4.0)),
    duration=8.0,
    samples=81,
)

LORENZ = System(
    name="Lorenz",
    equations=Equations.of([10 * (_y - _x), _x * (28 - _z) - _y, _x * _y - sympy.Rational(8, 3) * _z], (_x, _y, _z)),
    initial=Normal(mean=(0.0, 0.0, 25.0), deviation=8.0),
    duration=5.0,
    samples=251,
)

ROSSLER = System(
    name="Rössler",
    equations=Equations.of([-_y - _z, _x + 0.2 * _y, 0.2 + _z * (_x - 5.7)], (_x, _y, _z)),
    initial=Uniform(low=(-6.0, -6.0, 0.0), high=(6.0, 6.0, 1.0)),
    duration=20.0,
    samples=401,
)

SYSTEMS = (DAMPED_OSCILLATOR, VAN_DER_POL, FITZHUGH_NAGUMO, DUFFING, LOTKA_VOLTERRA, LORENZ, ROSSLER)
