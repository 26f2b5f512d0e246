"""The rank distance of a chunk of tokens, and the sweep over all chunks."""

import dataclasses
from typing import Literal, NamedTuple

import jax
from jaxtyping import Array, Float

from jaxkd.kernels.chunks.chunk_loss import ChunkLoss, all_rows, compared, student_gradients
from jaxkd.kernels.chunks.chunk_sweep import ChunkSweep
from jaxkd.kernels.inputs import Inputs, Targets, weighted_sum
from jaxkd.kernels.layout import Layout
from jaxkd.kernels.softmax.ranks import rank_distance, truncated_rank_distance
from jaxkd.typing import Scalar

CHUNK_ELEMENTS = 8 * 2**20
"""Number of one side's logits in a chunk: 32 MiB in float32.  Sorting them needs about ten arrays of that size."""


class RankColumns(NamedTuple):
    """Per-token outputs of the rank distance."""

    distance: Float[Array, "*tokens"]
    tail_bound: Float[Array, "*tokens"]

    def total(self, targets: Targets) -> Scalar:
        """Return the sum of `weights * distance`."""
        return weighted_sum(targets.weights, self.distance)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranks:
    """Comparison of two distributions by rank."""

    temperature: float
    top: int | None
    gradient_to: Literal["student"] = "student"

    def __call__(
        self, student_logits: Float[Array, "n vs"], teacher_logits: Float[Array, "n vt"]
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Return the distance and a bound on its error; the gradient reaches the student."""
        student = jax.nn.softmax(student_logits / self.temperature, axis=-1)
        teacher = jax.lax.stop_gradient(jax.nn.softmax(teacher_logits / self.temperature, axis=-1))
        if self.top is None or self.top >= max(student.shape[-1], teacher.shape[-1]):
            distance = rank_distance(student, teacher)
            return distance, 0 * jax.lax.stop_gradient(distance)
        return truncated_rank_distance(student, teacher, self.top)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankChunk(ChunkSweep):
    """Kernel over chunks of tokens, with their probabilities over both vocabularies."""

    chunk: int | None = None
    """Maximum number of tokens in a chunk; None for the default."""

    def largest_chunk(self, inputs: Inputs) -> int:
        rows = max(head.weight.shape[0] for head in inputs.heads.values())
        return self.chunk or max(16, CHUNK_ELEMENTS // rows // 16 * 16)

    def chunk_loss(self, divergence: Ranks, inputs: Inputs, layout: Layout) -> ChunkLoss:
        tiles = {side: all_rows(inputs.hiddens(side), layout) for side in inputs.values}

        def compare(logits: dict[str, Float[Array, "n _"]]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
            return divergence(logits["student"], logits["teacher"])

        distance, tail_bound, slopes = compared(compare, {side: tile.logits for side, tile in tiles.items()}, layout)

        return ChunkLoss(
            columns=RankColumns(distance=distance, tail_bound=tail_bound),
            gradients=student_gradients(tiles, slopes, inputs),
        )
