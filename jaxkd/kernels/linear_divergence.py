"""Distillation losses from hidden states: the entry points, and the choice of an implementation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import jax
from jaxtyping import Array, Float, Int

from jaxkd.kernels.reference import Divergence, LinearLoss, reference
from jaxkd.kernels.token_chunk import token_chunk
from jaxkd.records import Hiddens

Implementation = Literal["auto", "reference", "token_chunk"]

_IMPLEMENTATIONS: Mapping[str, Callable[..., LinearLoss]] = MappingProxyType(
    {"reference": reference, "token_chunk": token_chunk}
)


def linear_divergence(
    student: Hiddens,
    teacher: Hiddens,
    *,
    weights: Float[Array, "*tokens"],
    divergence: Divergence,
    labels: Int[Array, "*tokens"] | None = None,
    label_weights: Float[Array, "*tokens"] | None = None,
    implementation: Implementation = "auto",
) -> LinearLoss:
    """Sum over positions of `weights * divergence(student, teacher) + label_weights * cross entropy`.

    Args:
        student: gradients reach its values, head weight and head bias.
        teacher: same leading shape and vocabulary, any width; no gradient reaches it.
        weights: mask, coefficient and 1/denominator in one; no gradient reaches them.  A position
            of weight 0 does not touch the total, whatever it holds.
        divergence: compares the two distributions of a position; `jaxkd.losses.ForwardKL()`, say.
        labels: token ids for the cross entropy, computed from the same logits; any valid id where
            the weight is 0.
        label_weights: as `weights`, for the cross entropy.
        implementation: "reference" stores both logits and can be differentiated at will;
            "token_chunk" stores two chunks of them and can be differentiated once, in reverse mode;
            "auto" is "token_chunk" on one device and "reference" under a mesh of several.

    Returns:
        `LinearLoss`; only its `total` can be differentiated.

    Raises:
        ValueError: shapes or vocabularies that differ, or an unknown implementation.

    Source: inferred; the gradient-in-forward sweep is Liger's (arXiv 2410.10989, section 3.2).
    Deviation: head gradients accumulate in float32, and padded rows are -inf on both sides.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxkd.losses import ForwardKL
        >>> from jaxkd.records import Head, Hiddens
        >>> student = Hiddens(values=jnp.ones((3, 2)), head=Head(weight=jnp.ones((5, 2)), vocab_size=5))
        >>> teacher = Hiddens(values=jnp.ones((3, 4)), head=Head(weight=jnp.ones((5, 4)), vocab_size=5))
        >>> float(linear_divergence(student, teacher, weights=jnp.ones(3), divergence=ForwardKL()).total)
        0.0
    """
    if student.values.shape[:-1] != teacher.values.shape[:-1]:
        raise ValueError(
            "teacher.values must have the leading shape of student.values, got "
            f"{teacher.values.shape} and {student.values.shape}. Take both at the same target positions."
        )
    if student.head.vocab_size != teacher.head.vocab_size:
        raise ValueError(
            f"teacher.head.vocab_size must equal the student's {student.head.vocab_size}, got "
            f"{teacher.head.vocab_size}. A divergence compares one vocabulary: align the tokens first."
        )
    if student.head.weight.shape[0] != teacher.head.weight.shape[0]:
        rows = min(student.head.weight.shape[0], teacher.head.weight.shape[0])
        student, teacher = _first_rows(student, rows), _first_rows(teacher, rows)
    _require_shape("weights", weights, student)
    if (labels is None) != (label_weights is None):
        raise ValueError("labels and label_weights must be given together, got one of them.")
    if labels is not None and label_weights is not None:
        _require_shape("labels", labels, student)
        _require_shape("label_weights", label_weights, student)
    return _chosen(implementation)(
        student, teacher, weights=weights, divergence=divergence, labels=labels, label_weights=label_weights
    )


def linear_cross_entropy(
    student: Hiddens,
    labels: Int[Array, "*tokens"],
    *,
    weights: Float[Array, "*tokens"],
    implementation: Implementation = "auto",
) -> LinearLoss:
    """Sum over positions of `weights * cross entropy`, in nats, without storing all logits.

    Args:
        student: gradients reach its values, head weight and head bias.
        labels: token ids; any valid id where the weight is 0.
        weights: mask and 1/denominator in one; no gradient reaches them.
        implementation: as in `linear_divergence`.

    Returns:
        `LinearLoss` whose `divergence` is 0.

    Raises:
        ValueError: shapes that differ, or an unknown implementation.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> student = Hiddens(values=jnp.zeros((3, 2)), head=Head(weight=jnp.ones((8, 2)), vocab_size=8))
        >>> loss = linear_cross_entropy(student, jnp.array([0, 1, 2]), weights=jnp.ones(3) / 3)
        >>> round(float(loss.total), 4)  # log 8
        2.0794
    """
    _require_shape("labels", labels, student)
    _require_shape("weights", weights, student)
    return _chosen(implementation)(student, None, weights=None, divergence=None, labels=labels, label_weights=weights)


def _chosen(implementation: Implementation) -> Callable[..., LinearLoss]:
    if implementation == "auto":
        # Under several devices XLA shards the reference's logits by itself; a flat list of tokens,
        # which the chunks need, would make it gather every row on every device.
        implementation = "reference" if jax.sharding.get_abstract_mesh().size > 1 else "token_chunk"
    if implementation not in _IMPLEMENTATIONS:
        raise ValueError(f"implementation must be one of auto, {', '.join(_IMPLEMENTATIONS)}, got {implementation!r}.")
    return _IMPLEMENTATIONS[implementation]


def _first_rows(hiddens: Hiddens, rows: int) -> Hiddens:
    """Both heads cut to the shorter one: what is cut pads the matrix and holds no token."""
    head = hiddens.head
    bias = None if head.bias is None else head.bias[:rows]
    cut = type(head)(
        weight=head.weight[:rows], bias=bias, scale=head.scale, softcap=head.softcap, vocab_size=head.vocab_size
    )
    return Hiddens(values=hiddens.values, head=cut)


def _require_shape(name: str, array: Array, student: Hiddens) -> None:
    if array.shape != student.values.shape[:-1]:
        raise ValueError(
            f"{name} must have the leading shape of student.values, {student.values.shape[:-1]}, got {array.shape}."
        )
