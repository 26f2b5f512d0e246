"""The hybrid distance of a chunk of positions, and the sweep over all chunks."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.chunks.chunk_loss import ChunkLoss, all_rows, compared, student_gradients
from jaxkd.kernels.chunks.chunk_sweep import ChunkSweep
from jaxkd.kernels.chunks.rank_chunk import CHUNK_ELEMENTS
from jaxkd.kernels.inputs import Inputs, Targets, weighted_sum
from jaxkd.kernels.layout import Layout
from jaxkd.kernels.softmax.hybrid import Hybrid, Parts
from jaxkd.typing import Scalar

LOG_SCALES = "log scales"
"""Key, beside the hidden states, of the log scales that multiply the two distributions."""


class HybridColumns(NamedTuple):
    """Per-position outputs of the hybrid distance."""

    distance: Float[Array, "*tokens"]
    matched: Float[Array, "*tokens"]
    unmatched: Float[Array, "*tokens"]
    tail_bound: Float[Array, "*tokens"]
    scale_slope: Float[Array, "*tokens"]
    """Derivative of the distance by the student's log scale."""

    def total(self, targets: Targets) -> Scalar:
        """Return the sum of `weights * distance`."""
        return weighted_sum(targets.weights, self.distance)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HybridChunk(ChunkSweep):
    """Kernel over chunks of positions, with their probabilities over both vocabularies."""

    chunk: int | None = None
    """Maximum number of positions in a chunk; None for the default."""

    def largest_chunk(self, inputs: Inputs) -> int:
        rows = max(head.weight.shape[0] for head in inputs.heads.values())
        return self.chunk or max(16, CHUNK_ELEMENTS // rows // 16 * 16)

    def chunk_loss(self, divergence: Hybrid, inputs: Inputs, layout: Layout) -> ChunkLoss:
        tiles = {side: all_rows(inputs.hiddens(side), layout) for side in inputs.heads}
        student_scale, teacher_scale = inputs.values[LOG_SCALES].T

        def compare(
            logits: dict[str, Float[Array, "n _"]],
        ) -> tuple[Float[Array, " n"], tuple[Parts, Float[Array, " n"]]]:
            # Use a second copy, which the compiler merges with the first: nothing is differentiated twice.
            fixed = jax.lax.stop_gradient(logits)
            slope = jax.grad(lambda scale: jnp.sum(divergence(fixed, scale, teacher_scale)[0]))(student_scale)
            distance, parts = divergence(logits, student_scale, teacher_scale)
            return distance, (parts, slope)

        logits = {side: tile.logits for side, tile in tiles.items()}
        distance, ((matched, unmatched, tail_bound), scale_slope), slopes = compared(compare, logits, layout)
        columns = HybridColumns(distance, matched, unmatched, tail_bound, scale_slope)

        return ChunkLoss(columns=columns, gradients=student_gradients(tiles, slopes, inputs))
