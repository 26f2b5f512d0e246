"""Triangularisation and back substitution in plain array operations.

LAPACK's batched routines, which `jnp.linalg` calls on a CPU, make a thread of XLA's pool wait for others of the pool.
Two concurrent calls, from one program or two, deadlock if the pool is small.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def triangulated(matrix: Float[Array, "rows columns"], count: int) -> Float[Array, "rows columns"]:
    """Return Q' times a matrix, with the orthogonal Q that makes its first columns upper triangular.

    Args:
        matrix: float64.  Gradients reach it if those columns are independent.
        count: number of columns to triangularise, at most the rows.

    Returns:
        The product, of the matrix's shape.

    Raises:
        ValueError: more columns than rows.

    Source: Golub & Van Loan, Matrix Computations, algorithm 5.2.1.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> triangulated(jnp.array([[3.0, 5.0], [4.0, 0.0]]), 1).tolist()
        [[-5.0, -3.0], [0.0, -4.0]]
    """
    rows, columns = matrix.shape
    if not 0 <= count <= min(rows, columns):
        raise ValueError(f"count must be at most the matrix's rows and columns, got {count} of {matrix.shape}.")
    row, column = jnp.arange(rows), jnp.arange(columns)

    def reflected(matrix: Array, index: Int[Array, ""]) -> tuple[Array, None]:
        below = jnp.where(row >= index, matrix[:, index], 0.0)
        square = jnp.sum(below**2)
        there = square > 0
        length = jnp.sqrt(jnp.where(there, square, 1.0))
        # Opposite in sign to the diagonal, to avoid cancellation.
        pivot = jnp.where(below[index] >= 0, -length, length)
        normal = jnp.where(row == index, below - pivot, below)
        scale = jnp.where(there, 2 / jnp.where(there, jnp.sum(normal**2), 1.0), 0.0)
        mirrored = matrix - scale * normal[:, None] * (normal @ matrix)[None]
        return jnp.where((row > index)[:, None] & (column == index)[None], 0.0, mirrored), None

    return jax.lax.scan(reflected, matrix, jnp.arange(count))[0]


def back_substituted(
    upper: Float[Array, "rows rows"], sides: Float[Array, "rows columns"]
) -> Float[Array, "rows columns"]:
    """Solve upper X = sides for X.

    Args:
        upper: triangular matrix; entries below its diagonal are treated as 0.
        sides: right-hand sides.

    Returns:
        X, of the shape of `sides`; not finite if the diagonal has a 0.

    Source: Golub & Van Loan, Matrix Computations, algorithm 3.1.3.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> back_substituted(jnp.array([[2.0, 1.0], [0.0, 4.0]]), jnp.array([[4.0], [8.0]])).tolist()
        [[1.0], [2.0]]
    """
    row = jnp.arange(len(upper))

    def substituted(sides: Array, index: Int[Array, ""]) -> tuple[Array, None]:
        found = sides[index] / upper[index, index]
        above = jnp.where(row < index, upper[:, index], 0.0)
        return jnp.where((row == index)[:, None], found[None], sides - above[:, None] * found[None]), None

    return jax.lax.scan(substituted, sides, row[::-1])[0]
