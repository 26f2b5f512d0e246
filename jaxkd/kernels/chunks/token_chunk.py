"""The loss computed one chunk of tokens at a time, over the whole vocabulary.

Peak memory is two chunks of logits instead of all logits, at four products with a head, as many as without chunks.
"""

import dataclasses

from jaxkd.kernels.chunks.chunk_loss import ChunkLoss, chunk_loss
from jaxkd.kernels.chunks.chunk_sweep import ChunkSweep
from jaxkd.kernels.divergence import Divergence
from jaxkd.kernels.inputs import Inputs
from jaxkd.kernels.layout import Layout
from jaxkd.records import Head

CHUNK_ELEMENTS = 32 * 2**20
"""Number of one side's logits in a chunk of a narrow model: 128 MiB in float32."""


def default_chunk(head: Head) -> int:
    """Return the tokens of a chunk: a multiple of 64 whose logits are 128 MiB, or a quarter of the head if more.

    Each chunk adds to the whole head's gradient, which costs as much as a few passes over logits of `width / 4` tokens
    and dominates for much smaller chunks.
    """
    rows, width = head.weight.shape
    return max(64, max(CHUNK_ELEMENTS // rows, width // 4) // 64 * 64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenChunk(ChunkSweep):
    """Kernel over chunks of tokens, with the whole vocabulary: fastest, and for any divergence."""

    chunk: int | None = None
    """Maximum number of tokens in a chunk; None for the default."""

    def largest_chunk(self, inputs: Inputs) -> int:
        return self.chunk or default_chunk(inputs.heads["student"])

    def chunk_loss(self, divergence: Divergence | None, inputs: Inputs, layout: Layout) -> ChunkLoss:
        return chunk_loss(divergence, inputs, layout)


FROZEN_HEAD = TokenChunk(chunk=256)
"""Kernel for a head without gradient: nothing accumulates, so small chunks cost nothing and need the least memory."""
