"""The loss a chunk of tokens at a time, over the whole vocabulary.

Peak memory is two chunks of logits instead of all of them, at four products with a head, as many as without chunks.
"""

import dataclasses

from jaxkd.kernels.chunks.chunk_loss import ChunkLoss, chunk_loss
from jaxkd.kernels.chunks.chunk_sweep import ChunkSweep
from jaxkd.kernels.divergence import Divergence
from jaxkd.kernels.inputs import Inputs
from jaxkd.kernels.layout import Layout
from jaxkd.records import Head

CHUNK_ELEMENTS = 32 * 2**20
"""Logits of one side that a chunk of a narrow model holds: 128 MiB in float32."""


def default_chunk(head: Head) -> int:
    """Tokens of a chunk: a multiple of 64 whose logits are 128 MiB, or a quarter of the head where that is more.

    Each chunk adds to the whole head's gradient, which costs as much as a few passes over logits of `width / 4`
    tokens; chunks far below that spend their time on it.
    """
    rows, width = head.weight.shape
    return max(64, max(CHUNK_ELEMENTS // rows, width // 4) // 64 * 64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenChunk(ChunkSweep):
    """The logits of some tokens at a time, over the whole vocabulary: fastest, and for any divergence."""

    chunk: int | None = None
    """Tokens whose logits exist at one time, at most; None for the default."""

    def largest_chunk(self, inputs: Inputs) -> int:
        return self.chunk or default_chunk(inputs.heads["student"])

    def chunk_loss(self, divergence: Divergence | None, inputs: Inputs, layout: Layout) -> ChunkLoss:
        return chunk_loss(divergence, inputs, layout)


FROZEN_HEAD = TokenChunk(chunk=256)
"""For a head that no gradient reaches: none is added up, so small chunks cost nothing and need the least memory."""
