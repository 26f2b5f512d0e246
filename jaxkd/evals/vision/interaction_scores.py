"""Scores of two hands and an object in motion, as ARCTIC's challenge reports them: a row a sequence and view.

They take vertices and joints.  A submission holds parameters of a hand model, of which its users make vertices first.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxkd.metrics import hand_pose
from jaxkd.records.hand_checks import require_hands
from jaxkd.records.hands import ARCTIC, SIDES

_FRAMES_AT_A_TIME = 4
"""Frames whose closest vertices are sought at a time."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Interaction:
    """Two hands and an object by frame, in metres, in the coordinates of one camera; the right hand comes first."""

    joints: Float[np.ndarray, "f 2 21 3"]
    """Joints of both hands in the order of ARCTIC, `jaxkd.records.hands.ARCTIC`."""
    hands: Float[np.ndarray, "f 2 v 3"]
    """Vertices of both hands."""
    object: Float[np.ndarray, "f w 3"]
    """Vertices of the object."""
    angle_rad: Float[np.ndarray, " f"]
    """Angle of the object's hinge, in radians."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrueInteraction:
    """The truth of a sequence, and which of its frames count."""

    truth: Interaction
    """Positions; those that do not count may be anything, NaN included."""
    valid: Bool[np.ndarray, " f"]
    """Frames that count."""
    hands_valid: Bool[np.ndarray, "f 2"]
    """Hands that are seen; they count in frames that do."""
    bottom: Bool[np.ndarray, " w"]
    """Vertices of the object's bottom part, whose centre is its root."""
    diameter: float
    """Diameter of the object, in metres."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InteractionScore:
    """Errors of one sequence, or of all; NaN where nothing counts, such as contacts without one."""

    sequence: str
    """Name of the sequence."""
    frames: int
    """Frames that count."""
    contacts: int
    """Stable contacts, of which `mdev_mm` is the mean."""
    cdev_mm: float
    """Contact deviation, the main metric."""
    mrrpe_rl_mm: float
    """Error of the vector from the right to the left wrist."""
    mrrpe_ro_mm: float
    """Error of the vector from the right wrist to the object's root."""
    mdev_mm: float
    """Motion deviation."""
    acc_hand: float
    """Error of the acceleration of hands, in m/s^2."""
    acc_object: float
    """Error of the acceleration of the object, in m/s^2."""
    mpjpe_mm: float
    """Mean error of joints relative to the wrist."""
    aae_deg: float
    """Mean error of the angle of articulation."""
    success_percent: float
    """Share of the object's vertices with an error below 5 % of its diameter."""


_COLUMNS = {
    "cdev_mm": "CDev",
    "mrrpe_rl_mm": "MRRPE r/l",
    "mrrpe_ro_mm": "MRRPE r/o",
    "mdev_mm": "MDev",
    "acc_hand": "ACC h",
    "acc_object": "ACC o",
    "mpjpe_mm": "MPJPE",
    "aae_deg": "AAE",
    "success_percent": "SR",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class InteractionScores:
    """Errors of all sequences; the text is a table."""

    sequences: tuple[InteractionScore, ...]
    """A row for each sequence, by name."""
    total: InteractionScore
    """All frames and all contacts of all sequences together."""

    def __str__(self) -> str:
        rows = [*self.sequences, self.total]
        width = max(len("sequence"), *(len(row.sequence) for row in rows))
        lines = [f"{'sequence':{width}}  {'frames':>7}  " + "  ".join(f"{one:>9}" for one in _COLUMNS.values())]
        for row in rows:
            values = "  ".join(f"{getattr(row, one):9.2f}" for one in _COLUMNS)
            lines.append(f"{row.sequence:{width}}  {row.frames:7d}  {values}")
        return "\n".join([*lines, "mm; ACC in m/s^2, AAE in degrees, SR in %"])


def score_interactions(predicted: Mapping[str, Interaction], truth: Mapping[str, TrueInteraction]) -> InteractionScores:
    """Return ARCTIC's metrics by sequence and in total.

    All sequences are padded to the longest one and the largest object, so that one program is compiled.

    Args:
        predicted: by name of the sequence, such as `s05/box_use_01/0` with its view.
        truth: the same sequences, with as many frames and vertices.

    Raises:
        ValueError: sequences that only one side has, arrays of other shapes, hands that cannot be right (millimetres,
            another order of joints, left for right), a sequence of which no frame counts, or a prediction that is NaN
            in a frame that does: the sequence and the frame are named.
    """
    if missing := sorted(set(predicted) ^ set(truth)):
        raise ValueError(
            f"predicted and truth must have the same sequences, got {missing[0]} in one alone, and so "
            f"{len(missing)} of {len(set(predicted) | set(truth))}."
        )
    if not truth:
        raise ValueError("truth must have at least one sequence, got none.")
    names = sorted(truth)
    for name in names:
        _require_shapes(name, predicted[name], truth[name])
        _require_known(name, predicted[name], truth[name])
    frames = max(len(one.valid) for one in truth.values())
    vertices = max(len(one.bottom) for one in truth.values())
    each = [_measured(predicted[name], truth[name], frames=frames, vertices=vertices) for name in names]
    whole = {name: np.concatenate([np.ravel(one[name]) for one in each]) for name in each[0]}
    return InteractionScores(
        sequences=tuple(_score(name, one) for name, one in zip(names, each, strict=True)), total=_score("all", whole)
    )


def _require_shapes(name: str, predicted: Interaction, true: TrueInteraction) -> None:
    frames, vertices = len(true.valid), len(true.bottom)
    hand = np.shape(true.truth.hands)[2:3]
    shapes = {
        "joints": (frames, 2, 21, 3),
        "hands": (frames, 2, *hand, 3),
        "object": (frames, vertices, 3),
        "angle_rad": (frames,),
    }
    for side, body in (("the prediction", predicted), ("the truth", true.truth)):
        for field, shape in shapes.items():
            if np.shape(getattr(body, field)) != shape:
                raise ValueError(
                    f"{name}: {field} of {side} must have the shape {shape}, got {np.shape(getattr(body, field))}."
                )
    if np.shape(true.hands_valid) != (frames, 2):
        raise ValueError(f"{name}: hands_valid must have the shape {(frames, 2)}, got {np.shape(true.hands_valid)}.")


def _require_known(name: str, predicted: Interaction, true: TrueInteraction) -> None:
    """Reject hands that cannot be right, and NaN where something counts, which means would leave out."""
    if not true.valid.any():
        raise ValueError(f"{name}: at least one frame must count, got none of {len(true.valid)}.")
    counted = true.hands_valid & true.valid[:, None]
    for label, body in (("the prediction", predicted), ("the truth", true.truth)):
        checked: dict[str, Any] = {
            "joints": (body.joints, counted),
            "hands": (body.hands, counted),
            "object": (body.object, true.valid),
            "angle_rad": (body.angle_rad, true.valid),
        }
        for field, (values, mask) in checked.items():
            known = np.isfinite(values).all(axis=tuple(range(mask.ndim, values.ndim)))
            for place in np.argwhere(mask & ~known):
                hand = f" of the {SIDES[place[1]]} hand" if len(place) > 1 else ""
                raise ValueError(
                    f"{name}: {field}{hand} of {label} must be finite where the frame counts, got NaN or inf in frame "
                    f"{place[0]}; so are {int((mask & ~known).sum())} of {int(mask.sum())}."
                )
        for hand, side in enumerate(SIDES):
            require_hands(
                np.asarray(body.joints)[:, hand],
                order=ARCTIC,
                valid=np.broadcast_to(counted[:, hand, None], body.joints.shape[:1] + body.joints.shape[2:3]),
                side=side if body is true.truth else None,
                name=f"{name}: the {side} hand of {label}",
            )


def _measured(predicted: Interaction, true: TrueInteraction, *, frames: int, vertices: int) -> dict[str, np.ndarray]:
    """Return the values of one sequence by frame, NaN where nothing counts, and those of its contacts."""
    length = len(true.valid)
    mask = np.arange(vertices) < len(true.bottom)

    def padded(values: np.ndarray, *, rows: int = frames, axis: int = 0) -> np.ndarray:
        values = np.asarray(values)
        return np.pad(values, [(0, rows - size if at == axis else 0) for at, size in enumerate(values.shape)])

    bodies = [
        {
            "joints": padded(body.joints),
            "hands": padded(body.hands),
            "object": padded(padded(body.object), rows=vertices, axis=1),
            "angle_rad": padded(body.angle_rad),
        }
        for body in (predicted, true.truth)
    ]
    valid, hands_valid = padded(true.valid), padded(true.hands_valid) & padded(true.valid)[:, None]
    distances, closest = jax.device_get(_closest(bodies[1]["hands"], bodies[1]["object"], mask))
    found = jax.device_get(
        _by_frame(
            *bodies, distances, closest, valid, hands_valid, padded(true.bottom, rows=vertices), mask, true.diameter
        )
    )
    # ARCTIC measures distances on the object in its first frame; it is another one where that is not known.
    still = np.isfinite(true.truth.object).all(axis=(1, 2))
    surface = true.truth.object[np.argmax(still)]
    motions = []
    for hand in (0, 1):
        windows = hand_pose.contact_windows(distances[:length, hand], closest[:length, hand], surface)
        # Powers of two: the number of contacts would otherwise compile a program for each sequence.
        rows = 1 << max(len(windows) - 1, 0).bit_length()
        filled = np.tile(np.array(hand_pose.NO_WINDOW), (rows, 1))
        filled[: len(windows)] = windows
        values = _motion(bodies[0]["hands"][:, hand], bodies[0]["object"], filled, hands_valid[:, hand])
        motions.append(np.asarray(values)[: len(windows)])
    return {name: values[:length] for name, values in found.items()} | {
        "mdev": np.concatenate(motions),
        "valid": true.valid,
    }


@jax.jit
def _closest(
    hands: Float[Array, "f 2 v 3"], surface: Float[Array, "f w 3"], mask: Bool[Array, " w"]
) -> tuple[Array, Array]:
    def one(bodies: tuple[Array, Array]) -> tuple[Array, Array]:
        hands, surface = bodies
        return hand_pose.closest_vertices(hands, jnp.broadcast_to(surface, (2, *surface.shape)), mask=mask)

    return jax.lax.map(one, (hands, surface), batch_size=_FRAMES_AT_A_TIME)


_motion = jax.jit(lambda hand, surface, windows, valid: hand_pose.motion_deviation(hand, surface, windows, valid=valid))


@jax.jit
def _by_frame(
    predicted: Mapping[str, Array],
    truth: Mapping[str, Array],
    distances: Float[Array, "f 2 v"],
    closest: Array,
    valid: Bool[Array, " f"],
    hands_valid: Bool[Array, "f 2"],
    bottom: Bool[Array, " w"],
    mask: Bool[Array, " w"],
    diameter: Float[Array, ""],
) -> dict[str, Array]:
    wrist = ARCTIC.wrist
    joints, truths = predicted["joints"], truth["joints"]
    surface, true_surface = predicted["object"], truth["object"]
    both = jnp.broadcast_to(surface[:, None], (surface.shape[0], 2, *surface.shape[1:]))
    roots, true_roots = (hand_pose.bottom_centre(one, bottom=bottom) for one in (surface, true_surface))
    wrists, true_wrists = joints[:, :, wrist], truths[:, :, wrist]
    mean_of_hands = functools.partial(hand_pose.nan_mean, axis=1)
    accelerations = [
        hand_pose.acceleration_error(
            predicted["hands"][:, hand],
            truth["hands"][:, hand],
            predicted_root=wrists[:, hand],
            truth_root=true_wrists[:, hand],
            valid=hands_valid[:, hand],
        )
        for hand in (0, 1)
    ]
    return {
        "cdev": mean_of_hands(
            hand_pose.contact_deviation(
                predicted["hands"], both, truth_distances=distances, truth_closest=closest, valid=hands_valid
            )
        ),
        "mrrpe_rl": hand_pose.mrrpe(
            wrists[:, 0], wrists[:, 1], true_wrists[:, 0], true_wrists[:, 1], valid=hands_valid.all(axis=1)
        ),
        "mrrpe_ro": hand_pose.mrrpe(wrists[:, 0], roots, true_wrists[:, 0], true_roots, valid=hands_valid[:, 0]),
        "acc_hand": mean_of_hands(jnp.stack(accelerations, axis=1)),
        "acc_object": hand_pose.acceleration_error(
            surface, true_surface, predicted_root=roots, truth_root=true_roots, valid=valid, mask=mask
        ),
        "mpjpe": mean_of_hands(
            hand_pose.mpjpe(
                joints, truths, wrist=wrist, mask=jnp.broadcast_to(hands_valid[..., None], joints.shape[:-1])
            )
        ),
        "aae": hand_pose.articulation_error(predicted["angle_rad"], truth["angle_rad"], valid=valid),
        "success": hand_pose.success_rate(
            surface, true_surface, bottom=bottom, diameter=diameter, valid=valid, mask=mask
        ),
    }


def _score(name: str, values: Mapping[str, np.ndarray]) -> InteractionScore:
    mean = {one: _mean(found) for one, found in values.items() if one != "valid"}
    return InteractionScore(
        sequence=name,
        frames=int(values["valid"].sum()),
        contacts=len(values["mdev"]),
        cdev_mm=1000 * mean["cdev"],
        mrrpe_rl_mm=1000 * mean["mrrpe_rl"],
        mrrpe_ro_mm=1000 * mean["mrrpe_ro"],
        mdev_mm=1000 * mean["mdev"],
        acc_hand=mean["acc_hand"],
        acc_object=mean["acc_object"],
        mpjpe_mm=1000 * mean["mpjpe"],
        aae_deg=mean["aae"],
        success_percent=mean["success"],
    )


def _mean(values: np.ndarray) -> float:
    """Mean of what is not NaN, in float64."""
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if known.size else float("nan")
