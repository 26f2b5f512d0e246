"""Initial value problems: one call to Diffrax, with one small configuration."""

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

RightHandSide = Callable[[Any, Float[Array, " states"], Any], Float[Array, " states"]]
"""Right-hand side f(t, y, args), as in Diffrax."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """Solved trajectory, and whether the solver succeeded."""

    states: Float[Array, "*batch times states"]
    """States; inf at the times that the solver did not reach."""
    succeeded: Bool[Array, "*batch"]
    """False if steps ran out or a state was not finite; True also if `Solver.stop` ended the solution."""
    steps: Int[Array, "*batch"]
    """Number of accepted and rejected steps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solver:
    """Configuration of an initial value solver."""

    method: diffrax.AbstractSolver = dataclasses.field(default_factory=diffrax.Tsit5)
    """Any Diffrax solver: Euler(), Heun(), Tsit5(), Dopri5(), Dopri8(), or Kvaerno5() for stiff problems."""
    rtol: float = 1e-6
    atol: float = 1e-9
    """Absolute tolerance, in the states' unit."""
    step: float | None = None
    """Fixed step, in the unit of time.  None: adaptive, by rtol and atol."""
    max_steps: int = 4096
    """Maximum number of steps; a solution that needs more fails.  The gradient's memory grows with its logarithm."""
    adjoint: diffrax.AbstractAdjoint = dataclasses.field(default_factory=diffrax.RecursiveCheckpointAdjoint)
    """Method for gradients: also BacksolveAdjoint(), DirectAdjoint(), or ForwardMode() for `jax.jvp`."""
    stop: Callable[..., Bool[Array, ""]] | None = None
    """Predicate: `stop(t, y, args, **kwargs)` ends the solution at the first step after which it is true."""

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "max_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}.")
        if self.step is not None and not self.step > 0:
            raise ValueError(f"step must be > 0, or None for a step that adapts, got {self.step}.")


ACCURATE = Solver(method=diffrax.Dopri8(), rtol=1e-10, atol=1e-10, max_steps=1_000_000)
"""Solver for reference solutions: trajectories of known systems, and baselines of comparisons."""


def solve(
    vector_field: RightHandSide,
    y0: Float[Array, " states"],
    times: Float[Array, " times"],
    args: Any = None,
    *,
    solver: Solver | None = None,
) -> Solution:
    """Solve y' = f(t, y, args) from y(times[0]) = y0 at `times`.

    A divergent solution does not raise, so that a training step continues with the others.

    Args:
        vector_field: pure function; parameters and inputs come through args, whose arrays gradients reach.
        y0: state at the first time.
        times: increasing.  `vmap` over rows of y0, times or args solves many at once; all take as many steps as the
            slowest.
        args: arguments of the field, a pytree.
        solver: configuration; None: `Solver()`.

    Returns:
        The solution, with states of y0's dtype.

    Raises:
        ValueError: times are not of shape [times], or fewer than two.

    Source: Kidger 2021, On Neural Differential Equations (arXiv 2202.02435).  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> solution = solve(lambda t, y, rate: -rate * y, jnp.array([1.0]), jnp.array([0.0, 1.0]), 0.5)
        >>> bool(jnp.allclose(solution.states[1], jnp.exp(-0.5), rtol=1e-5))
        True
    """
    if times.ndim != 1 or times.shape[0] < 2:
        raise ValueError(f"times must be [times], two at least, got {times.shape}. Solve many with jax.vmap.")
    solver = Solver() if solver is None else solver
    adaptive = diffrax.PIDController(rtol=solver.rtol, atol=solver.atol)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        solver.method,
        t0=times[0],
        t1=times[-1],
        dt0=solver.step,
        y0=y0,
        args=args,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=adaptive if solver.step is None else diffrax.ConstantStepSize(),
        max_steps=solver.max_steps,
        adjoint=solver.adjoint,
        event=None if solver.stop is None else diffrax.Event(solver.stop),
        throw=False,
    )
    states = jnp.asarray(solution.ys)
    ended = diffrax.is_successful(solution.result) | diffrax.is_event(solution.result)
    finite = jnp.all(jnp.isfinite(states)) | diffrax.is_event(solution.result)
    return Solution(states=states, succeeded=ended & finite, steps=solution.stats["num_steps"])
