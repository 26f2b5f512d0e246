"""Shallower students: a subset of a model's layers."""

from collections.abc import Sequence

import jax
import numpy as np

from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Params


def evenly_spaced(depth: int, keep: int) -> tuple[int, ...]:
    """Select `keep` of `depth` layers, including first and last: `round(i (depth - 1) / (keep - 1))`.

    Raises:
        ValueError: `keep` outside 1..depth.

    Source: inferred; the usual initialisation of a student from its teacher (DistilBERT,
    arXiv 1910.01108, takes every other layer).  Deviation: none.

    Example:
        >>> evenly_spaced(30, 4)
        (0, 10, 19, 29)
    """
    if not 1 <= keep <= depth:
        raise ValueError(f"keep must be between 1 and depth, got {keep} of {depth} layers.")
    if keep == 1:
        return (0,)
    return tuple(round(i * (depth - 1) / (keep - 1)) for i in range(keep))


def check_layers(config: DecoderConfig, layers: Sequence[int]) -> None:
    """Reject layers that the model does not have.

    Raises:
        ValueError: no layer, or one outside 0..depth - 1.
    """
    if not layers:
        raise ValueError("layers must name at least one layer, got none. Leave it None to keep all.")
    outside = [layer for layer in layers if not 0 <= layer < config.depth]
    if outside:
        raise ValueError(
            f"layers must be between 0 and {config.depth - 1}, got {outside}: the model has {config.depth}."
        )


def keep_layers(config: DecoderConfig, params: Params, layers: Sequence[int]) -> tuple[DecoderConfig, Params]:
    """Build the model from these layers, in this order; a layer named twice is copied twice.

    Embedding, final norm and head are kept.  Host arrays stay on the host.

    Raises:
        ValueError: as `check_layers`.
    """
    check_layers(config, layers)
    index = np.asarray(layers)
    kept = jax.tree.map(lambda leaf: leaf[index], params["blocks"])
    return config.with_layers(layers), {**params, "blocks": kept}
