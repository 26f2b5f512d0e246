"""Narrower students: the heads, feed-forward units and channels of a model that matter most."""

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
    """How much each part of a decoder's width does; only the order within a row matters."""

    heads: Float[np.ndarray, "l heads"]
    neurons: Float[np.ndarray, "l mlp_width"]
    channels: Float[np.ndarray, " d"]
    """Of the residual stream, so the same in all layers."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class KeptWidth:
    """The parts that stay, ascending."""

    groups: Int[np.ndarray, "l kv_heads"]
    """Key/value heads, each with the query heads that read it."""
    neurons: Int[np.ndarray, "l mlp_width"]
    channels: Int[np.ndarray, " d"]


def narrow_config(
    config: DecoderConfig, *, heads: int | None = None, mlp_width: int | None = None, width: int | None = None
) -> DecoderConfig:
    """The config of a model cut to these sizes, as `prune_width` returns it.

    Args:
        config: of the whole model.
        heads: query heads of each layer, a multiple of those that read one key/value head.
        mlp_width: feed-forward units of each layer.
        width: channels of the residual stream.  For each of the three None keeps all.

    Raises:
        ValueError: less than one, more than there are, or a part of a group of heads.
    """
    sizes = {"heads": heads, "mlp_width": mlp_width, "width": width}
    sizes = {name: getattr(config, name) if size is None else size for name, size in sizes.items()}
    for name, size in sizes.items():
        if not 1 <= size <= getattr(config, name):
            raise ValueError(
                f"{name} must be between 1 and the model's {getattr(config, name)}, got {size}. A cut keeps what is "
                "there; leave it out to keep all."
            )
    group = config.heads // config.kv_heads
    if sizes["heads"] % group:
        raise ValueError(
            f"heads must be a multiple of {group}, the query heads that read one key/value head, got {heads}. "
            "Such a group is kept whole or not at all."
        )
    return dataclasses.replace(
        config,
        **sizes,
        kv_heads=sizes["heads"] // group,
        # The mean square over fewer channels is larger by this factor, where those left out are zero.  Norms of
        # queries and keys share the number and need no other: it stays far below their mean square.
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
    """The parts with the highest importance; of equals the first.

    Each layer keeps its own heads and units.  A group of query heads with one key/value head counts
    as the sum of its heads.

    Args:
        config: of the whole model.
        importance: of its parts.
        heads: as in `narrower`, like the other sizes.

    Raises:
        ValueError: as `narrower`.
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
    """The model made of these heads, units and channels; `head_dim` stays.

    What is left out is treated as zero: with d channels of which d' stay, norms are scaled by
    sqrt(d / d') and `norm_eps` by d / d', so that the mean square over fewer channels normalises as the
    whole did.  Parts that are zero can then be left out without a change of the outputs (for layer
    norms where, besides, the channels that stay average to zero).

    Returns:
        The smaller config, and its parameters as host arrays.

    Source: Minitron, arXiv 2407.14679, section 2: what is cut, and where.  Deviation: it leaves the
    norms as they are.
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
    """The chosen entries along each of the axes; where they differ by layer, axis 0 is the layers."""
    for axis in axes:
        if chosen.ndim == 1:
            leaf = leaf.take(chosen, axis)
        else:
            leaf = np.stack([layer.take(row, axis - 1) for layer, row in zip(leaf, chosen, strict=True)])
    return leaf


def _rescaled(config: DecoderConfig, params: Params, width: int) -> Params:
    """Norms, and an embedding that the model scales by sqrt(width), as they must be for fewer channels."""
    ratio = (config.width / width) ** 0.5

    def scaled(path: tuple[Any, ...], leaf: np.ndarray, over_width: tuple[int, ...]) -> np.ndarray:
        names = [entry.key for entry in path]
        factor = ratio
        if config.scaled_embedding and config.tied and names[0] == "final_norm":
            factor = 1.0  # The head is the embedding, which is larger by the factor already.
        if names[-1] == "scale" and over_width:
            return factor * (1 + leaf) - 1 if config.norm == "rms_plus_one" else factor * leaf
        return factor * leaf if names == ["embedding"] and config.scaled_embedding else leaf

    return params if ratio == 1.0 else jax.tree.map_with_path(scaled, params, axis_map(config, width=2 * config.width))
