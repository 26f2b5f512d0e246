"""Contrastive distillation: a student's embedding must identify its teacher's among other examples."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.losses.feature.vectors import comparable_rows, comparable_vectors, gram, unit, wide


def info_nce(
    student: Float[Array, "n ds"],
    teacher: Float[Array, "n dt"],
    *,
    projection: Float[Array, "ds dt"] | None = None,
    temperature: float = 0.07,
    mask: Bool[Array, " n"] | None = None,
    labels: Int[Array, " n"] | None = None,
    negatives: Float[Array, "m dt"] | None = None,
) -> Float[Array, " n"]:
    """Return -log softmax_j(cos(s_i, t_j) / temperature)[i], in nats, over row i's positive t_i and its negatives.

    The negatives are the teacher's other rows and `negatives`.

    Args:
        student: one embedding per row, of any float dtype; gradients reach it.
        teacher: embeddings of the same examples; gradient-stopped.
        projection: maps the student's width to the teacher's, required if they differ; gradients reach it.
        temperature: divides the cosines, > 0.
        mask: rows that take part, all by default.  Other rows are negatives of no row, and may hold anything, NaN
            included.
        labels: class of each row; rows of row i's own class are not its negatives.
        negatives: further teacher embeddings, such as a memory bank; gradient-stopped.  Each is a negative of every
            row, whatever its class.

    Returns:
        Per row, float32 (float64 if an input is), >= 0 up to rounding; 0 with gradient 0 in masked rows.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not positive.
        TypeError: labels that are not integers.

    Source: van den Oord et al. (arXiv 1807.03748), equation 4, with the cosine over a temperature as score; between
    student and teacher Tian et al., CRD (arXiv 1910.10699).  Deviation: CRD's own estimator differs, checked against
    HobbitLong/RepDistiller@b84f547: a binary classification with the constant m / N against negatives from memory banks
    of all N examples, in both directions, with the teacher's embedding projected by trained weights too.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([[2.0, 0.0], [0.0, 3.0]]), jnp.eye(2)
        >>> round(float(info_nce(student, teacher, temperature=1.0)[0]), 4)  # log(1 + exp(-1))
        0.3133
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    student, teacher, mask = comparable_rows(student, teacher, mask)
    student, teacher = comparable_vectors(student, teacher, projection)
    rows = len(student)
    student, teacher = unit(student), unit(teacher)
    scores = gram(student, teacher) / temperature
    positive = jnp.eye(rows, dtype=bool)
    negative = jnp.broadcast_to(mask[None, :], (rows, rows))
    if labels is not None:
        _require_labels(labels, rows)
        negative &= labels[:, None] != labels[None, :]
    candidates = jnp.where(positive | negative, scores, -jnp.inf)
    if negatives is not None:
        _require_width(negatives, teacher.shape[1])
        student, bank = wide(student, jax.lax.stop_gradient(negatives))
        candidates = jnp.concatenate([candidates, gram(student, unit(bank)) / temperature], axis=-1)
    nats = jax.nn.logsumexp(candidates, axis=-1) - jnp.diagonal(scores)
    return jnp.where(mask, nats, 0.0)


def _require_labels(labels: Int[Array, " n"], rows: int) -> None:
    if labels.shape != (rows,):
        raise ValueError(f"labels must have an entry for each row, shape ({rows},), got {labels.shape}.")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be classes of an integer dtype, got {labels.dtype}.")


def _require_width(negatives: Float[Array, "m dt"], width: int) -> None:
    if negatives.ndim != 2 or negatives.shape[1] != width:
        raise ValueError(
            f"negatives must have the width of teacher, shape (m, {width}), got {negatives.shape}. "
            "They are embeddings of the teacher."
        )
