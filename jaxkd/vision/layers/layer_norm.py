"""Layer normalisation."""

from flax import nnx


def layer_norm(features: int, *, epsilon: float = 1e-5, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Return the normalisation of each pixel or token over its channels.

    The variance is the mean square about the mean, which float32 keeps for channels far from 0.
    """
    return nnx.LayerNorm(features, epsilon=epsilon, use_fast_variance=False, rngs=rngs)
