"""Systems driven by a function of time, sampled for each trajectory: one equation gives a family of systems."""

import dataclasses

import jax
import jax.numpy as jnp
import sympy
from jaxtyping import Array, Float

from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.solvers.control import control
from jaxkd.dynamics.solvers.fixed_step import fixed_step
from jaxkd.dynamics.systems.autonomous import System, Uniform
from jaxkd.typing import Key

SUBSTEPS = 20
"""RK4 steps per sample interval.  Half as many change trajectories by at most 1e-8 of their standard deviation."""

_JITTER = 1e-8
"""Addition to the diagonal of a kernel whose neighbouring rows are nearly equal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomDrive:
    """Smooth random function of time: bound * tanh(g), with a Gaussian g of squared-exponential covariance."""

    lengthscale: float
    """Time scale of its changes, > 0, in the unit of time."""
    bound: float = 1.0
    """Bound on its absolute value, > 0."""

    def __post_init__(self) -> None:
        for name in ("lengthscale", "bound"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}.")

    def __call__(self, key: Key, times: Float[Array, " times"], count: int) -> Float[Array, "count times"]:
        """Sample `count` functions at the times."""
        off = (times[:, None] - times[None]) / self.lengthscale
        kernel = jnp.exp(-(off**2) / 2) + _JITTER * jnp.eye(times.size)
        drawn = jnp.linalg.cholesky(kernel) @ jax.random.normal(key, (times.size, count), times.dtype)
        return self.bound * jnp.tanh(drawn.T)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrivenSystem:
    """System whose equations have one input, and the distribution of the input."""

    system: System
    drive: RandomDrive

    def trajectories(
        self, key: Key, count: int, *, substeps: int = SUBSTEPS
    ) -> tuple[Float[Array, "count times states"], Float[Array, "count times 1"]]:
        """Return clean states and inputs at the system's times, between which `control` interpolates the inputs.

        Equal steps end at the samples, where the cubic changes; steps across a sample would be inaccurate.

        Raises:
            TypeError: JAX is not in double precision.
        """
        initial_key, drive_key = jax.random.split(key)
        initial, times = self.system.starts(initial_key, count), self.system.times()
        inputs = self.drive(drive_key, times, count)[:, :, None]
        field = self.system.equations.vector_field()

        def one(start: Array, inputs: Array) -> Array:
            driven = control(times, inputs)
            return fixed_step(lambda t, y, _: field(t, y, driven.evaluate(t)), start, times, substeps=substeps)

        return jax.vmap(one)(initial, inputs), inputs


_x, _y, _v, _u = sympy.symbols("x y v u")
_square = _x**2 + _y**2

INTEGRATOR = DrivenSystem(
    system=System(
        name="integrator",
        equations=Equations.of([_u], (_x,), (_u,)),
        initial=Uniform(low=(-1.0,), high=(1.0,)),
        duration=10.0,
        samples=201,
    ),
    drive=RandomDrive(lengthscale=1.0),
)

PENDULUM = DrivenSystem(
    system=System(
        name="driven pendulum",
        equations=Equations.of([_v, -sympy.sin(_x) + _u], (_x, _v), (_u,)),
        initial=Uniform(low=(-1.0, -1.0), high=(1.0, 1.0)),
        duration=10.0,
        samples=201,
    ),
    drive=RandomDrive(lengthscale=1.0),
)

PITCHFORK = DrivenSystem(
    system=System(
        name="pitchfork",
        equations=Equations.of([_u * _x - _x**3], (_x,), (_u,)),
        initial=Uniform(low=(-1.5,), high=(1.5,)),
        duration=10.0,
        samples=201,
    ),
    drive=RandomDrive(lengthscale=2.0),
)

HOPF = DrivenSystem(
    system=System(
        name="Hopf",
        equations=Equations.of([_u * _x - _y - _x * _square, _x + _u * _y - _y * _square], (_x, _y), (_u,)),
        initial=Uniform(low=(-1.0, -1.0), high=(1.0, 1.0)),
        duration=10.0,
        samples=201,
    ),
    drive=RandomDrive(lengthscale=2.0),
)

DRIVEN = (INTEGRATOR, PENDULUM, PITCHFORK, HOPF)
