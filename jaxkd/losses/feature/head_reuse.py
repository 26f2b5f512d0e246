"""Distances between the outputs of the teacher's head on the student's features and on its own."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses.feature.hidden import hidden_mse
from jaxkd.losses.feature.vectors import wide

Params = TypeVar("Params")


def head_reuse_kd(
    student_features: Sequence[Float[Array, "b ..."]],
    head: Callable[[Params, Float[Array, "b ..."], int], Float[Array, "b ..."]],
    head_params: Params,
    teacher_outputs: Sequence[Float[Array, "b ..."]],
    *,
    distance: Callable[[Float[Array, "b ..."], Float[Array, "b ..."]], Float[Array, "b ..."]] = hidden_mse,
) -> Float[Array, " b"]:
    """Return sum_l mean(distance(head(f_l), z_l)), f_l the student's features and z_l the teacher's outputs at level l.

    The mean is over the positions of a level, so that each level counts the same, however many positions it has; the
    sum over levels is plain.  With a teacher's last convolution as the head and the default distance this is CoreKD;
    with a later part of its classification tower and a distance between class logits, CrossKD; with its classifier
    and features [b k] at one level, the transfer through a global classifier that SimKD reuses.

    The head is frozen because its parameters come as an argument, where their gradients are stopped: none reaches them
    or the teacher's outputs, though a caller differentiates both.  Arrays that `head` closes over are not seen here.

    Args:
        student_features: features of each level, [b h w c] or [b k], as the teacher's head reads them: a student of
            another width is mapped by a 1 x 1 convolution first.  Gradients reach them.
        head: the teacher's layers, of its parameters, the features and the index of the level, which a head that is
            shared by all levels ignores.  It must treat images separately: no batch statistics.
        head_params: the parameters, any tree of arrays; gradient-stopped.
        teacher_outputs: outputs of the same head on the teacher's own features, for each level; gradient-stopped.
        distance: of the head's outputs and the teacher's, one value an image or a position of it, and channel if it
            likes.  By default the mean of squares over the channels, so that the mean is over all entries of a level.

    Returns:
        Per image, float32 (float64 if an input is).

    Raises:
        ValueError: no levels, sequences of different lengths, or outputs or distances that do not fit.

    Source: CoreKD of arXiv 2405.16038, from the code XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa, whose
    mean is over images too; CrossKD: Wang et al. (arXiv 2306.11369) and jbwang1997/CrossKD@87e156a4; SimKD: Chen et al.
    (arXiv 2203.14001).  Deviation: CrossKD's code also gives the student's features the channels' means and deviations
    of the teacher's, which is left to the caller.  SimKD compares the features, which is a head that returns them, and
    predicts through the teacher's classifier.

    Example:
        >>> import jax.numpy as jnp
        >>> features = [jnp.ones((1, 2, 2, 3)), jnp.ones((1, 1, 1, 3))]
        >>> outputs = [jnp.ones((1, 2, 2, 1)), jnp.zeros((1, 1, 1, 1))]
        >>> kernel = jnp.ones((3, 1))  # the head's outputs are 3 on both levels: (3 - 1)^2 + (3 - 0)^2
        >>> head_reuse_kd(features, lambda kernel, features, level: features @ kernel, kernel, outputs).tolist()
        [13.0]
    """
    if not student_features or len(student_features) != len(teacher_outputs):
        raise ValueError(
            f"student_features and teacher_outputs must have one array for each level and at least one, got "
            f"{len(student_features)} and {len(teacher_outputs)}. Both run over the same levels, the finest first."
        )
    head_params = jax.lax.stop_gradient(head_params)
    terms = []
    for level, (features, outputs) in enumerate(zip(student_features, teacher_outputs, strict=True)):
        predicted = head(head_params, features, level)
        if predicted.shape != outputs.shape:
            raise ValueError(
                f"the head's outputs must have the shape of teacher_outputs at level {level}, got {predicted.shape} "
                f"and {outputs.shape}. Student and teacher need the same strides, and a head reads the teacher's width."
            )
        cost = distance(*wide(predicted, jax.lax.stop_gradient(outputs)))
        if cost.shape[:1] != outputs.shape[:1]:
            raise ValueError(
                f"distance must return values of each of the {len(outputs)} images at level {level}, got an array of "
                f"shape {cost.shape}. The mean over positions is taken here."
            )
        terms.append(jnp.mean(cost, axis=tuple(range(1, cost.ndim))))
    return jnp.sum(jnp.stack(terms), axis=0)
