"""The loss of AlignDistil from hidden states: a student against a teacher composed of two frozen models."""

import dataclasses
import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels import ContrastChunk, VocabTile, head_logits, linear_divergence, linear_divergence_values
from jaxkd.kernels.chunks.contrast_chunk import ContrastColumns
from jaxkd.kernels.fused import fused
from jaxkd.kernels.inputs import Inputs, Targets
from jaxkd.kernels.linear.divergence import require_hiddens, require_shape
from jaxkd.kernels.softmax.contrast import Contrast, Reward
from jaxkd.losses.divergence.distance import TotalVariation
from jaxkd.losses.divergence.kl import ReverseKL
from jaxkd.records import ComposedTeacher, Hiddens
from jaxkd.typing import Scalar

Implementation = Literal["token_chunk", "vocab_tile", "reference"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastLoss:
    """A differentiable weighted sum, and its gradient-stopped parts per position.

    A part is meaningful only where its weight is not 0.
    """

    total: Scalar
    """Sum over positions of `weights * beta / strength * divergence`."""
    divergence: Float[Array, "*tokens"]
    """KL(student || teacher), in nats."""
    distance: Float[Array, "*tokens"]
    """Total variation between the two models, in [0, 1]; 0 where `scale` is 0."""
    strength: Float[Array, "*tokens"]
    """`scale * distance + floor`."""


def linear_contrast(
    student: Hiddens,
    first: Hiddens,
    second: Hiddens,
    *,
    weights: Float[Array, "*tokens"],
    scale: float,
    floor: float = 1e-3,
    beta: float = 0.1,
    reward: Reward = "contrastive",
    implementation: Implementation | ContrastChunk | VocabTile = "token_chunk",
) -> ContrastLoss:
    """Sum `weights * beta / strength * KL(student || teacher)` over positions, without storing all logits.

    The teacher's logits are z_1 + strength (z_1 - z_2) with `reward="contrastive"`, and strength z_1 + (1 - strength)
    z_2 with "vanilla"; strength = scale * TV(p_1, p_2) + floor at each position, where TV is the total variation, half
    the sum of absolute differences.  A `scale` of 0 gives a constant strength.

    Args:
        student: hidden states of the student; gradients reach its values, head weight and head bias.
        first: hidden states of the preference-trained model, at the same positions and over the same vocabulary;
            gradient-stopped.
        second: hidden states of the model trained on reversed preferences or, for the vanilla reward, of the reference.
        weights: mask and 1/denominator in one; no gradient reaches them.  A position of weight 0 does not affect the
            total, whatever its hidden states.
        scale: r of the paper, >= 0.
        floor: epsilon of the paper, or the constant strength beta_0 / beta; > 0.
        beta: beta_0 of the paper, the beta of the preference training; > 0.
        reward: the reward that the teacher maximises.
        implementation: "token_chunk" processes some positions at a time and computes each logit once; "vocab_tile"
            processes some tokens of the vocabulary at a time, needs the least memory and computes each logit up to five
            times; "reference" stores all logits and can be differentiated any number of times.
            `ContrastChunk(chunk=...)` and `VocabTile(tile=...)` set the size.

    Returns:
        `ContrastLoss`; only its `total` can be differentiated, once and in reverse mode.

    Raises:
        ValueError: shapes or vocabularies that differ, or an option out of its range.

    Source: AlignDistil (arXiv 2503.02832), theorem 1, its contrastive reward and its token-adaptive extrapolation;
    checked against songmzhang/AlignDistil@f80ca4e.  Deviation: that code omits the factor 1/2 of the total variation,
    so its r counts twice: `scale` 20 for its 10.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> def one(probs):
        ...     weight = jnp.log(jnp.array(probs))[:, None]
        ...     return Hiddens(values=jnp.ones((1, 1)), head=Head(weight=weight, vocab_size=len(probs)))
        >>> loss = linear_contrast(
        ...     one([0.5, 0.5]), one([0.75, 0.25]), one([0.25, 0.75]), weights=jnp.ones(1), scale=1.0, floor=0.5
        ... )
        >>> float(loss.distance[0]), float(loss.strength[0])
        (0.5, 1.0)
        >>> round(float(loss.divergence[0]), 4)  # the teacher is softmax of z_1 + (z_1 - z_2): 27 to 1
        0.9911
    """
    models = {"student": student, "first": first, "second": second}
    for name, model in models.items():
        require_hiddens(name, model)
        if model.values.shape[:-1] != student.values.shape[:-1] or model.head.vocab_size != student.head.vocab_size:
            raise ValueError(
                f"{name} must have the positions and the vocabulary of student, {student.values.shape[:-1]} and "
                f"{student.head.vocab_size}, got {model.values.shape[:-1]} and {model.head.vocab_size}."
            )
    require_shape("weights", weights, student)
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(f"scale must be >= 0 and finite, got {scale}.")
    for name, value in (("floor", floor), ("beta", beta)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be > 0 and finite, got {value}.")
    if reward not in get_args(Reward):
        raise ValueError(f"reward must be one of {', '.join(get_args(Reward))}, got {reward!r}.")
    contrast = Contrast(
        distance=TotalVariation(), divergence=ReverseKL(), reward=reward, scale=scale, floor=floor, beta=beta
    )
    models = {"student": student, **jax.lax.stop_gradient({"first": first, "second": second})}
    match implementation:
        case "reference":
            return _dense(contrast, models, weights)
        case "vocab_tile":
            return _tiled(contrast, models, weights, VocabTile())
        case VocabTile():
            return _tiled(contrast, models, weights, implementation)
        case "token_chunk":
            return _chunked(contrast, models, weights, ContrastChunk())
        case ContrastChunk():
            return _chunked(contrast, models, weights, implementation)
    raise ValueError(
        f"implementation must be one of {', '.join(get_args(Implementation))}, or a kernel, got {implementation!r}."
    )


def _inputs(models: dict[str, Hiddens], weights: Float[Array, "*tokens"]) -> Inputs:
    return Inputs(
        values={side: model.values for side, model in models.items()},
        heads={side: model.head for side, model in models.items()},
        targets=Targets(weights=weights),
    )


def _chunked(
    contrast: Contrast, models: dict[str, Hiddens], weights: Float[Array, "*tokens"], kernel: ContrastChunk
) -> ContrastLoss:
    total, columns = fused(kernel, contrast, _inputs(models, weights).masked(("student",)))
    return _loss(total, columns)


def _dense(contrast: Contrast, models: dict[str, Hiddens], weights: Float[Array, "*tokens"]) -> ContrastLoss:
    inputs = _inputs(models, weights)
    inputs = inputs.masked(inputs.values)
    flat = {side: head_logits(inputs.hiddens(side))[..., : inputs.rows] for side in models}
    shape = weights.shape
    values, others = contrast({side: one.reshape(-1, one.shape[-1]) for side, one in flat.items()})
    columns = ContrastColumns(*(one.reshape(shape) for one in (values, *others)))
    return _loss(columns.total(inputs.targets), columns)


def _loss(total: Scalar, columns: ContrastColumns) -> ContrastLoss:
    return ContrastLoss(
        total=total,
        **jax.lax.stop_gradient(
            {"divergence": columns.nats, "distance": columns.distance, "strength": columns.strength}
        ),
    )


def _tiled(
    contrast: Contrast, models: dict[str, Hiddens], weights: Float[Array, "*tokens"], kernel: VocabTile
) -> ContrastLoss:
    """Compute the distance first: it needs the whole vocabulary, not one tile."""
    first, second = models["first"], models["second"]
    distance = jnp.zeros(weights.shape)
    if contrast.scale:
        distance = jax.lax.stop_gradient(
            linear_divergence_values(
                first, second, mask=weights != 0, divergence=contrast.distance, implementation=kernel
            )
        )
    strength = contrast.strength(distance)
    found = linear_divergence(
        models["student"],
        ComposedTeacher(models=(first, second), coefficients=contrast.coefficients(strength)),
        weights=weights * contrast.weight(strength),
        divergence=contrast.divergence,
        implementation=kernel,
    )
    return ContrastLoss(total=found.total, divergence=found.divergence, distance=distance, strength=strength)
