"""The reference loss a chunk of tokens at a time, with the gradient taken in the forward sweep.

Peak memory is two chunks of logits instead of all of them.  The backward pass only scales what the
forward pass stored, so nothing is computed twice; the price is that the weights must be known in
the forward pass, and that the result can be differentiated once, in reverse mode.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels.reference import Divergence, LinearLoss, reference
from jaxkd.records import Hiddens
from jaxkd.typing import Params

CHUNK_ELEMENTS = 16 * 2**20
"""Logits of one side that a chunk holds at most: 64 MiB in float32."""


def default_chunk(vocabulary: int) -> int:
    """Tokens of a chunk: a multiple of 32 that keeps the logits of one side under 64 MiB."""
    return max(32, CHUNK_ELEMENTS // vocabulary // 32 * 32)


def token_chunk(
    student: Hiddens,
    teacher: Hiddens | None,
    *,
    weights: Float[Array, "*tokens"] | None,
    divergence: Divergence | None,
    labels: Int[Array, "*tokens"] | None,
    label_weights: Float[Array, "*tokens"] | None,
    chunk: int | None = None,
) -> LinearLoss:
    """See `linear_divergence`; `chunk` is the number of tokens whose logits exist at one time."""
    shape = student.values.shape[:-1]
    count = student.values[..., 0].size
    chunk = min(chunk or default_chunk(student.head.weight.shape[0]), max(count, 1))
    chunks = -(-count // chunk)

    def split(array: Array, trailing: int = 0) -> Array:
        flat = array.reshape(count, *array.shape[array.ndim - trailing :])
        padded = jnp.pad(flat, [(0, chunks * chunk - count)] + [(0, 0)] * trailing)
        return padded.reshape(chunks, chunk, *flat.shape[1:])

    rows = {
        "teacher": None if teacher is None else split(teacher.values, 1),
        "weights": None if weights is None else split(weights),
        "labels": None if labels is None else split(labels),
        "label_weights": None if label_weights is None else split(label_weights),
    }
    chunked = Hiddens(values=split(student.values, 1), head=student.head)
    total, columns = _sweep(divergence, chunked, None if teacher is None else teacher.head, rows)
    joined = [column.reshape(-1)[:count].reshape(shape) for column in columns]
    return LinearLoss(total=total, divergence=joined[0], cross_entropy=joined[1], argmax=joined[2], lse=joined[3])


def _chunk_loss(divergence, head, values, teacher_head, rows) -> tuple[Array, tuple[Array, ...]]:
    """The total of one chunk, and its values per position."""
    teacher = None if teacher_head is None else Hiddens(values=rows["teacher"], head=teacher_head)
    loss = reference(
        Hiddens(values=values, head=head),
        teacher,
        weights=rows["weights"],
        divergence=divergence,
        labels=rows["labels"],
        label_weights=rows["label_weights"],
    )
    return loss.total, (loss.divergence, loss.cross_entropy, loss.argmax, loss.lse)


def _totals(divergence, student: Hiddens, teacher_head, rows: Params) -> tuple[Array, tuple[Array, ...]]:
    """Evaluation alone: no gradient is computed where none is asked for."""

    def body(total, chunk):
        values, rows = chunk
        part, columns = _chunk_loss(divergence, student.head, values, teacher_head, rows)
        return total + part, columns

    return jax.lax.scan(body, _zero_total(student), (student.values, rows))


_sweep = jax.custom_vjp(_totals, nondiff_argnums=(0,))


def _sweep_forward(divergence, student, teacher_head, rows):
    def body(carry, chunk):
        total, head_gradient = carry
        values, rows = chunk
        (part, columns), (head_part, values_gradient) = jax.value_and_grad(
            lambda head, values: _chunk_loss(divergence, head, values, teacher_head, rows), (0, 1), has_aux=True
        )(student.head, values)
        # Accumulated in float32 (or wider): many small chunks in bfloat16 would lose their tail.
        head_gradient = jax.tree.map(lambda sum, part: sum + part.astype(sum.dtype), head_gradient, head_part)
        return (total + part, head_gradient), (values_gradient, columns)

    zero = _zero_total(student)
    head_zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, zero.dtype), student.head)
    (total, head_gradient), (values_gradient, columns) = jax.lax.scan(body, (zero, head_zeros), (student.values, rows))
    head_gradient = jax.tree.map(lambda sum, leaf: sum.astype(leaf.dtype), head_gradient, student.head)
    return (total, columns), Hiddens(values=values_gradient, head=head_gradient)


def _sweep_backward(divergence, gradient, cotangents):
    scale, _ = cotangents
    return jax.tree.map(lambda leaf: (scale * leaf).astype(leaf.dtype), gradient), None, None


_sweep.defvjp(_sweep_forward, _sweep_backward)


def _zero_total(student: Hiddens) -> Array:
    return jnp.zeros((), jnp.promote_types(jnp.float32, student.values.dtype))
