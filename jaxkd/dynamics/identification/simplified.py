"""Removal of terms with a negligible contribution."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.dynamics.identification import library
from jaxkd.dynamics.identification.equations import Equations


def simplified(equations: Equations, points: Float[Array, "points variables"], *, least: float = 0.02) -> Equations:
    """Drop terms whose contribution, `|coefficient| rms(term) / rms(right-hand side)`, is below a share.

    Args:
        equations: equations in any terms.
        points: values of the states, then of the inputs, at which the equations should hold.
        least: smallest share that is retained.

    Returns:
        Equations of the remaining terms, with the same coefficients.

    Raises:
        ValueError: a share below 0.

    Source: inferred, as thresholds of coefficients depend on units.  Deviation: root mean squares in place of standard
    deviations, by which a constant would contribute nothing.

    Example:
        >>> import jax, sympy
        >>> x = sympy.Symbol("x")
        >>> small = Equations.of([2 * x - 1e-6 * x**3], (x,))
        >>> print(simplified(small, jnp.linspace(-3.0, 3.0, 7)[:, None]))
        dx/dt = 2 x
    """
    if not least >= 0:
        raise ValueError(f"least must be >= 0, got {least}.")
    values = library.values(equations.terms, equations.variables)(points)
    table = jnp.asarray(equations.coefficients)
    whole = jnp.sqrt(jnp.mean((values @ table) ** 2, axis=0))
    parts = jnp.abs(table) * jnp.sqrt(jnp.mean(values**2, axis=0))[:, None]
    kept = np.where(np.asarray(parts >= least * whole[None]), np.asarray(equations.coefficients), 0.0)
    there = np.any(kept != 0, axis=1)
    terms = tuple(term for term, present in zip(equations.terms, there, strict=True) if present)
    if not terms:
        return dataclasses.replace(equations, coefficients=np.zeros_like(kept))
    return dataclasses.replace(equations, terms=terms, coefficients=kept[there])
