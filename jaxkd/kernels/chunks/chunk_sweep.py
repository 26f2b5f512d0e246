"""A loss computed one chunk of tokens at a time, with the gradient computed in the forward sweep.

Peak memory is that of one chunk instead of all tokens.  The backward pass only scales what the forward pass stored, so
nothing is computed twice.
"""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.kernels.chunks.chunk_loss import ChunkLoss
from jaxkd.kernels.inputs import Gradients, Heads, Inputs, Summed
from jaxkd.kernels.layout import Layout, zeros_like
from jaxkd.typing import Scalar


class ChunkSweep(abc.ABC):
    """A kernel whose loss is the sum over chunks."""

    @abc.abstractmethod
    def largest_chunk(self, inputs: Inputs) -> int:
        """Return the maximum number of tokens in a chunk."""

    @abc.abstractmethod
    def chunk_loss(self, divergence: Any, inputs: Inputs, layout: Layout) -> ChunkLoss:
        """Return the loss of one chunk."""

    def evaluate(self, divergence: Any, inputs: Inputs, layout: Layout) -> Summed:
        """Compute the columns alone, without a gradient."""

        def body(carry: None, chunk: Inputs) -> tuple[None, Summed]:
            return carry, self.chunk_loss(divergence, chunk, layout).columns

        return self._scan(body, None, inputs)[1]

    def forward(self, divergence: Any, inputs: Inputs, layout: Layout) -> tuple[Summed, Gradients]:
        """Compute the columns, and the gradient of the total."""

        def body(heads: Heads, chunk: Inputs) -> tuple[Heads, tuple[Summed, Any]]:
            loss = self.chunk_loss(divergence, chunk, layout)
            part = loss.gradients()
            # Accumulate in float32 (or wider): many small chunks in bfloat16 would lose precision.
            return jax.tree.map(jnp.add, heads, part.heads), (loss.columns, part.values)

        zeros = {side: zeros_like(inputs.heads[side], inputs.dtype) for side in inputs.differentiated(divergence)}
        heads, (columns, values) = self._scan(body, zeros, inputs)
        return columns, layout.finished(Gradients(values=values, heads=heads), inputs)

    def backward(
        self,
        divergence: Any,
        inputs: Inputs,
        gradients: Gradients,
        scale: Scalar,
        layout: Layout,
    ) -> Gradients:
        """Return the stored gradient, scaled."""
        del divergence, inputs, layout
        return jax.tree.map(lambda leaf: (scale * leaf).astype(leaf.dtype), gradients)

    def residual_specs(self, divergence: Any, inputs: Inputs, layout: Layout) -> Gradients:
        """Return the partition specs of the gradient that `forward` stores."""
        return layout.gradient_specs(inputs, divergence)

    def _scan(self, body: Callable, carry: Any, inputs: Inputs) -> tuple[Any, Any]:
        """Scan over chunks; concatenate the per-token results of `body` and cut them to the number of tokens."""
        chunks = max(1, -(-inputs.count // self.largest_chunk(inputs)))
        chunk = -(-inputs.count // chunks)  # equal lengths leave little padding in the last chunk

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
