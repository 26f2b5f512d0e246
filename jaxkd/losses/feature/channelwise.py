"""Channel-wise distillation of feature maps: compares where each channel is active."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.losses.divergence import forward_kl
from jaxkd.losses.feature.vectors import wide


def channelwise_kd(
    student: Float[Array, "*b height width c"],
    teacher: Float[Array, "*b height width c"],
    *,
    temperature: float = 4.0,
    mask: Bool[Array, "*b height width"] | None = None,
) -> Float[Array, "*b"]:
    """Return the mean over channels of sum_i p_i (log p_i - log q_i), in nats: KL(teacher || student) over positions.

    p = softmax_i(teacher / temperature) and q = softmax_i(student / temperature), each over all positions i of one
    channel of one image.  No temperature^2 factor is applied: the paper's loss is temperature^2 times the mean over
    images of this.

    Args:
        student: feature maps or logits of any float dtype, channels last; gradients reach them.
        teacher: maps of the same images, of the same resolution and channels; gradient-stopped.
        temperature: divides both maps, > 0; a larger temperature compares more positions.
        mask: positions that count, in all channels; all by default.  Masked entries may hold anything, NaN included.

    Returns:
        Per image, float32 (float64 if an input is), >= 0 up to rounding; 0 with gradient 0 for an image without
        positions.  The log-sum-exp is float32 or wider.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Shu et al. (arXiv 2011.13256), section 3.2, the channel-wise loss with the softmax over positions; checked
    against irfanICMLL/TorchDistiller@c2caaca.  Deviation: no temperature^2; that code also takes the logarithm of the
    softmax, which is -inf where a probability is rounded to 0.

    Example:
        >>> import jax.numpy as jnp
        >>> student = jnp.zeros((1, 1, 2, 1))  # 1 x 2 positions of one channel
        >>> teacher = jnp.log(jnp.array([0.75, 0.25])).reshape(1, 1, 2, 1)
        >>> round(float(channelwise_kd(student, teacher, temperature=1.0)[0]), 4)
        0.1308
    """
    if student.ndim < 3 or student.shape != teacher.shape:
        raise ValueError(
            f"student and teacher must be [*images, height, width, channels] of one shape, got {student.shape} and "
            f"{teacher.shape}. Map the student's channels by a 1 x 1 convolution, and resize one of the maps."
        )
    if mask is None:
        mask = jnp.ones(student.shape[:-1], bool)
    if mask.shape != student.shape[:-1]:
        raise ValueError(
            f"mask must have an entry for each position, shape {student.shape[:-1]}, got {mask.shape}. "
            "It is the same for all channels."
        )
    positions = mask.reshape(*mask.shape[:-2], 1, -1)
    # Give an image without positions equal scores on both sides: a softmax over nothing is NaN.
    absent = jnp.where(jnp.any(positions, axis=-1, keepdims=True), -jnp.inf, 0.0)
    student, teacher = (jnp.where(positions, _channels(maps), absent) for maps in wide(student, teacher))
    return jnp.mean(forward_kl(student, teacher, temperature=temperature), axis=-1)


def _channels(maps: Float[Array, "*b height width c"]) -> Float[Array, "*b c positions"]:
    return jnp.swapaxes(maps.reshape(*maps.shape[:-3], -1, maps.shape[-1]), -1, -2)
