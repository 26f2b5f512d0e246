"""Least squares on any subset of the terms, from a triangular factor that replaces the rows.

|A c - y|^2 = |R c - z|^2 + rest with the triangle [R z; 0 r] of a QR factorisation of [A y].  Triangles of parts of the
data merge into that of the whole, so that cross-validation and the bootstrap need no rows.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.dynamics.derivatives.triangular import back_substituted, triangulated
from jaxkd.dynamics.float64 import require_float64

DEPENDENT = 1e-8
"""Sine of the angle between a term and those before it, below which it counts as dependent."""


def triangle(
    features: Float[Array, "rows terms"], targets: Float[Array, "rows channels"]
) -> Float[Array, "columns columns"]:
    """Triangular factor of [features targets], whose columns are the terms and then the channels.

    Args:
        features: float64.  A row of zeros on both sides has no effect.
        targets: float64, with as many rows.

    Returns:
        T with T'T = [A y]'[A y], upper triangular.

    Raises:
        TypeError: arrays of another dtype than float64.

    Source: Golub & Van Loan, Matrix Computations, section 5.3.  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     whole = triangle(jnp.array([[3.0], [4.0]]), jnp.array([[6.0], [8.0]]))
        ...     bool(jnp.allclose(jnp.abs(whole), jnp.array([[5.0, 10.0], [0.0, 0.0]])))
        True
    """
    require_float64(features=features, targets=targets)
    both = jnp.concatenate([features, targets], axis=1)
    missing = max(0, both.shape[1] - both.shape[0])
    return _triangle(jnp.pad(both, ((0, missing), (0, 0))))


def merged_triangle(triangles: Float[Array, "parts columns columns"]) -> Float[Array, "columns columns"]:
    """Merge the triangles of parts into the triangle of all their rows.

    Args:
        triangles: float64; scaled by sqrt(n), a triangle counts n times, one of zeros not at all.

    Returns:
        `triangle` of the parts' concatenated rows.

    Source: Golub & Van Loan, Matrix Computations, section 6.5.  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     parts = jnp.array([[[3.0, 6.0], [0.0, 0.0]], [[4.0, 8.0], [0.0, 0.0]]])
        ...     bool(jnp.allclose(jnp.abs(merged_triangle(parts)), jnp.array([[5.0, 10.0], [0.0, 0.0]])))
        True
    """
    return _triangle(jnp.reshape(triangles, (-1, triangles.shape[-1])))


def subset_fit(
    factor: Float[Array, "rows terms"], target: Float[Array, " rows"], subset: Bool[Array, " terms"]
) -> tuple[Float[Array, " terms"], Float[Array, " terms"]]:
    """Coefficients c that minimise |factor c - target|^2, 0 outside a subset, and the diagonal of (A'A)^-1.

    Args:
        factor: first columns of a triangle, or rows of features.
        target: one channel's column.
        subset: mask of the terms: a value, not a shape, so that searches run under `jit` and `vmap`.

    Returns:
        The coefficients, and (A'A)^-1_jj, the variance of a coefficient in units of a row's noise variance; 0 outside
        the subset.

    Source: Golub & Van Loan, Matrix Computations, section 5.3.  Deviation: each excluded term adds a
    row that sets its coefficient to 0.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     fit, _ = subset_fit(jnp.eye(2) * 2, jnp.array([6.0, 8.0]), jnp.array([True, False]))
        >>> fit.tolist()
        [3.0, 0.0]
    """
    terms = factor.shape[1]
    rows = jnp.concatenate([jnp.where(subset[None], factor, 0.0), jnp.diag(jnp.where(subset, 0.0, 1.0))])
    values = jnp.concatenate([target, jnp.zeros(terms, target.dtype)])
    both = triangulated(jnp.concatenate([rows, values[:, None]], axis=1), terms)[:terms]
    upper, side = both[:, :terms], both[:, terms:]
    # Solved separately, since most callers do not use the second.
    fit, root = back_substituted(upper, side)[:, 0], back_substituted(upper, jnp.eye(terms, dtype=factor.dtype))
    return jnp.where(subset, fit, 0.0), jnp.where(subset, jnp.sum(root**2, axis=1), 0.0)


def independent(factor: Float[Array, "rows terms"]) -> Bool[Array, " terms"]:
    """Mask of the terms that do not depend linearly on earlier ones: of two equal terms, the first.

    Args:
        factor: as in `subset_fit`.

    Returns:
        False also for a term that is 0 everywhere.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     independent(jnp.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])).tolist()
        [True, True, False]
    """
    length = jnp.linalg.norm(factor, axis=0)
    upper = triangulated(factor / jnp.where(length > 0, length, 1.0)[None], factor.shape[1])
    return jnp.abs(jnp.diagonal(upper)) > DEPENDENT


def _triangle(rows: Float[Array, "rows columns"]) -> Float[Array, "columns columns"]:
    columns = rows.shape[1]
    return triangulated(rows, columns)[:columns]
