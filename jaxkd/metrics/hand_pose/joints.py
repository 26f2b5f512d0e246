"""Errors of joints: relative to the wrist, and between the roots of two bodies."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.metrics.hand_pose.arrays import mean_where, norm, require_points, require_shapes, where_valid, wide


def nan_mean(values: Float[Array, "*b"], *, axis: int | tuple[int, ...] | None = None) -> Float[Array, "..."]:
    """Return the mean of the values that are not NaN, over some axes or all: of hands, of frames, of sequences.

    Args:
        values: NaN where there is none.
        axis: axes that are averaged; None: all.

    Returns:
        Mean, float32 (float64 if the input is); NaN where all values are.  NaN gets a gradient of 0.

    Source: the reports of ARCTIC are such means, of the two hands of a frame and then of all frames.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> nan_mean(jnp.array([[1.0, jnp.nan], [3.0, 5.0]]), axis=-1).tolist()
        [1.0, 4.0]
    """
    values = wide(values)
    axes = range(values.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    taken = [one % values.ndim for one in axes]
    rest = [one for one in range(values.ndim) if one not in taken]
    flat = jnp.transpose(values, (*rest, *taken)).reshape(*(values.shape[one] for one in rest), -1)
    return mean_where(flat, ~jnp.isnan(flat))


def joint_errors(
    predicted: Float[Array, "*b j 3"], truth: Float[Array, "*b j 3"], *, wrist: int, mask: Bool[Array, "*b j"]
) -> Float[Array, "*b j"]:
    """Return ||(p_j - p_wrist) - (t_j - t_wrist)||, the error of each joint relative to the wrist, in metres.

    Args:
        predicted: joints of each hand.
        truth: joints of the same hands, in the same order and unit.
        wrist: index of the wrist, as `JointOrder.wrist` of `jaxkd.records.hands`.
        mask: joints that count.  The others may hold anything, NaN included; the wrist is needed wherever one counts.

    Returns:
        Per joint, in the unit of the arguments, float32 (float64 if an input is); NaN where it does not count, and
        where a joint that counts or its wrist is NaN.

    Raises:
        ValueError: shapes that do not agree, or a wrist beyond the joints.

    Source: zc-alexfan/arctic@49f3eb4 and facebookresearch/assemblyhands-toolkit@73fe963, with wrists 0 and 20.
    Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> truth = jnp.zeros((3, 3)).at[:, 2].set(0.5)
        >>> predicted = truth.at[1].add(jnp.array([0.003, 0.004, 0.0])) + 0.25
        >>> joint_errors(predicted, truth, wrist=0, mask=jnp.array([True, True, False])).round(4).tolist()
        [0.0, 0.004999999888241291, nan]
    """
    require_points(predicted=predicted)
    shape = jnp.shape(predicted)
    require_shapes(truth=(truth, shape), mask=(mask, shape[:-1]))
    if not 0 <= wrist < shape[-2]:
        raise ValueError(f"wrist must be the index of one of the {shape[-2]} joints, got {wrist}.")
    predicted, truth = wide(predicted), wide(truth)
    difference = predicted - truth
    difference = difference - difference[..., wrist, :][..., None, :]
    return where_valid(norm(jnp.where(mask[..., None], difference, 0)), mask)


def mpjpe(
    predicted: Float[Array, "*b j 3"], truth: Float[Array, "*b j 3"], *, wrist: int, mask: Bool[Array, "*b j"]
) -> Float[Array, "*b"]:
    """Return the mean over the joints of `joint_errors`, the mean per-joint position error of each hand, in metres.

    ARCTIC averages the two hands of a frame and then all frames, each time without NaN: `nan_mean(errors, axis=-1)` and
    `nan_mean` of that.  AssemblyHands averages another way, `mpjpe_joints_first`.

    Args:
        predicted: joints of each hand.
        truth: joints of the same hands, in the same order and unit.
        wrist: index of the wrist, as `JointOrder.wrist` of `jaxkd.records.hands`; it counts as a joint, with error 0.
        mask: joints that count.

    Returns:
        Per hand, in the unit of the arguments, float32 (float64 if an input is); NaN where no joint counts, or where a
        joint that counts is NaN.

    Raises:
        ValueError: as `joint_errors`.

    Source: zc-alexfan/arctic@49f3eb4, whose frames have all joints or none.  Deviation: none there.

    Example:
        >>> import jax.numpy as jnp
        >>> truth = jnp.zeros((2, 3, 3))
        >>> predicted = truth.at[:, 1, 0].set(0.75)
        >>> mpjpe(predicted, truth, wrist=0, mask=jnp.array([[True] * 3, [False] * 3])).tolist()
        [0.25, nan]
    """
    errors = joint_errors(predicted, truth, wrist=wrist, mask=mask)
    return mean_where(errors, mask)


def mpjpe_joints_first(
    predicted: Float[Array, "n *b j 3"], truth: Float[Array, "n *b j 3"], *, wrist: int, mask: Bool[Array, "n *b j"]
) -> Float[Array, "*b j"]:
    """Return the mean over all frames of each joint's error relative to the wrist, of which AssemblyHands takes means.

    `nan_mean` of the result is AssemblyHands' figure.  It differs from the mean over hands, since a joint that is
    seldom seen weighs as much as one that always is.

    Args:
        predicted: joints of each frame, and of each hand.
        truth: joints of the same hands, in the same order and unit.
        wrist: index of the wrist, as `JointOrder.wrist` of `jaxkd.records.hands`.
        mask: joints that count.

    Returns:
        Per joint of each hand, in the unit of the arguments, float32 (float64 if an input is); NaN for a joint that
        never counts, or that is NaN where it counts.

    Raises:
        ValueError: as `joint_errors`.

    Source: facebookresearch/assemblyhands-toolkit@73fe963.  Deviation: that code also has figures for frames with one
    hand or with two.

    Example:
        >>> import jax.numpy as jnp
        >>> truth = jnp.zeros((2, 2, 3))
        >>> predicted = truth.at[:, 1, 0].set(jnp.array([0.5, 0.25]))
        >>> mpjpe_joints_first(predicted, truth, wrist=0, mask=jnp.array([[True, True], [True, False]])).tolist()
        [0.0, 0.5]
    """
    errors = joint_errors(predicted, truth, wrist=wrist, mask=mask)
    return mean_where(jnp.moveaxis(errors, 0, -1), jnp.moveaxis(mask, 0, -1))


def mrrpe(
    predicted: Float[Array, "*b 3"],
    predicted_other: Float[Array, "*b 3"],
    truth: Float[Array, "*b 3"],
    truth_other: Float[Array, "*b 3"],
    *,
    valid: Bool[Array, "*b"],
) -> Float[Array, "*b"]:
    """Return ||(p' - p) - (t' - t)||, the error of the vector from one root to another, in metres.

    The mean relative root position error has two forms: from the right wrist to the left one, for frames with both
    hands, and from the right wrist to the object, for frames with the right hand.

    Args:
        predicted: root of the first body, such as the right wrist.
        predicted_other: root of the second body, such as the left wrist, or the object's `bottom_centre`.
        truth: as `predicted`.
        truth_other: as `predicted_other`.
        valid: frames that count: those with both bodies.

    Returns:
        Per frame, in the unit of the arguments, float32 (float64 if an input is); NaN where it does not count.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> root, other = jnp.zeros((2, 3)), jnp.ones((2, 3))
        >>> moved = other + jnp.array([0.0, 0.0, 0.5])
        >>> mrrpe(root + 5, moved + 5, root, other, valid=jnp.array([True, False])).tolist()
        [0.5, nan]
    """
    shape = jnp.shape(predicted)
    if shape[-1:] != (3,):
        raise ValueError(f"predicted must hold three coordinates on its last axis, got the shape {shape}.")
    require_shapes(
        predicted_other=(predicted_other, shape),
        truth=(truth, shape),
        truth_other=(truth_other, shape),
        valid=(valid, shape[:-1]),
    )
    difference = (wide(predicted_other) - wide(predicted)) - (wide(truth_other) - wide(truth))
    return where_valid(norm(jnp.where(valid[..., None], difference, 0)), valid)
