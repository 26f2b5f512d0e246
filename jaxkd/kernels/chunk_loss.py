"""The loss of a few tokens over all of a device's rows of the vocabulary, and its gradient."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.comparison import Sums, divergence_gradients, total_gradients
from jaxkd.kernels.divergence import Divergence, SeparableDivergence
from jaxkd.kernels.head_logits import LogitGradient, Tile, tile_logits
from jaxkd.kernels.inputs import Columns, Gradients, Inputs, Targets
from jaxkd.kernels.layout import Layout
from jaxkd.kernels.statistics import Statistics
from jaxkd.kernels.top_k_teacher import top_k_divergence
from jaxkd.records import Head, Hiddens

Slopes = Callable[[], dict[str, Float[Array, "n r"]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkLoss:
    """What a chunk adds, and how to differentiate it."""

    columns: Columns
    gradients: Callable[[], Gradients]
    """Of the chunk's total, in float32 or wider; not computed before it is called."""


def chunk_loss(divergence: Divergence | None, inputs: Inputs, layout: Layout) -> ChunkLoss:
    """The loss of `inputs`, whose heads are this device's rows."""
    tiles = {side: _all_rows(inputs.hiddens(side), layout) for side in inputs.values}
    # Heads may differ in length: the logits are cut to the shorter one, since cutting a weight would copy it.
    logits = {side: tile.logits[:, : inputs.rows] for side, tile in tiles.items()}
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
        pulled = {side: _pulled(tiles[side], parts[side], inputs.heads[side]) for side in sides}
        return Gradients(
            values={side: pulled[side].values for side in sides}, heads={side: pulled[side].head for side in sides}
        )

    return ChunkLoss(columns=statistics.columns(values, labelled=targets.labels is not None), gradients=gradients)


def _all_rows(hiddens: Hiddens, layout: Layout) -> Tile:
    rows = hiddens.head.weight.shape[0]
    return tile_logits(hiddens, 0, rows, limit=rows, first_id=layout.first_id(hiddens.head))


def _pulled(tile: Tile, gradient: LogitGradient, head: Head) -> Hiddens:
    padding = tile.logits.shape[1] - gradient.shape[1]
    values, weight, bias = tile.pull(jnp.pad(gradient, ((0, 0), (0, padding))))
    return Hiddens(values=values, head=dataclasses.replace(head, weight=weight, bias=bias))


def _separable(
    divergence: SeparableDivergence, statistics: Statistics, logits: dict[str, Float[Array, "n r"]], layout: Layout
) -> tuple[Float[Array, " n"], Slopes]:
    """Nats per token, and their derivatives by the logits; a device needs only its own rows."""
    if divergence.kl_shares is not None:
        sums = Sums.from_means(divergence.kl_shares, statistics)
    else:
        sums = Sums.of(divergence, statistics, logits).across(layout.vocabulary)
    return sums.divergence, lambda: divergence_gradients(divergence, statistics, sums, logits)


def _whole(
    divergence: Divergence, logits: dict[str, Float[Array, "n r"]], targets: Targets, layout: Layout
) -> tuple[Float[Array, " n"], Slopes]:
    """The same for a divergence that must see a token's whole distribution: the chunk's logits are gathered."""
    rows = logits["student"].shape[1]
    gathered = logits
    if layout.vocabulary is not None:
        gathered = jax.tree.map(lambda part: jax.lax.all_gather(part, layout.vocabulary, axis=1, tiled=True), logits)

    def compare(logits: dict[str, Float[Array, "n v"]]) -> Float[Array, " n"]:
        if targets.top_k is None:
            return divergence(logits["student"], logits["teacher"])
        return top_k_divergence(divergence, logits["student"], targets.top_k)

    values, pull = jax.vjp(compare, gathered)

    def slopes() -> dict[str, Float[Array, "n r"]]:
        (whole,) = pull(jnp.ones_like(values))
        first = 0 if layout.vocabulary is None else jax.lax.axis_index(layout.vocabulary) * rows
        return jax.tree.map(lambda slope: jax.lax.dynamic_slice_in_dim(slope, first, rows, axis=1), whole)

    return values, slopes
