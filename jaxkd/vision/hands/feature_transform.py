"""Feature transform layer: features that several cameras see, as points in one frame of coordinates."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import BatchNorm, conv


def transform_features(
    features: Float[Array, "b h w c"],
    rotation: Float[Array, "b 3 3"],
    translation: Float[Array, "b 3"],
    *,
    channels: int,
) -> Float[Array, "b h w c"]:
    """Return features whose first channels are moved as points: R p + t, in the unit of `translation`.

    Of the n = `channels` first channels at a pixel, the first third holds the x of n / 3 points, the second their y and
    the last their z.  The other channels stay as they are.

    Args:
        features: feature maps; their dtype is that of the result.
        rotation: R, of the camera whose features these are: x_canonical = R x_camera + t.
        translation: t, the camera's centre in the canonical frame, in any unit that the network is trained with.
        channels: n, a multiple of 3.

    Raises:
        ValueError: a number of channels that is not a multiple of 3 from 3 to c.

    Source: the feature transform layer of PICO-AI in HANDS23 (arXiv 2403.16428); the order of the channels is inferred
    from a reshape to (3, n / 3 * H * W).  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> turn = jnp.array([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])  # x becomes y
        >>> features = jnp.array([1.0, 2.0, 3.0, 9.0]).reshape(1, 1, 1, 4)
        >>> transform_features(features, turn, jnp.array([[0.0, 0.0, 0.5]]), channels=3).ravel().tolist()
        [-2.0, 1.0, 3.5, 9.0]
    """
    points = _points(features, channels)
    moved = _rotated(rotation, points) + translation.astype(points.dtype)[:, None, None, :, None]
    return _replaced(features, moved)


def inverse_transform_features(
    features: Float[Array, "b h w c"],
    rotation: Float[Array, "b 3 3"],
    translation: Float[Array, "b 3"],
    *,
    channels: int,
) -> Float[Array, "b h w c"]:
    """Return features whose first channels are moved back as points: R^T (p - t), in the unit of `translation`.

    It undoes `transform_features` for rotations.

    Args:
        features: feature maps in the canonical frame; their dtype is that of the result.
        rotation: R, of the camera in whose frame the result is: x_canonical = R x_camera + t.
        translation: t, the camera's centre in the canonical frame.
        channels: number of the channels that are points, a multiple of 3.

    Raises:
        ValueError: a number of channels that is not a multiple of 3 from 3 to c.

    Source: as `transform_features`.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> turn = jnp.array([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
        >>> features = jnp.array([-2.0, 1.0, 3.5, 9.0]).reshape(1, 1, 1, 4)
        >>> inverse_transform_features(features, turn, jnp.array([[0.0, 0.0, 0.5]]), channels=3).ravel().tolist()
        [1.0, 2.0, 3.0, 9.0]
    """
    points = _points(features, channels)
    centred = points - translation.astype(points.dtype)[:, None, None, :, None]
    return _replaced(features, _rotated(jnp.swapaxes(rotation, 1, 2), centred))


class FeatureFusion(nnx.Module):
    """Fuse the feature maps of several cameras in one frame, and return them to each camera's.

    The features of each view are moved into the canonical frame, appended to one another along the channels, and mapped
    pixel by pixel by blocks of a convolution of size 1, BatchNorm and ReLU, the first of which reduces them to `after`
    channels.  The result of each view is the fused map, moved back into its frame.

    The order of the views matters, as each has weights of its own: the same camera must always be at the same place.

    Source: the fusion of two views by PICO-AI in HANDS23 (arXiv 2403.16428).  Deviation: the number of blocks is
    inferred.
    """

    def __init__(self, before: int, after: int, *, views: int, channels: int, blocks: int = 2, rngs: nnx.Rngs):
        """Draw the weights.

        Args:
            before: channels of each view's features.
            after: channels of the fused ones.
            views: number of views.
            channels: number of the first channels that are points, before and after: a multiple of 3.
            blocks: number of blocks.
            rngs: source of the weights.

        Raises:
            ValueError: a number outside its range.
        """
        for name, value in (("views", views), ("blocks", blocks)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        for count in (before, after):
            _require_channels(channels, count)
        self.before, self.views, self.channels = before, views, channels
        # Dicts, not lists: paths of parameters are made of strings.
        self.convs = nnx.Dict(
            {
                f"block{place}": conv(after if place else views * before, after, 1, bias=False, rngs=rngs)
                for place in range(blocks)
            }
        )
        self.norms = nnx.Dict({name: BatchNorm(after) for name in self.convs})

    def __call__(
        self,
        features: Float[Array, "b v h w c"],
        rotation: Float[Array, "b v 3 3"],
        translation: Float[Array, "b v 3"],
        *,
        train: bool,
    ) -> Float[Array, "b v h w k"]:
        """Return the fused features in each view's frame.

        Args:
            features: features of each view.
            rotation: R of each view, x_canonical = R x_camera + t.
            translation: t of each view.
            train: whether statistics are those of the batch.

        Raises:
            ValueError: another number of views or channels than the weights have.
        """
        rows, views, *size, channels = features.shape
        if (views, channels) != (self.views, self.before):
            raise ValueError(
                f"features must be of {self.views} views with {self.before} channels, which the weights are for, got "
                f"{views} with {channels}."
            )
        rotations, translations = rotation.reshape(-1, 3, 3), translation.reshape(-1, 3)
        flat = features.reshape(rows * views, *size, channels)
        canonical = transform_features(flat, rotations, translations, channels=self.channels)
        fused = jnp.moveaxis(canonical.reshape(features.shape), 1, 3).reshape(rows, *size, views * channels)
        for name in self.convs:
            fused = jax.nn.relu(self.norms[name](self.convs[name](fused), train=train))
        repeated = jnp.repeat(fused, views, axis=0)
        returned = inverse_transform_features(repeated, rotations, translations, channels=self.channels)
        return returned.reshape(rows, views, *fused.shape[1:])


def _require_channels(channels: int, count: int) -> None:
    if channels % 3 or not 3 <= channels <= count:
        raise ValueError(
            f"channels must be a multiple of 3, from 3 to the {count} channels of the features, so that they are the "
            f"coordinates of points, got {channels}."
        )


def _points(features: Float[Array, "b h w c"], channels: int) -> Float[Array, "b h w 3 n"]:
    _require_channels(channels, features.shape[-1])
    wide = features[..., :channels].astype(jnp.promote_types(features.dtype, jnp.float32))
    return wide.reshape(*features.shape[:3], 3, channels // 3)


def _rotated(rotation: Float[Array, "b 3 3"], points: Float[Array, "b h w 3 n"]) -> Float[Array, "b h w 3 n"]:
    # Accelerators round the factors of a product to fewer digits by default: there and back would lose a few.
    return jnp.einsum("bij,bhwjn->bhwin", rotation.astype(points.dtype), points, precision=jax.lax.Precision.HIGHEST)


def _replaced(features: Float[Array, "b h w c"], points: Float[Array, "b h w 3 n"]) -> Float[Array, "b h w c"]:
    """Return features whose first channels are these points."""
    first = points.reshape(*points.shape[:3], -1).astype(features.dtype)
    return jnp.concatenate([first, features[..., first.shape[-1] :]], axis=-1)
