"""Relational distillation: losses on the distances and angles among examples."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.losses.feature.vectors import comparable_rows, different, gram, unit
from jaxkd.losses.reduce import masked_mean, masked_sum
from jaxkd.records import Mean
from jaxkd.typing import Scalar


def rkd_distance(
    student: Float[Array, "n ds"], teacher: Float[Array, "n dt"], *, mask: Bool[Array, " n"] | None = None
) -> Scalar:
    """Return the mean over pairs of huber(d_s - d_t), d a pair's distance over the mean distance of all pairs.

    huber(x) is x^2 / 2 up to abs(x) = 1 and abs(x) - 1/2 beyond.  A pair is two different rows.

    Args:
        student: one embedding per row, of any float dtype; gradients reach it, through the mean too.
        teacher: embeddings of the same examples, of any width; gradient-stopped.
        mask: rows that take part, all by default.  Other rows may hold anything, NaN included.

    Returns:
        A scalar, float32 (float64 if an input is), >= 0; 0 with gradient 0 below 2 rows.  Equal rows have
        distance 0, with gradient 0.

    Raises:
        ValueError: shapes that do not fit.

    Source: Park et al. (arXiv 1904.05068), section 3.2.1; checked against lenscloth/RKD@0a6c3c0.
    Deviation: the paper sums over pairs; that code takes the mean of all n^2, each row with itself
    included, and expands the square of the distance, which cancels between close rows.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([[0.0], [1.0], [2.0]]), jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
        >>> round(float(rkd_distance(student, teacher)), 4)  # 3/4, 3/2, 3/4 and 0.879, 0.879, 1.243
        0.1075
    """
    student, teacher, mask = comparable_rows(student, teacher, mask)
    pairs = different(mask)
    return masked_mean(_huber(_relative_distances(student, pairs) - _relative_distances(teacher, pairs)), pairs)


def rkd_angle(
    student: Float[Array, "n ds"], teacher: Float[Array, "n dt"], *, mask: Bool[Array, " n"] | None = None
) -> Scalar:
    """Return the mean over triples of huber(cos_s - cos_t), cos that of the angle at one row between two others.

    huber is defined in `rkd_distance`.  A triple is three different rows.  Memory grows with n^2, time with
    n^3 d.

    Args:
        student: one embedding per row, of any float dtype; gradients reach it.
        teacher: embeddings of the same examples, of any width; gradient-stopped.
        mask: rows that take part, all by default.  Other rows may hold anything, NaN included.

    Returns:
        A scalar, float32 (float64 if an input is), >= 0; 0 with gradient 0 below 3 rows.  The angle
        towards an equal row has cosine 0, with gradient 0.

    Raises:
        ValueError: shapes that do not fit.

    Source: Park et al. (arXiv 1904.05068), section 3.2.2; checked against lenscloth/RKD@0a6c3c0.  Deviation: the paper
    sums over triples; that code takes the mean of all n^3, including triples that hold a row twice.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([[0.0], [1.0], [2.0]]), jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
        >>> round(float(rkd_angle(student, teacher)), 4)  # cosines 1, -1, 1 and 0, sqrt(1/2), sqrt(1/2)
        0.5833
    """
    student, teacher, mask = comparable_rows(student, teacher, mask)
    pairs = different(mask)

    def at_vertex(vertex: tuple[Array, Array, Array]) -> Mean:
        student_row, teacher_row, others = vertex
        gaps = _cosines(student, student_row) - _cosines(teacher, teacher_row)
        return masked_sum(_huber(gaps), others[:, None] & others[None, :] & pairs)

    parts = jax.lax.map(jax.checkpoint(at_vertex), (student, teacher, pairs))
    return jnp.sum(parts.total) / jnp.maximum(jnp.sum(parts.count), 1)


def _relative_distances(rows: Float[Array, "n d"], pairs: Bool[Array, "n n"]) -> Float[Array, "n n"]:
    # Go row by row and recompute for the gradient: all differences at once would take n^2 d elements.
    distances = jax.lax.map(jax.checkpoint(lambda row: _lengths(rows - row[None, :])), rows)
    mean = masked_mean(distances, pairs)
    return distances / jnp.where(mean > 0, mean, 1.0)


def _lengths(vectors: Float[Array, "n d"]) -> Float[Array, " n"]:
    squared = jnp.sum(jnp.square(vectors), axis=-1)
    # The root's gradient at 0 is infinite, and 0 times infinity is NaN: replace the square before the root.
    zero = squared == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))


def _cosines(rows: Float[Array, "n d"], vertex: Float[Array, " d"]) -> Float[Array, "n n"]:
    """Return the cosine of the angle at `vertex` between the directions to each pair of rows."""
    directions = unit(rows - vertex[None, :])
    return gram(directions, directions)


def _huber(gaps: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    size = jnp.abs(gaps)
    return jnp.where(size <= 1, jnp.square(gaps) / 2, size - 0.5)
