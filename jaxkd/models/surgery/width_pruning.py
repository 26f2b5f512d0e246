"""Narrower students: keep the most important heads, feed-forward units and channels of a model."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxkd.models.surgery.axis_map import axis_map
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Params


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Importance:
    """Importance of each part of a decoder's width; only the order within a row matters."""

    heads: Float[np.ndarray, "l heads"]
    neurons: Float[np.ndarray, "l mlp_width"]
    channels: Float[np.ndarray, " d"]
    """Importance of the residual stream's channels, common to all layers."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class KeptWidth:
    """Indices of the parts to keep, ascending."""

    groups: Int[np.ndarray, "l kv_heads"]
    """Key/value heads to keep, each with the query heads that read it."""
    neurons: Int[np.ndarray, "l mlp_width"]
    channels: Int[np.ndarray, " d"]


def narrow_config(
    config: DecoderConfig, *, heads: int | None = None, mlp_width: int | None = None, width: int | None = None
) -> DecoderConfig:
    """Return the config of a model pruned to these sizes, as `prune_width` does.

    Args:
        config: config of the whole model.
        heads: query heads of each layer, a multiple of those that read one key/value head.
        mlp_width: feed-forward units of each layer.
        width: channels of the residual stream.  For each of the three None keeps all.

    Raises:
        ValueError: less than one, more than there are, or a partial group of heads.
    """
    sizes = {"heads": heads, "mlp_width": mlp_width, "width": width}
    sizes = {name: getattr(config, name) if size is None else size for name, size in sizes.items()}
    for name, size in sizes.items():
        if not 1 <= size <= getattr(config, name):
            raise ValueError(
                f"{name} must be between 1 and the model's {getattr(config, name)}, got {size}. Pruning cannot "
                "enlarge a model; leave it out to keep all."
            )
    group = config.heads // config.kv_heads
    if sizes["heads"] % group:
        raise ValueError(
            f"heads must be a multiple of {group}, the query heads that read one key/value head, got {heads}. "
            "Such a group is kept or removed as a whole."
        )
    return dataclasses.replace(
        config,
        **sizes,
        kv_heads=sizes["heads"] // group,
        # The mean square over fewer channels is larger by this factor if the pruned ones are zero.  Norms of queries
        # and keys share this number and need no other: it stays far below their mean square.
        norm_eps=config.norm_eps * config.width / sizes["width"],
    )


def most_important(
    config: DecoderConfig,
    importance: Importance,
    *,
    heads: int | None = None,
    mlp_width: int | None = None,
    width: int | None = None,
) -> KeptWidth:
    """Select the parts with the highest importance; ties go to the first.

    Each layer keeps its own heads and units.  A group of query heads with one key/value head counts
    as the sum of its heads.

    Args:
        config: config of the whole model.
        importance: importance of its parts.
        heads: as in `narrow_config`, like the other sizes.

    Raises:
        ValueError: as `narrow_config`.
    """
    smaller = narrow_config(config, heads=heads, mlp_width=mlp_width, width=width)
    groups = importance.heads.reshape(config.depth, config.kv_heads, -1).sum(axis=-1)
    return KeptWidth(
        groups=_highest(groups, smaller.kv_heads),
        neurons=_highest(importance.neurons, smaller.mlp_width),
        channels=_highest(importance.channels, smaller.width),
    )


def _highest(values: np.ndarray, keep: int) -> np.ndarray:
    order = np.argsort(-values, axis=-1, kind="stable")
    return np.sort(order[..., :keep], axis=-1)


def prune_width(config: DecoderConfig, params: Params, kept: KeptWidth) -> tuple[DecoderConfig, Params]:
    """Build the model from these heads, units and channels; `head_dim` does not change.

    Pruned parts are treated as zero: if d' of d channels are kept, norms scale by sqrt(d / d') and `norm_eps` by
    d / d', so that the mean square over fewer channels normalises as the whole did.  Zero parts can then be pruned
    without changing the outputs (for layer norms only if the kept channels also average to zero).

    Returns:
        The smaller config, and its parameters as host arrays.

    Source: Minitron, arXiv 2407.14679, section 2: the parts to prune.  Deviation: it does not change the norms.
    """
    group, (depth, kv_heads) = config.heads // config.kv_heads, kept.groups.shape
    queries = (kept.groups[..., None] * group + np.arange(group)).reshape(depth, kv_heads * group)
    over_heads = axis_map(config, heads=2 * config.heads)
    over_both = axis_map(config, heads=2 * config.heads, kv_heads=2 * config.kv_heads)
    over_kv_heads = jax.tree.map(
        lambda leaf, both, heads: tuple(axis for axis in both if axis not in heads), params, over_both, over_heads
    )
    smaller = narrow_config(config, heads=kv_heads * group, mlp_width=kept.neurons.shape[1], width=len(kept.channels))
    for over, chosen in (
        (over_heads, queries),
        (over_kv_heads, kept.groups),
        (axis_map(config, mlp_width=2 * config.mlp_width), kept.neurons),
        (axis_map(config, width=2 * config.width), kept.channels),
    ):
        params = jax.tree.map(lambda leaf, axes, chosen=chosen: _take(np.asarray(leaf), axes, chosen), params, over)
    return smaller, _rescaled(config, params, smaller.width)


def _take(leaf: np.ndarray, axes: tuple[int, ...], chosen: np.ndarray) -> np.ndarray:
    """Take the chosen entries along each of the axes; if they differ by layer, axis 0 is the layers."""
    for axis in axes:
        if chosen.ndim == 1:
            leaf = leaf.take(chosen, axis)
        else:
            leaf = np.stack([layer.take(row, axis - 1) for layer, row in zip(leaf, chosen, strict=True)])
    return leaf


def _rescaled(config: DecoderConfig, params: Params, width: int) -> Params:
    """Rescale norms, and an embedding that the model scales by sqrt(width), for fewer channels."""
    ratio = (config.width / width) ** 0.5

    def scaled(path: tuple[Any, ...], leaf: np.ndarray, over_width: tuple[int, ...]) -> np.ndarray:
        names = [entry.key for entry in path]
        factor = ratio
        if config.scaled_embedding and config.tied and names[0] == "final_norm":
            factor = 1.0  # The head is the embedding, which already includes the factor.
        if names[-1] == "scale" and over_width:
            return factor * (1 + leaf) - 1 if config.norm == "rms_plus_one" else factor * leaf
        return factor * leaf if names == ["embedding"] and config.scaled_embedding else leaf

    return params if ratio == 1.0 else jax.tree.map_with_path(scaled, params, axis_map(config, width=2 * config.width))
