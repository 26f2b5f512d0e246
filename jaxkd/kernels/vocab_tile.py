"""The loss computed one tile of the vocabulary at a time, with the least memory.

Peak memory is about four arrays of [tokens, tile].  Each sweep over the vocabulary recomputes the tiles' logits: two
sweeps for the KL divergences and the cross entropy, three for the others (`jaxkd.kernels.softmax.comparison` explains
why).  So a gradient costs six or eight products with a head, while `token_chunk` needs four.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from jaxkd.kernels.divergence import SeparableDivergence
from jaxkd.kernels.inputs import Columns, Gradients, Inputs
from jaxkd.kernels.layout import Layout, zeros_like
from jaxkd.kernels.softmax.comparison import Sums, divergence_gradients, total_gradients
from jaxkd.kernels.softmax.head_logits import LogitGradient, Tile, tile_logits
from jaxkd.kernels.softmax.statistics import Statistics
from jaxkd.typing import Scalar

TILE_ELEMENTS = 8 * 2**20
"""Number of one side's logits in a tile: 32 MiB in float32."""


def default_tile(tokens: int) -> int:
    """Return the rows of a tile: a multiple of 128, from 512 to 8,192, with one side's logits near 32 MiB."""
    return min(8192, max(512, TILE_ELEMENTS // max(tokens, 1) // 128 * 128))


Residual = tuple[Statistics, Sums]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabTile:
    """Kernel over tiles of the vocabulary, all tokens at a time: least memory, for separable divergences."""

    tile: int | None = None
    """Rows of the heads per tile; None for the default."""

    def evaluate(self, divergence: SeparableDivergence | None, inputs: Inputs, layout: Layout) -> Columns:
        """Compute the columns alone."""
        return self.forward(divergence, inputs, layout)[0]

    def forward(
        self, divergence: SeparableDivergence | None, inputs: Inputs, layout: Layout
    ) -> tuple[Columns, Residual]:
        """Compute the columns, and the few numbers per token that the gradient needs besides the inputs."""
        labels, starts = inputs.targets.labels, self._starts(inputs)

        def statistics_of(total: Statistics, start: Int[Array, ""]) -> tuple[Statistics, None]:
            tiles = self._tiles(inputs, start, layout)
            return total + Statistics.of(
                divergence, _logits(inputs, tiles), ids=tiles["student"].ids, labels=labels
            ), None

        statistics, _ = jax.lax.scan(statistics_of, Statistics.empty(divergence, inputs.count, inputs.dtype), starts)
        statistics = statistics.across(layout.vocabulary)
        if divergence is None:
            sums = Sums.empty(inputs.count, inputs.dtype)
        elif divergence.kl_shares is not None:
            sums = Sums.from_means(divergence.kl_shares, statistics)
        else:
            sums = self._sums(divergence, statistics, inputs, layout)
        columns = statistics.columns(sums.divergence, labelled=labels is not None)
        return columns, (statistics, sums)

    def backward(
        self,
        divergence: SeparableDivergence | None,
        inputs: Inputs,
        residual: Residual,
        scale: Scalar,
        layout: Layout,
    ) -> Gradients:
        """Compute the gradient of `scale` times the total."""
        (statistics, sums), targets = residual, inputs.targets.scaled(scale)
        sides = inputs.differentiated(divergence)

        def body(total: Gradients, start: Int[Array, ""]) -> tuple[Gradients, None]:
            tiles = self._tiles(inputs, start, layout)
            logits = _logits(inputs, tiles)
            slopes = {} if divergence is None else divergence_gradients(divergence, statistics, sums, logits)
            parts = total_gradients(slopes, statistics, logits["student"], ids=tiles["student"].ids, targets=targets)
            return _added(total, {side: (tiles[side], parts[side]) for side in sides}), None

        # Each row is computed once, so it needs no wider accumulator; the sum over devices does.
        zeros = Gradients(
            values={side: jnp.zeros(inputs.values[side].shape, inputs.dtype) for side in sides},
            heads={
                side: zeros_like(head, inputs.dtype if layout.rows else head.weight.dtype)
                for side, head in inputs.heads.items()
                if side in sides
            },
        )
        gradients, _ = jax.lax.scan(body, zeros, self._starts(inputs))
        return layout.finished(gradients, inputs)

    def residual_specs(
        self, divergence: SeparableDivergence | None, inputs: Inputs, layout: Layout
    ) -> tuple[PartitionSpec, PartitionSpec]:
        """Return the partition specs of what `forward` stores, all one value per token."""
        del divergence, inputs
        return layout.tokens, layout.tokens

    def _sums(self, divergence: SeparableDivergence, statistics: Statistics, inputs: Inputs, layout: Layout) -> Sums:
        """Run the second of three sweeps."""

        def body(total: Sums, start: Int[Array, ""]) -> tuple[Sums, None]:
            part = Sums.of(divergence, statistics, _logits(inputs, self._tiles(inputs, start, layout)))
            return jax.tree.map(jnp.add, total, part), None

        sums, _ = jax.lax.scan(body, Sums.empty(inputs.count, inputs.dtype), self._starts(inputs))
        return sums.across(layout.vocabulary)

    def _tiles(self, inputs: Inputs, start: Int[Array, ""], layout: Layout) -> dict[str, Tile]:
        """Compute the logits of one tile, of all sides."""
        return {
            side: tile_logits(
                inputs.hiddens(side), start, self._size(inputs), limit=inputs.rows, first_id=layout.first_id(head)
            )
            for side, head in inputs.heads.items()
        }

    def _starts(self, inputs: Inputs) -> Int[Array, " tiles"]:
        return jnp.arange(0, inputs.rows, self._size(inputs))

    def _size(self, inputs: Inputs) -> int:
        return min(self.tile or default_tile(inputs.count), inputs.rows)


def _logits(inputs: Inputs, tiles: dict[str, Tile]) -> dict[str, Float[Array, "n r"]]:
    return inputs.compared({side: tile.logits for side, tile in tiles.items()})


def _added(total: Gradients, parts: dict[str, tuple[Tile, LogitGradient]]) -> Gradients:
    """Add the gradient of one tile to those of earlier tiles."""
    values, heads = {}, {}
    for side, (tile, gradient) in parts.items():
        values_part, weight, bias = tile.pull(gradient)
        head = total.heads[side]
        values[side] = total.values[side] + values_part
        heads[side] = dataclasses.replace(
            head,
            weight=_added_rows(head.weight, weight, tile.start),
            bias=None if head.bias is None or bias is None else _added_rows(head.bias, bias, tile.start),
        )
    return Gradients(values=values, heads=heads)


def _added_rows(total: Float[Array, "v ..."], part: Float[Array, "r ..."], start: Int[Array, ""] | int) -> Array:
    before = jax.lax.dynamic_slice_in_dim(total, start, part.shape[0])
    return jax.lax.dynamic_update_slice_in_dim(total, before + part.astype(total.dtype), start, axis=0)
