"""The loss a chunk of tokens at a time, with the gradient taken in the forward sweep.

Peak memory is two chunks of logits instead of all of them.  The backward pass only scales what the
forward pass stored, so nothing is computed twice: four products with a head, as many as without chunks.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.kernels.chunk_loss import chunk_loss
from jaxkd.kernels.divergence import Divergence
from jaxkd.kernels.inputs import Columns, Gradients, Heads, Inputs
from jaxkd.kernels.layout import Layout, zeros_like
from jaxkd.records import Head
from jaxkd.typing import Scalar

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
class TokenChunk:
    """The logits of some tokens at a time, over the whole vocabulary: fastest, and for any divergence."""

    chunk: int | None = None
    """Tokens whose logits exist at one time, at most; None for the default."""

    def evaluate(self, divergence: Divergence | None, inputs: Inputs, layout: Layout) -> Columns:
        """The columns alone: no gradient is computed where none is asked for."""

        def body(carry: None, chunk: Inputs) -> tuple[None, Columns]:
            return carry, chunk_loss(divergence, chunk, layout).columns

        return self._scan(body, None, inputs)[1]

    def forward(self, divergence: Divergence | None, inputs: Inputs, layout: Layout) -> tuple[Columns, Gradients]:
        """The columns, and the gradient of the total."""

        def body(heads: Heads, chunk: Inputs) -> tuple[Heads, tuple[Columns, Any]]:
            loss = chunk_loss(divergence, chunk, layout)
            part = loss.gradients()
            # Accumulated in float32 (or wider): many small chunks in bfloat16 would lose their tail.
            return jax.tree.map(jnp.add, heads, part.heads), (loss.columns, part.values)

        zeros = {side: zeros_like(inputs.heads[side], inputs.dtype) for side in inputs.differentiated(divergence)}
        heads, (columns, values) = self._scan(body, zeros, inputs)
        return columns, layout.finished(Gradients(values=values, heads=heads), inputs)

    def backward(
        self,
        divergence: Divergence | None,
        inputs: Inputs,
        gradients: Gradients,
        scale: Scalar,
        layout: Layout,
    ) -> Gradients:
        """The stored gradient, scaled."""
        del divergence, inputs, layout
        return jax.tree.map(lambda leaf: (scale * leaf).astype(leaf.dtype), gradients)

    def residual_specs(self, divergence: Divergence | None, inputs: Inputs, layout: Layout) -> Gradients:
        """Partition specs of the gradient that `forward` stores."""
        return layout.gradient_specs(inputs, divergence)

    def _scan(self, body: Callable, carry: Any, inputs: Inputs) -> tuple[Any, Any]:
        """Scan over chunks; what `body` returns for each token is joined and cut to the number of tokens."""
        largest = self.chunk or default_chunk(inputs.heads["student"])
        chunks = max(1, -(-inputs.count // largest))
        chunk = -(-inputs.count // chunks)  # of equal length, so that little of the last one is padding

        def split(array: Array) -> Array:
            padded = jnp.pad(array, [(0, chunks * chunk - inputs.count)] + [(0, 0)] * (array.ndim - 1))
            return padded.reshape(chunks, chunk, *array.shape[1:])

        def joined(array: Array) -> Array:
            return array.reshape(chunks * chunk, *array.shape[2:])[: inputs.count]

        def step(carry: Any, tokens: Any) -> tuple[Any, Any]:
            values, targets = tokens
            return body(carry, Inputs(values=values, heads=inputs.heads, targets=targets))

        carry, outputs = jax.lax.scan(step, carry, jax.tree.map(split, (inputs.values, inputs.targets)))
        return carry, jax.tree.map(joined, outputs)
