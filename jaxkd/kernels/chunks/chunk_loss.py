"""The loss of a chunk of tokens over all of a device's rows of the vocabulary, and its gradient."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import Divergence, SeparableDivergence
from jaxkd.kernels.inputs import Gradients, Inputs, Summed, Targets
from jaxkd.kernels.layout import Layout
from jaxkd.kernels.softmax.comparison import Sums, divergence_gradients, total_gradients, weighted
from jaxkd.kernels.softmax.head_logits import LogitGradient, Tile, tile_logits
from jaxkd.kernels.softmax.statistics import Statistics
from jaxkd.kernels.top_k_teacher import top_k_divergence
from jaxkd.records import Hiddens

Slopes = Callable[[], dict[str, Float[Array, "n r"]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkLoss:
    """Contribution of a chunk to the loss, and its derivative."""

    columns: Summed
    gradients: Callable[[], Gradients]
    """Function that computes the gradients of the chunk's total, in float32 or wider."""


def chunk_loss(divergence: Divergence | None, inputs: Inputs, layout: Layout) -> ChunkLoss:
    """Return the loss of `inputs`, whose heads are this device's rows."""
    tiles = {side: all_rows(inputs.hiddens(side), layout) for side in inputs.heads}
    # Heads may differ in length: cut the logits to the shorter one, since cutting a weight would copy it.
    logits = inputs.compared({side: tile.logits[:, : inputs.rows] for side, tile in tiles.items()})
    ids, targets = tiles["student"].ids[: inputs.rows], inputs.targets

    separable = divergence if "teacher" in logits and isinstance(divergence, SeparableDivergence) else None
    statistics = Statistics.of(separable, logits, ids=ids, labels=targets.labels).across(layout.vocabulary)
    if separable is not None:
        values, slopes = _separable(separable, statistics, logits, layout)
    elif divergence is not None:
        values, slopes = _whole(divergence, logits, targets, layout)
    else:
        values, slopes = jnp.zeros_like(statistics.label_logit), dict

    def gradients() -> Gradients:
        parts = total_gradients(slopes(), statistics, logits["student"], ids=ids, targets=targets)
        sides = inputs.differentiated(divergence)
        return pulled({side: (tiles[side], parts[side]) for side in sides}, inputs)

    return ChunkLoss(columns=statistics.columns(values, labelled=targets.labels is not None), gradients=gradients)


def all_rows(hiddens: Hiddens, layout: Layout) -> Tile:
    """Return the logits of all of this device's rows of a head."""
    rows = hiddens.head.weight.shape[0]
    return tile_logits(hiddens, 0, rows, limit=rows, first_id=layout.first_id(hiddens.head))


def pulled(parts: dict[str, tuple[Tile, LogitGradient]], inputs: Inputs) -> Gradients:
    """Map the gradients of logits, of the sides that get one, to those of hidden states and heads."""
    values, heads = {}, {}
    for side, (tile, gradient) in parts.items():
        padding = tile.logits.shape[1] - gradient.shape[1]
        values[side], weight, bias = tile.pull(jnp.pad(gradient, ((0, 0), (0, padding))))
        heads[side] = dataclasses.replace(inputs.heads[side], weight=weight, bias=bias)
    return Gradients(values=values, heads=heads)


def student_gradients(tiles: dict[str, Tile], slopes: Slopes, inputs: Inputs) -> Callable[[], Gradients]:
    """Return the student's gradients of a chunk whose loss is a weighted sum of the values of `compared`."""

    def gradients() -> Gradients:
        return pulled({"student": (tiles["student"], weighted(inputs.targets.weights, slopes()["student"]))}, inputs)

    return gradients


def _separable(
    divergence: SeparableDivergence, statistics: Statistics, logits: dict[str, Float[Array, "n r"]], layout: Layout
) -> tuple[Float[Array, " n"], Slopes]:
    """Return nats per token, and their derivatives by the logits; a device needs only its own rows."""
    if divergence.kl_shares is not None:
        sums = Sums.from_means(divergence.kl_shares, statistics)
    else:
        sums = Sums.of(divergence, statistics, logits).across(layout.vocabulary)
    return sums.divergence, lambda: divergence_gradients(divergence, statistics, sums, logits)


def _whole(
    divergence: Divergence, logits: dict[str, Float[Array, "n r"]], targets: Targets, layout: Layout
) -> tuple[Float[Array, " n"], Slopes]:
    """Return the same as `_separable` for a divergence that needs a token's whole distribution."""

    def compare(logits: dict[str, Float[Array, "n v"]]) -> tuple[Float[Array, " n"], None]:
        if targets.top_k is None:
            return divergence(logits["student"], logits["teacher"]), None
        return top_k_divergence(divergence, logits["student"], targets.top_k), None

    values, _, slopes = compared(compare, logits, layout)
    return values, slopes


def compared(
    compare: Callable[[dict[str, Float[Array, "n v"]]], tuple[Float[Array, " n"], Any]],
    logits: dict[str, Float[Array, "n r"]],
    layout: Layout,
) -> tuple[Float[Array, " n"], Any, Slopes]:
    """Apply `compare` to whole distributions: return one value per token, its auxiliary output, and derivatives.

    If the vocabulary is split over devices, the chunk's logits are gathered.
    """
    gathered = logits
    if layout.vocabulary is not None:
        gathered = jax.tree.map(lambda part: jax.lax.all_gather(part, layout.vocabulary, axis=1, tiled=True), logits)
    values, pull, others = jax.vjp(compare, gathered, has_aux=True)

    def own_rows(side: str, slope: Float[Array, "n v"]) -> Float[Array, "n r"]:
        rows = logits[side].shape[1]
        first = 0 if layout.vocabulary is None else jax.lax.axis_index(layout.vocabulary) * rows
        return jax.lax.dynamic_slice_in_dim(slope, first, rows, axis=1)

    def slopes() -> dict[str, Float[Array, "n r"]]:
        (whole,) = pull(jnp.ones_like(values))
        return {side: own_rows(side, slope) for side, slope in whole.items()}

    return values, others, slopes
