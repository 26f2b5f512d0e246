"""Linear maps between the hidden states of two models, and their random initialisation."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.typing import Key, Params


def project(
    params: Params, values: Float[Array, "*tokens d_in"], mask: Bool[Array, "*tokens"] | None = None
) -> Float[Array, "*tokens d_out"]:
    """Return `values @ weight + bias`, accumulated in float32.

    Args:
        params: `{"weight": [d_in, d_out]}`, with or without `"bias": [d_out]`; gradients reach them.
        values: hidden states, any float dtype; gradients reach them.
        mask: True where `values` counts.  Elsewhere it is read as 0, so that NaN or inf in padding reaches neither the
            result nor a gradient, which a weight of 0 in the loss alone does not prevent.  None counts all.

    Returns:
        Hidden states in the dtype of `values`.

    Raises:
        ValueError: a width that differs from the rows of the weight, or a mask of another shape.

    Source: the projectors of DSKD (arXiv 2406.17328).  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"weight": jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]), "bias": jnp.ones(3)}
        >>> project(params, jnp.array([3.0, 5.0])).tolist()
        [4.0, 6.0, 7.0]
    """
    weight = params["weight"]
    if values.shape[-1] != weight.shape[0]:
        raise ValueError(
            f"values must have the width that the projector takes, {weight.shape[0]}, got {values.shape[-1]}. "
            "t2s takes the teacher's hidden states, s2t the student's."
        )
    if mask is not None:
        if mask.shape != values.shape[:-1]:
            raise ValueError(f"mask must have the leading shape of values, {values.shape[:-1]}, got {mask.shape}.")
        values = jnp.where(mask[..., None], values, 0)
    precision = jnp.promote_types(jnp.float32, values.dtype)
    projected = jnp.einsum("...i,io->...o", values, weight, preferred_element_type=precision)
    if "bias" in params:
        projected += jnp.broadcast_to(params["bias"], projected.shape)
    return projected.astype(values.dtype)


def uniform_init(key: Key, width_in: int, width_out: int, *, bias: Literal["uniform", "none"] = "uniform") -> Params:
    """Sample weight and bias from U(-1/sqrt(width_in), 1/sqrt(width_in)), the initialisation of torch's Linear.

    Args:
        key: typed random key.
        width_in: width of the input hidden states.
        width_out: width of the output hidden states.
        bias: "uniform" samples a bias, "none" omits it.

    Returns:
        Float32 parameters for `project`.

    Raises:
        ValueError: a width below 1, or an unknown kind of bias.

    Source: He et al. (arXiv 1502.01852) with a = sqrt(5), torch's default, which DSKD v1 uses unchanged.
    Deviation: none; the samples are JAX's, not torch's.

    Example:
        >>> import jax
        >>> {name: leaf.shape for name, leaf in uniform_init(jax.random.key(0), 4, 3).items()}
        {'bias': (3,), 'weight': (4, 3)}
    """
    if width_in < 1 or width_out < 1:
        raise ValueError(f"width_in and width_out must be at least 1, got {width_in} and {width_out}.")
    shapes = {"bias": (width_out,), "weight": (width_in, width_out)}
    if bias == "none":
        del shapes["bias"]
    elif bias != "uniform":
        raise ValueError(f"bias must be one of uniform, none, got {bias!r}.")
    bound = 1 / math.sqrt(width_in)
    keys = jax.random.split(key, len(shapes))
    return {
        name: jax.random.uniform(leaf_key, shape, minval=-bound, maxval=bound)
        for leaf_key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
