"""Distances between hidden states, position by position."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses.feature.vectors import comparable_vectors, unit

Normalization = Literal["none", "l2"]


def hidden_mse(
    student: Float[Array, "*tokens ds"],
    teacher: Float[Array, "*tokens dt"],
    *,
    projection: Float[Array, "ds dt"] | None = None,
    normalization: Normalization = "none",
) -> Float[Array, "*tokens"]:
    """Return mean_d (s - t)^2 with s = student @ projection and t = teacher, optionally both scaled to unit length.

    Args:
        student: hidden states of any float dtype; gradients reach them.
        teacher: hidden states of the same positions; gradient-stopped.
        projection: maps the student's width to the teacher's, required if they differ; gradients reach it.
        normalization: "l2" compares s / norm(s) and t / norm(t); a zero vector stays zero, with gradient 0.

    Returns:
        Per position, float32 (float64 if an input is), >= 0.

    Raises:
        ValueError: shapes that do not fit, or an unknown normalization.

    Source: "none" is TinyBERT (Jiao et al., arXiv 1909.10351), equation 8; "l2" is PKD (Sun et al.,
    arXiv 1908.09355), the patient loss, checked against intersun/PKD-for-BERT-Model-Compression@9e9e860.
    Deviation: PKD's equation is a sum over the width; here, as in its code, it is the mean.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([3.0, 4.0]), jnp.array([6.0, 8.0])
        >>> float(hidden_mse(student, teacher)), float(hidden_mse(student, teacher, normalization="l2"))
        (12.5, 0.0)
    """
    if normalization not in get_args(Normalization):
        raise ValueError(f"normalization must be one of {', '.join(get_args(Normalization))}, got {normalization!r}.")
    student, teacher = comparable_vectors(student, teacher, projection)
    if normalization == "l2":
        student, teacher = unit(student), unit(teacher)
    return jnp.mean(jnp.square(student - teacher), axis=-1)


def hidden_cosine(
    student: Float[Array, "*tokens ds"],
    teacher: Float[Array, "*tokens dt"],
    *,
    projection: Float[Array, "ds dt"] | None = None,
) -> Float[Array, "*tokens"]:
    """Return 1 - cos(s, t) with s = student @ projection and t = teacher.

    Args:
        student: hidden states of any float dtype; gradients reach them.
        teacher: hidden states of the same positions; gradient-stopped.
        projection: maps the student's width to the teacher's, required if they differ; gradients reach it.

    Returns:
        Per position, float32 (float64 if an input is), in [0, 2] up to rounding; 1 with gradient 0 if either vector is
        zero.

    Raises:
        ValueError: shapes that do not fit.

    Source: DistilBERT (Sanh et al., arXiv 1910.01108), section 2, the cosine embedding loss; the formula
    is that of torch's `CosineEmbeddingLoss` with target 1.  Deviation: a projection is an option.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(hidden_cosine(jnp.array([3.0, 4.0]), jnp.array([0.0, 7.0]))), 4)  # 1 - 4 / 5
        0.2
    """
    student, teacher = comparable_vectors(student, teacher, projection)
    return 1 - jnp.sum(unit(student) * unit(teacher), axis=-1)
