"""Distillation losses from hidden states: entry points, and the choice of an implementation."""

import dataclasses
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.kernels import layout
from jaxkd.kernels.check_divergence import require_divergence
from jaxkd.kernels.chunks.token_chunk import TokenChunk, default_chunk
from jaxkd.kernels.divergence import Divergence, SeparableDivergence
from jaxkd.kernels.fused import Kernel, fused
from jaxkd.kernels.inputs import Inputs, Targets
from jaxkd.kernels.reference import reference
from jaxkd.kernels.top_k_teacher import require_temperature
from jaxkd.kernels.vocab_tile import VocabTile
from jaxkd.records import ComposedTeacher, Hiddens, TopK
from jaxkd.typing import Scalar

TOKEN_CHUNK_BYTES = 4 * 2**30
"""Memory above which "auto" is `vocab_tile`: the student head's float32 gradient and two chunks of logits, per
device."""

Name = Literal["auto", "reference", "token_chunk", "vocab_tile"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearLoss:
    """A differentiable weighted sum, and its gradient-stopped parts per position.

    A part is meaningful only where its weight is not 0: elsewhere hidden states may be replaced by 0.
    """

    total: Scalar
    """Sum over positions of `weights * divergence + label_weights * cross_entropy`."""
    divergence: Float[Array, "*tokens"]
    """Divergence in nats, gradient-stopped; 0 if no teacher was given."""
    cross_entropy: Float[Array, "*tokens"]
    """Cross entropy in nats, gradient-stopped; 0 if no labels were given."""
    argmax: Int[Array, "*tokens"]
    """Most likely token of the student."""
    lse: Float[Array, "*tokens"]
    """Log-sum-exp of the student's logits, gradient-stopped."""


def linear_divergence(
    student: Hiddens,
    teacher: Hiddens | ComposedTeacher | TopK,
    *,
    weights: Float[Array, "*tokens"],
    divergence: Divergence,
    labels: Int[Array, "*tokens"] | None = None,
    label_weights: Float[Array, "*tokens"] | None = None,
    implementation: Name | Kernel = "auto",
) -> LinearLoss:
    """Sum `weights * divergence(student, teacher) + label_weights * cross entropy` over positions.

    The logits of all positions never exist at one time, for either side, unless the implementation is "reference".
    Under a mesh (`jax.set_mesh`) positions are split over its data and fsdp axes and the vocabulary over its tensor
    axis; the axes of an enclosing `shard_map`, which needs `check_vma=False`, are left alone.

    Args:
        student: hidden states of the student; gradients reach its values, head weight and head bias.
        teacher: hidden states of the same positions and vocabulary, of any width; those of several models, whose logits
            are combined; or the most likely tokens (`top_k`), at the divergence's temperature.  Gradients reach the
            hidden states of one model and their head if `divergence.gradient_to` is "both".
        weights: mask, coefficient and 1/denominator in one; no gradient reaches them.  A position of weight 0 does not
            affect the total, whatever it holds.
        divergence: compares the two distributions of a position, such as `jaxkd.losses.ForwardKL()`.
        labels: token ids for the cross entropy, computed from the same logits; any valid id where
            the weight is 0.
        label_weights: as `weights`, for the cross entropy.
        implementation: "reference" stores both logits and can be differentiated any number of times.  The others can be
            differentiated once, in reverse mode: "token_chunk" stores the logits of some positions at a time and takes
            any divergence; "vocab_tile" stores those of some tokens of the vocabulary at a time, and takes a
            `SeparableDivergence` from hidden states of both sides.  `TokenChunk(chunk=...)` and `VocabTile(tile=...)`
            set the size.  "auto" is token_chunk, or vocab_tile if that would hold more than 4 GiB.

    Returns:
        `LinearLoss`; only its `total` can be differentiated.

    Raises:
        ValueError: shapes, vocabularies or temperatures that differ, an unknown implementation, one that does not take
            the divergence, or a composed teacher with `gradient_to` "both".
        TypeError: labels that are not integers.

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
    require_hiddens("student", student)
    require_divergence(divergence)
    if isinstance(teacher, TopK):
        _require_same("teacher", "ids", teacher.ids, teacher.vocab_size, student)
        require_temperature(divergence, teacher)
    elif isinstance(teacher, ComposedTeacher):
        _require_composed(teacher, divergence, student)
    else:
        _require_model("teacher", teacher, student)
    require_shape("weights", weights, student)
    if (labels is None) != (label_weights is None):
        raise ValueError("labels and label_weights must be given together, got one of them.")
    if labels is not None and label_weights is not None:
        _require_labels(labels, student)
        require_shape("label_weights", label_weights, student)
    known, hiddens = (teacher, None) if isinstance(teacher, TopK) else (None, teacher)
    targets = Targets(top_k=known, weights=weights, labels=labels, label_weights=label_weights)
    return _loss(implementation, divergence, Inputs.of(student, hiddens, targets))


def linear_cross_entropy(
    student: Hiddens,
    labels: Int[Array, "*tokens"],
    *,
    weights: Float[Array, "*tokens"],
    implementation: Name | Kernel = "auto",
) -> LinearLoss:
    """Sum `weights * cross entropy` over positions, in nats, without storing all logits.

    Args:
        student: hidden states of the student; gradients reach its values, head weight and head bias.
        labels: token ids; any valid id where the weight is 0.
        weights: mask and 1/denominator in one; no gradient reaches them.
        implementation: as in `linear_divergence`.

    Returns:
        `LinearLoss` whose `divergence` is 0.

    Raises:
        ValueError: shapes that differ, or an unknown implementation.
        TypeError: labels that are not integers.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> student = Hiddens(values=jnp.zeros((3, 2)), head=Head(weight=jnp.ones((8, 2)), vocab_size=8))
        >>> loss = linear_cross_entropy(student, jnp.array([0, 1, 2]), weights=jnp.ones(3) / 3)
        >>> round(float(loss.total), 4)  # log 8
        2.0794
    """
    require_hiddens("student", student)
    _require_labels(labels, student)
    require_shape("weights", weights, student)
    return _loss(implementation, None, Inputs.of(student, None, Targets(labels=labels, label_weights=weights)))


def linear_argmax(hiddens: Hiddens, mask: Bool[Array, "*tokens"]) -> Int[Array, "*tokens"]:
    """Return the most likely token of each position, without storing all logits.

    Args:
        hiddens: hidden states and head of any model; no gradient.
        mask: positions to compute.

    Returns:
        Token ids, the lowest for ties; any id where the mask is False.

    Raises:
        ValueError: shapes that differ.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> hiddens = Hiddens(values=jnp.array([[2.0, 0.0], [0.0, 2.0]]), head=Head(weight=jnp.eye(3, 2), vocab_size=3))
        >>> linear_argmax(hiddens, jnp.ones(2, bool)).tolist()
        [0, 1]
    """
    labels = jnp.zeros(mask.shape, jnp.int32)
    return linear_cross_entropy(jax.lax.stop_gradient(hiddens), labels, weights=mask.astype(jnp.float32)).argmax


def _loss(implementation: Name | Kernel, divergence: Divergence | None, inputs: Inputs) -> LinearLoss:
    if isinstance(implementation, str) and implementation not in get_args(Name):
        raise ValueError(
            f"implementation must be one of {', '.join(get_args(Name))}, or a kernel, got {implementation!r}."
        )
    if implementation == "reference":
        total, columns = reference(divergence, inputs.masked(inputs.values))
    else:
        kernel = _kernel(implementation, divergence, inputs)
        total, columns = fused(kernel, divergence, inputs.masked(inputs.differentiated(divergence)))
    return LinearLoss(total=total, **columns._asdict())


def _kernel(implementation: Name | Kernel, divergence: Divergence | None, inputs: Inputs) -> Kernel:
    separable = inputs.targets.top_k is None and (divergence is None or isinstance(divergence, SeparableDivergence))
    if implementation == "auto":
        return _fastest(inputs) if separable else TokenChunk()
    named = {"token_chunk": TokenChunk(), "vocab_tile": VocabTile()}
    kernel = named[implementation] if isinstance(implementation, str) else implementation
    if isinstance(kernel, VocabTile) and not separable:
        raise ValueError(
            "divergence must be a sum over the vocabulary, from hidden states of both sides, for vocab_tile, got "
            f"{divergence}. Use token_chunk, which sees a position's whole distribution."
        )
    return kernel


def _fastest(inputs: Inputs) -> Kernel:
    """Choose by memory: `token_chunk` computes each logit once, `vocab_tile` two or three times."""
    head = inputs.heads["student"]
    rows, width = head.weight.shape
    held = 4 * rows * (width + 2 * default_chunk(head)) / layout.ambient(inputs.heads).vocabulary_shards
    return TokenChunk() if held <= TOKEN_CHUNK_BYTES else VocabTile()


def _require_composed(teacher: ComposedTeacher, divergence: Divergence, student: Hiddens) -> None:
    if not teacher.models:
        raise ValueError("teacher.models must hold at least one model, got none.")
    for place, model in enumerate(teacher.models):
        _require_model(f"teacher.models[{place}]", model, student)
    shape = (*student.values.shape[:-1], len(teacher.models))
    if teacher.coefficients.shape != shape:
        raise ValueError(
            f"teacher.coefficients must have one number for each position and model, {shape}, got "
            f"{teacher.coefficients.shape}."
        )
    if divergence.gradient_to != "student":
        raise ValueError(
            f'divergence.gradient_to must be "student" for a composed teacher, got {divergence.gradient_to!r}: its '
            "models are frozen."
        )


def _require_model(name: str, teacher: Hiddens, student: Hiddens) -> None:
    require_hiddens(name, teacher)
    _require_same(name, "values", teacher.values, teacher.head.vocab_size, student)


def _require_same(name: str, field: str, array: Array, vocab_size: int, student: Hiddens) -> None:
    """Reject positions or a vocabulary other than the student's."""
    if student.values.shape[:-1] != array.shape[:-1]:
        raise ValueError(
            f"{name}.{field} must have the leading shape of student.values, got {array.shape} and "
            f"{student.values.shape}. Take both at the same target positions."
        )
    if student.head.vocab_size != vocab_size:
        raise ValueError(
            f"the vocab_size of {name} must equal the student's {student.head.vocab_size}, got {vocab_size}. A "
            "divergence compares one vocabulary: align the tokens first."
        )


def require_hiddens(name: str, hiddens: Hiddens) -> None:
    """Reject what is no `Hiddens`, and a vocabulary that is larger than the head."""
    if not isinstance(hiddens, Hiddens):
        raise TypeError(
            f"{name} must be Hiddens, got {type(hiddens).__name__}. Give hidden states with their head: "
            "Hiddens(values=states, head=Head(weight=matrix, vocab_size=len(matrix))); losses of logits are in "
            "jaxkd.losses."
        )
    head = hiddens.head
    if head.weight.shape[0] < head.vocab_size:
        raise ValueError(
            f"{name}.head.vocab_size must be at most the {head.weight.shape[0]} rows of its weight, got "
            f"{head.vocab_size}. It counts the rows that are tokens."
        )


def _require_labels(labels: Array, student: Hiddens) -> None:
    require_shape("labels", labels, student)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be token ids of an integer dtype, got {labels.dtype}.")


def require_shape(name: str, array: Array, student: Hiddens) -> None:
    """Reject an array without one value per position."""
    if array.shape != student.values.shape[:-1]:
        raise ValueError(
            f"{name} must have the leading shape of student.values, {student.values.shape[:-1]}, got {array.shape}."
        )
