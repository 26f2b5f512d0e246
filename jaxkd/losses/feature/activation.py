"""Attention transfer between feature maps: compares where they are active."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses.feature.vectors import unit, wide


def attention_transfer(
    student: Float[Array, "*b height width cs"],
    teacher: Float[Array, "*b height width ct"],
    *,
    exponent: float = 2.0,
) -> Float[Array, "*b"]:
    """Return the sum over positions of (Q_s / norm(Q_s) - Q_t / norm(Q_t))^2.

    Q is the mean over channels of abs(activation)^exponent.

    Args:
        student: feature maps of any float dtype, channels last; gradients reach them.
        teacher: feature maps of the same images, any number of channels; gradient-stopped.
        exponent: 1 or more; a larger exponent weights the strongest channels more.

    Returns:
        Per image, float32 (float64 if an input is), in [0, 2]: no activation is negative.  A map of zeros stays zero,
        with gradient 0.

    Raises:
        ValueError: images or resolutions that differ, or an exponent below 1.

    Source: Zagoruyko & Komodakis (arXiv 1612.03928), section 3.1, the mapping sum abs(A)^p; checked against
    szagoruyko/attention-transfer@893df54.  Deviation: the paper's distance is not squared; that code's is, and
    is the mean over positions, where this is the sum, which does not depend on the resolution.

    Example:
        >>> import jax.numpy as jnp
        >>> student = jnp.array([[[1.0, 1.0], [0.0, 0.0]]])  # 1 x 2 positions, active in the left one
        >>> teacher = jnp.array([[[0.0], [3.0]]])  # active in the right one
        >>> float(attention_transfer(student, teacher))
        2.0
    """
    if student.shape[:-1] != teacher.shape[:-1]:
        raise ValueError(
            f"teacher must have the images and the resolution of student, {student.shape[:-1]}, got "
            f"{teacher.shape[:-1]}. Only the channels may differ: resize one of the maps."
        )
    if not exponent >= 1:
        raise ValueError(f"exponent must be 1 or more, got {exponent}. Below 1 the gradient at 0 is infinite.")
    student, teacher = wide(student, jax.lax.stop_gradient(teacher))
    return jnp.sum(jnp.square(_activity(student, exponent) - _activity(teacher, exponent)), axis=-1)


def _activity(features: Float[Array, "*b height width c"], exponent: float) -> Float[Array, "*b positions"]:
    """Return the map of one side as a unit vector."""
    strengths = jnp.mean(jnp.abs(features) ** exponent, axis=-1)
    return unit(strengths.reshape(*strengths.shape[:-2], -1))
