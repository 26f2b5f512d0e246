"""The contrast of a chunk of positions, and the sweep over all chunks; each logit is computed once."""

import dataclasses
from typing import NamedTuple

from jaxtyping import Array, Float

from jaxkd.kernels.chunks.chunk_loss import ChunkLoss, all_rows, compared, student_gradients
from jaxkd.kernels.chunks.chunk_sweep import ChunkSweep
from jaxkd.kernels.chunks.token_chunk import default_chunk
from jaxkd.kernels.inputs import Inputs, Targets, weighted_sum
from jaxkd.kernels.layout import Layout
from jaxkd.kernels.softmax.contrast import Contrast
from jaxkd.typing import Scalar


class ContrastColumns(NamedTuple):
    """Per-position outputs of the contrast."""

    weighted: Float[Array, "*tokens"]
    nats: Float[Array, "*tokens"]
    distance: Float[Array, "*tokens"]
    strength: Float[Array, "*tokens"]

    def total(self, targets: Targets) -> Scalar:
        """Return the sum of `weights * weighted`."""
        return weighted_sum(targets.weights, self.weighted)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastChunk(ChunkSweep):
    """Kernel over chunks of positions, with the logits of the student and of both models."""

    chunk: int | None = None
    """Maximum number of positions in a chunk; None for the default."""

    def largest_chunk(self, inputs: Inputs) -> int:
        return self.chunk or default_chunk(inputs.heads["student"])

    def chunk_loss(self, divergence: Contrast, inputs: Inputs, layout: Layout) -> ChunkLoss:
        tiles = {side: all_rows(inputs.hiddens(side), layout) for side in inputs.heads}
        logits = {side: tile.logits[:, : inputs.rows] for side, tile in tiles.items()}
        values, (nats, distance, strength), slopes = compared(divergence, logits, layout)

        columns = ContrastColumns(weighted=values, nats=nats, distance=distance, strength=strength)
        return ChunkLoss(columns=columns, gradients=student_gradients(tiles, slopes, inputs))
