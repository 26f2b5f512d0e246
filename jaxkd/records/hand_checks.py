"""Checks on the host that an array of hands is in metres, and of the order and the side that it claims."""

import numpy as np
from jaxtyping import Bool, Float

from jaxkd.records.hands import ORDERS, SIDES, JointOrder, Side, require_joints

SMALLEST_HAND, LARGEST_HAND = 0.01, 1.0
"""Distance in metres from the wrist to the farthest joint, which is 0.05 to 0.25 in adults: beyond these bounds the
unit is another one."""

FOREIGN_ORDER = 0.9
"""Total length of the bones in another order over that in the claimed one, below which the claim is rejected.  The
others are those of the other data sets, and the claimed one with the wrist at the other end.  Bones join neighbours, so
that they are shortest in the order of the array: in a foreign one they add up to more for open
hands.  Of fists some orders cannot be told, and none is rejected that is right."""

FLAT_HAND = 0.1
"""How far the fingertips must lie on the palm's side of the knuckles, over the palm's length, for the side to be told:
fingers bend towards the palm alone, but of straight ones the mirror image is another hand's."""


def require_hands(
    joints: Float[np.ndarray, "*b 21 3"],
    *,
    order: JointOrder,
    valid: Bool[np.ndarray, "*b 21"] | None = None,
    side: Side | None = None,
    name: str = "joints",
    unit: str = "metres",
) -> None:
    """Reject hands whose number of joints, unit, order or side cannot be right.

    All are judged by medians, so that a bad frame does not decide: the unit by the hands of which the wrist and half of
    the joints are known, order and side by those of which all are.  Where there is no such hand, they are not judged.

    Args:
        joints: positions in metres.
        order: order that they claim to have.
        valid: joints that are known; None: those that are not NaN.
        side: hand that they claim to be; None: either, or both.
        name: of the array in messages, such as a file and an entry.
        unit: name in messages of the unit that the array had before it was converted.

    Raises:
        ValueError: another number of joints than 21, infinite positions, hands of a size that no hand has, joints in
            the order of another data set, or a hand of the other side.

    Example:
        >>> import numpy as np
        >>> from jaxkd.records.hands import ARCTIC
        >>> require_hands(170.0 * np.eye(21)[:, :3], order=ARCTIC)
        Traceback (most recent call last):
            ...
        ValueError: joints must be in metres, got a hand of 240 m from the wrist to the farthest joint, the median of \
1. These are millimetres: divide them by 1,000.
    """
    require_joints(name, joints)
    known = ~np.isnan(joints).any(axis=-1) if valid is None else valid & ~np.isnan(joints).any(axis=-1)
    if np.isinf(joints[known]).any():
        raise ValueError(f"{name} must hold finite positions where they are valid, got inf. Mark these as not valid.")
    wide, known = np.asarray(joints, np.float64).reshape(-1, joints.shape[-2], 3), known.reshape(-1, joints.shape[-2])
    _require_size(wide, known, order, name, unit)
    complete = wide[known.all(axis=-1)]
    if not len(complete):
        return
    _require_order(complete, order, name)
    if side is not None:
        bend = float(np.median(palm_bend(complete, order=order)))
        if (bend if side == "right" else -bend) < -FLAT_HAND:
            other = SIDES[1 - SIDES.index(side)]
            raise ValueError(
                f"{name} must be of the {side} hand, got fingers that bend as those of the {other} one in the median "
                f"of {len(complete)} hands. Exchange the hands; if they are right, the coordinates are mirrored."
            )


def palm_bend(joints: Float[np.ndarray, "*b 21 3"], *, order: JointOrder) -> Float[np.ndarray, "*b"]:
    """Return how far the tips of four fingers lie off the palm's plane, over the palm's length, on a right hand's side.

    It is positive for a right hand and negative for a left one whose fingers are bent, and 0 for straight fingers.

    Args:
        joints: positions, in any unit, in coordinates of a right-handed system.
        order: order of the joints.

    Returns:
        Per hand, float64; NaN where joints are NaN or the palm has no area.

    Example:
        >>> import numpy as np
        >>> from jaxkd.records.hands import MEDIAPIPE
        >>> hand = np.zeros((21, 3))
        >>> hand[[5, 8, 9, 12, 13, 16, 17, 20], 0] = [3, 3, 1, 1, -1, -1, -3, -3]  # knuckles and tips
        >>> hand[[5, 8, 9, 12, 13, 16, 17, 20], 1] = [8, 9, 8, 9, 8, 9, 8, 9]
        >>> hand[[8, 12, 16, 20], 2] = 4  # towards the palm, which looks along z
        >>> palm_bend(hand, order=MEDIAPIPE).round(3).tolist()
        0.482
    """
    require_joints("joints", joints)
    wide = np.asarray(joints, np.float64)
    fingers = ("index", "middle", "ring", "pinky")
    knuckles = wide[..., np.array(order.indices(*(f"{one}_mcp" for one in fingers))), :]
    tips = wide[..., np.array(order.indices(*(f"{one}_tip" for one in fingers))), :]
    rays = knuckles - wide[..., order.wrist, :][..., None, :]
    normal = np.cross(rays[..., 0, :], rays[..., 3, :])
    area = np.linalg.norm(normal, axis=-1)
    height = np.einsum("...k,...k->...", (tips - knuckles).mean(axis=-2), normal)
    scale = area * np.linalg.norm(rays, axis=-1).mean(axis=-1)
    return np.where(scale > 0, height / np.where(scale > 0, scale, 1.0), np.nan)


def _require_size(
    joints: Float[np.ndarray, "n 21 3"], known: Bool[np.ndarray, "n 21"], order: JointOrder, name: str, unit: str
) -> None:
    judged = known[:, order.wrist] & (2 * known.sum(axis=1) > known.shape[1])
    if not judged.any():
        return
    offsets = np.where(known[..., None], joints - joints[:, order.wrist][:, None], 0.0)[judged]
    size = float(np.median(np.linalg.norm(offsets, axis=-1).max(axis=1)))
    if size > LARGEST_HAND:
        large = size > 40 * LARGEST_HAND
        fix = "These are millimetres: divide them by 1,000." if large else "Convert them, or check them."
    elif size < SMALLEST_HAND:
        fix = "If these are metres, multiply them by 1,000." if 0 < size < 1e-3 else "Convert them, or check them."
    else:
        return
    raise ValueError(
        f"{name} must be in {unit}, got a hand of {size:.3g} m from the wrist to the farthest joint, the median of "
        f"{judged.sum()}. {fix}"
    )


def _require_order(complete: Float[np.ndarray, "n 21 3"], order: JointOrder, name: str) -> None:
    own = _bone_lengths(complete, order)
    ratios = {
        other: float(np.median(_bone_lengths(complete, other) / np.maximum(own, 1e-9)))
        for other in (*ORDERS, _wrist_at_other_end(order))
        if other.joints != order.joints
    }
    other = min(ratios, key=ratios.__getitem__)
    if ratios[other] < FOREIGN_ORDER:
        raise ValueError(
            f"{name} must be in the order of {order}, whose wrist is joint {order.wrist}, got bones that add up to "
            f"{float(np.median(own)):.2f} m in it, and to {ratios[other]:.0%} of that in the order of {other}, whose "
            f"wrist is joint {other.wrist}. Convert them with jaxkd.records.hands.reordered."
        )


def _wrist_at_other_end(order: JointOrder) -> JointOrder:
    """Return the order with its wrist first instead of last, or last instead of first."""
    fingers = tuple(name for name in order.joints if name != "wrist")
    joints = (*fingers, "wrist") if order.wrist == 0 else ("wrist", *fingers)
    return JointOrder(name=f"{order} but for the wrist", joints=joints, unit=order.unit)


def _bone_lengths(complete: Float[np.ndarray, "n 21 3"], order: JointOrder) -> Float[np.ndarray, " n"]:
    ends = complete[:, np.array(order.bones)]
    return np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=-1).sum(axis=1)
