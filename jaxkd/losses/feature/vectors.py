"""Helpers of the feature losses: vectors of one width, masked rows, norms with a gradient at 0."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def wide(*arrays: Float[Array, "..."]) -> tuple[Float[Array, "..."], ...]:
    """Convert the arrays to one dtype, float32 or wider."""
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(*arrays))
    return tuple(array.astype(dtype) for array in arrays)


def unit(vectors: Float[Array, "*vectors d"]) -> Float[Array, "*vectors d"]:
    """Scale `vectors` to length 1; a zero vector stays zero and has gradient 0."""
    # The result does not depend on this scale, so it may be a constant; it keeps squares from over- or underflowing.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True))
    zero = largest == 0
    scaled = vectors / jnp.where(zero, 1.0, largest)
    # The gradient of the length at 0 is NaN, and 0 times NaN is NaN: replace the square before the root.
    squared = jnp.where(zero, 1.0, jnp.sum(jnp.square(scaled), axis=-1, keepdims=True))
    return jnp.where(zero, 0.0, scaled / jnp.sqrt(squared))


def gram(rows: Float[Array, "n d"], others: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Return the inner products of all pairs, in full precision: by default a TPU rounds the factors to 8 bits."""
    return jnp.matmul(rows, others.T, precision=jax.lax.Precision.HIGHEST)


def comparable_vectors(
    student: Float[Array, "*tokens ds"], teacher: Float[Array, "*tokens dt"], projection: Float[Array, "ds dt"] | None
) -> tuple[Float[Array, "*tokens dt"], Float[Array, "*tokens dt"]]:
    """Return the projected student and the gradient-stopped teacher, of one width."""
    if student.shape[:-1] != teacher.shape[:-1]:
        raise ValueError(
            f"teacher must have the leading shape of student, got {teacher.shape} and {student.shape}. "
            "Only the widths may differ: align the positions first."
        )
    widths = student.shape[-1], teacher.shape[-1]
    if projection is None and widths[0] != widths[1]:
        raise ValueError(
            f"teacher must have the width of student, {widths[0]}, got {widths[1]}. "
            f"Pass a projection, a matrix of shape {widths} that is trained with the student."
        )
    if projection is not None:
        if projection.shape != widths:
            raise ValueError(
                f"projection must have shape {widths}, the widths of student and teacher, got {projection.shape}. "
                "It is multiplied from the right: student @ projection."
            )
        precision = jnp.promote_types(jnp.float32, jnp.result_type(student, projection))
        student = jnp.matmul(student, projection, preferred_element_type=precision)
    student, teacher = wide(student, jax.lax.stop_gradient(teacher))
    return student, teacher


def comparable_rows(
    student: Float[Array, "n ds"], teacher: Float[Array, "n dt"], mask: Bool[Array, " n"] | None
) -> tuple[Float[Array, "n ds"], Float[Array, "n dt"], Bool[Array, " n"]]:
    """Return student and gradient-stopped teacher, with zeros in masked rows, and the mask."""
    if student.ndim != 2 or teacher.ndim != 2 or len(student) != len(teacher):
        raise ValueError(
            f"student and teacher must be matrices with a row for each example, got {student.shape} and "
            f"{teacher.shape}. Flatten what an example consists of."
        )
    if mask is None:
        mask = jnp.ones(len(student), bool)
    if mask.shape != (len(student),):
        raise ValueError(f"mask must have an entry for each row, shape ({len(student)},), got {mask.shape}.")
    student, teacher = wide(student, jax.lax.stop_gradient(teacher))
    return kept_rows(student, mask), kept_rows(teacher, mask), mask


def kept_rows(rows: Float[Array, "n d"], mask: Bool[Array, " n"]) -> Float[Array, "n d"]:
    """Replace masked rows by zeros, whatever they hold."""
    return jnp.where(mask[:, None], rows, 0.0)


def different(mask: Bool[Array, " n"]) -> Bool[Array, "n n"]:
    """Return the pairs of two different unmasked rows."""
    return mask[:, None] & mask[None, :] & ~jnp.eye(len(mask), dtype=bool)
