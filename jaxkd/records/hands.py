"""Joints of hands in the orders of the data sets, so that an array in one order is not taken for another's."""

import dataclasses
import functools
from typing import Any, Literal, TypeAlias, overload

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

Side: TypeAlias = Literal["right", "left"]
"""A hand of a person."""

SIDES: tuple[Side, Side] = ("right", "left")
"""Order of the hands wherever an axis holds both."""

LengthUnit: TypeAlias = Literal["m", "mm"]
"""Unit of the coordinates in a data set's files."""

METRES: dict[LengthUnit, float] = {"m": 1.0, "mm": 1e-3}
"""Metres in each unit."""

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
"""Fingers of a hand; the joints of each are named after it, as in `index_mcp`."""

_PHALANGES = {"thumb": ("cmc", "mcp", "ip", "tip")} | dict.fromkeys(FINGERS[1:], ("mcp", "pip", "dip", "tip"))

JOINTS = ("wrist", *(f"{finger}_{one}" for finger in FINGERS for one in _PHALANGES[finger]))
"""Names of the 21 joints: the wrist, and four of each finger from its base to its tip."""

_PARENTS: dict[str, str] = {
    name: "wrist" if name.endswith(("_cmc", "index_mcp", "middle_mcp", "ring_mcp", "pinky_mcp")) else JOINTS[place - 1]
    for place, name in enumerate(JOINTS)
    if name != "wrist"
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointOrder:
    """Order of the 21 joints in the arrays of a data set, and the unit of its files.

    Arrays within this package are in metres, whatever the unit of the files.

    Raises:
        ValueError: joints that are not the 21 of `JOINTS`, each once, or an unknown unit.
    """

    name: str
    """Name of the data set."""
    joints: tuple[str, ...]
    """Name of the joint at each index, of `JOINTS`."""
    unit: LengthUnit
    """Unit of the coordinates in the data set's files."""

    def __post_init__(self) -> None:
        if sorted(self.joints) != sorted(JOINTS):
            missing = sorted(set(JOINTS) - set(self.joints))
            raise ValueError(
                f"joints must be the {len(JOINTS)} of jaxkd.records.hands.JOINTS in some order, got "
                f"{len(self.joints)} for {self.name}, without {', '.join(missing) or 'any missing'}."
            )
        if self.unit not in METRES:
            raise ValueError(f"unit must be one of {', '.join(METRES)}, got {self.unit!r}.")

    def __str__(self) -> str:
        return self.name

    @property
    def wrist(self) -> int:
        """Index of the wrist."""
        return self.joints.index("wrist")

    @property
    def metres(self) -> float:
        """Metres in the unit of the files."""
        return METRES[self.unit]

    @property
    def parents(self) -> tuple[int, ...]:
        """Index of each joint's neighbour towards the wrist; the wrist's own for the wrist."""
        return tuple(self.joints.index(_PARENTS.get(name, name)) for name in self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Indices of the two ends of each of the 20 bones, the one nearer to the wrist first: lines to draw."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent != child)

    def indices(self, *names: str) -> tuple[int, ...]:
        """Return the index of each joint.

        Raises:
            ValueError: a name that is not one of `JOINTS`.
        """
        for name in names:
            if name not in self.joints:
                raise ValueError(f"names must be of {', '.join(JOINTS)}, got {name!r}.")
        return tuple(map(self.joints.index, names))


def _tips_first() -> tuple[str, ...]:
    """Each finger from its tip to its base, and the wrist last."""
    return (*(f"{finger}_{one}" for finger in FINGERS for one in reversed(_PHALANGES[finger])), "wrist")


def _of_mano() -> tuple[str, ...]:
    """The wrist, three joints of each finger from the index to the thumb, the pinky before the ring, and the tips."""
    fingers = ("index", "middle", "pinky", "ring", "thumb")
    inner = (f"{finger}_{one}" for finger in fingers for one in _PHALANGES[finger][:3])
    return ("wrist", *inner, *(f"{finger}_tip" for finger in FINGERS))


ARCTIC = JointOrder(name="ARCTIC", joints=_of_mano(), unit="m")
"""Order of ARCTIC, which is that of the hand model MANO with five tips: wrist 0, index 1-3, middle 4-6, pinky 7-9, ring
10-12, thumb 13-15, tips of thumb, index, middle, ring and pinky 16-20; metres, an array for each hand."""

ASSEMBLY_HANDS = JointOrder(name="AssemblyHands", joints=_tips_first(), unit="mm")
"""Order of AssemblyHands: thumb 0-3, index 4-7, middle 8-11, ring 12-15 and pinky 16-19, each from tip to base, wrist
20; millimetres.  Its arrays of 42 joints hold the right hand first, so that the left wrist is joint 41."""

MEDIAPIPE = JointOrder(name="MediaPipe", joints=JOINTS, unit="m")
"""Order of the hand landmarks of MediaPipe: wrist 0, thumb 1-4, index 5-8, middle 9-12, ring 13-16 and pinky 17-20,
each from base to tip; its world landmarks are in metres."""

ORDERS = (ARCTIC, ASSEMBLY_HANDS, MEDIAPIPE)
"""Orders that checks compare with one another."""


@functools.cache
def _indices(source: JointOrder, target: JointOrder) -> tuple[int, ...]:
    return tuple(map(source.joints.index, target.joints))


@overload
def reordered(
    joints: Float[Array, "*b 21 k"], *, source: JointOrder, target: JointOrder
) -> Float[Array, "*b 21 k"]: ...
@overload
def reordered(
    joints: Float[np.ndarray, "*b 21 k"], *, source: JointOrder, target: JointOrder
) -> Float[np.ndarray, "*b 21 k"]: ...
def reordered(joints: Any, *, source: JointOrder, target: JointOrder) -> Any:
    """Return the same joints in the order of another data set; neither the unit nor the coordinates change.

    Args:
        joints: positions, or anything else of which there is a row for each joint.
        source: order of `joints`.
        target: order of the result.

    Raises:
        ValueError: an axis of joints that is not of length 21.

    Example:
        >>> import numpy as np
        >>> places = np.arange(21.0)[:, None]
        >>> reordered(places, source=MEDIAPIPE, target=ASSEMBLY_HANDS)[:5, 0].tolist()  # the thumb from its tip
        [4.0, 3.0, 2.0, 1.0, 8.0]
    """
    require_joints("joints", joints)
    return joints[..., np.array(_indices(source, target)), :]


def require_joints(name: str, joints: Array | np.ndarray) -> None:
    """Reject an array that does not hold 21 joints on its last axis but one.

    Raises:
        ValueError: another number of joints.
    """
    if joints.ndim < 2 or joints.shape[-2] != len(JOINTS):
        number = joints.shape[-2] if joints.ndim >= 2 else "no"
        raise ValueError(
            f"{name} must hold the {len(JOINTS)} joints of a hand on the last axis but one, got {number} of shape "
            f"{joints.shape}. Add what is missing, often the wrist, and split arrays of both hands."
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HandJoints:
    """Joints of both hands in metres, with their order.

    The order is part of the tree's structure: `jax.tree.map` rejects two records of different orders.  On the host the
    fields are NumPy arrays.
    """

    joints: Float[Array, "*b 2 21 3"]
    """Positions in metres, the right hand first; NaN or anything else where `valid` is false."""
    valid: Bool[Array, "*b 2 21"]
    """Whether a joint is known, and counts."""
    order: JointOrder = dataclasses.field(metadata={"static": True})
    """Order of the joints."""

    def with_order(self, order: JointOrder) -> "HandJoints":
        """Return the same hands with their joints in another order."""
        valid = reordered(self.valid[..., None], source=self.order, target=order)[..., 0]
        return HandJoints(joints=reordered(self.joints, source=self.order, target=order), valid=valid, order=order)

    @property
    def wrists(self) -> Float[Array, "*b 2 3"]:
        """Position of both wrists."""
        return self.joints[..., self.order.wrist, :]


def hands_of_42(joints: Float[np.ndarray, "*b 42 k"]) -> Float[np.ndarray, "*b 2 21 k"]:
    """Split AssemblyHands' arrays of 42 joints into the right and the left hand.

    Raises:
        ValueError: an axis of joints that is not of length 42.

    Example:
        >>> import numpy as np
        >>> hands_of_42(np.zeros((5, 42, 3))).shape
        (5, 2, 21, 3)
    """
    if joints.ndim < 2 or joints.shape[-2] != 2 * len(JOINTS):
        number = joints.shape[-2] if joints.ndim >= 2 else "no"
        raise ValueError(
            f"joints must hold 42 joints on the last axis but one, 21 of the right hand and 21 of the left, got "
            f"{number} of shape {joints.shape}."
        )
    return joints.reshape(*joints.shape[:-2], 2, len(JOINTS), joints.shape[-1])


def pair_of_hands(joints: Float[np.ndarray, "*b 2 21 k"]) -> Float[np.ndarray, "*b 42 k"]:
    """Undo `hands_of_42`: the 21 joints of the right hand, then those of the left.

    Raises:
        ValueError: an axis of joints that is not of length 21.
    """
    require_joints("joints", joints)
    return joints.reshape(*joints.shape[:-3], 2 * len(JOINTS), joints.shape[-1])
