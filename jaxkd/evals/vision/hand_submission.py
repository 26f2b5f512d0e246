"""Scores of a submission to AssemblyHands' challenge: joints of both hands in world coordinates, a row a sequence.

    from pathlib import Path
    from jaxkd.evals.vision.hand_submission import score_submission

    print(score_submission(Path("assemblyhands_test_joint_3d_pred.json"), Path("assemblyhands_test_joint_3d.json")))

Both files are JSON: `annotations`, by sequence, by frame, `world_coord` of 42 joints in millimetres, the right hand's
21 first; the truth also has `joint_valid`.  A hand without a box is left blank: all of its joints are 0, or -1 as in
the template.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxkd.data.images.hands.json_fields import field, numbers, read_json
from jaxkd.metrics import hand_pose
from jaxkd.records.hand_checks import require_hands
from jaxkd.records.hands import ASSEMBLY_HANDS, SIDES, HandJoints, JointOrder, hands_of_42

Blank: TypeAlias = Literal["reject", "leave_out"]
"""Treatment of hands that count and were left blank."""

_UNITS = {"m": "metres", "mm": "millimetres"}
_EXCHANGED = 0.5
"""Distance of the predicted wrists from the other hand's true one, over that from their own, below which the hands are
exchanged."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandSequence:
    """Hands of a sequence, and the names of its frames."""

    frames: tuple[str, ...]
    """Name of each frame."""
    hands: HandJoints
    """Joints `[f 2 21 3]` in metres.  Of a prediction, a hand is blank where none of its joints is valid."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandScore:
    """Errors of one sequence, or of all; NaN where nothing counts, such as the vector between hands with one hand."""

    sequence: str
    """Name of the sequence."""
    frames: int
    """Frames in which a hand counts."""
    hands: int
    """Hands that count."""
    left_out: int
    """Hands that would count, and were left blank."""
    mpjpe_joints_first_mm: float
    """AssemblyHands' MPJPE: relative to the wrist, mean over the frames for each of 42 joints, then over joints."""
    mpjpe_mm: float
    """MPJPE relative to the wrist, mean over the joints of each hand, then over hands."""
    pa_mpjpe_mm: float
    """MPJPE after the best similarity, mean over hands."""
    mrrpe_mm: float
    """Error of the vector from the right to the left wrist, mean over frames in which both count."""
    wrist_mm: float
    """Error of the wrist in the world, mean over hands whose wrist counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmissionScores:
    """Errors of a submission; its text is a table."""

    sequences: tuple[HandScore, ...]
    """A row for each sequence, by name."""
    total: HandScore
    """All frames of all sequences together."""

    def __str__(self) -> str:
        rows = [*self.sequences, self.total]
        width = max(len("sequence"), *(len(row.sequence) for row in rows))
        names = ("MPJPE, joints first", "MPJPE", "PA-MPJPE", "MRRPE", "wrist")
        head = f"{'sequence':{width}}  {'frames':>7}  {'hands':>7}  {'left out':>8}  " + "  ".join(
            f"{one:>8}" for one in names
        )
        lines = [
            f"{row.sequence:{width}}  {row.frames:7d}  {row.hands:7d}  {row.left_out:8d}  "
            + "  ".join(f"{value:{max(8, len(name))}.2f}" for name, value in zip(names, _values(row), strict=True))
            for row in rows
        ]
        return "\n".join([head, *lines, "errors in mm"])


def score_submission(predicted: Path, truth: Path, *, blank: Blank = "reject") -> SubmissionScores:
    """Return the errors of a submission file by sequence and in total.

    Args:
        predicted: submission in the format of the challenge.
        truth: annotations, in the same format with `joint_valid`.
        blank: "leave_out": hands that count and were left blank are left out, and counted in `left_out`; a score
            without the hard ones is no score of the whole.

    Raises:
        ValueError: files in another format, sequences or frames that only one of them has, hands that cannot be right
            (20 joints, metres, another order, left for right), NaN, blank hands that count, or a sequence without any
            hand that counts: the file, the sequence and the frame are named.
        FileNotFoundError: a missing file.
    """
    ours, theirs = _read(predicted, flags=False), _read(truth, flags=True)
    return score_hands(ours, theirs, blank=blank, predicted_name=str(predicted), truth_name=str(truth))


def score_hands(
    predicted: Mapping[str, HandSequence],
    truth: Mapping[str, HandSequence],
    *,
    blank: Blank = "reject",
    predicted_name: str = "predicted",
    truth_name: str = "truth",
) -> SubmissionScores:
    """Return the errors of predicted hands by sequence and in total, from arrays alone.

    Args:
        predicted: by name of the sequence.
        truth: the same sequences and frames, in the same order of joints.  A joint counts where it is valid.
        blank: as for `score_submission`.
        predicted_name: of the prediction in messages.
        truth_name: of the truth in messages.

    Raises:
        ValueError: as `score_submission`, or hands in different orders.
    """
    if blank not in get_args(Blank):
        raise ValueError(f"blank must be one of {', '.join(get_args(Blank))}, got {blank!r}.")
    _require_same("sequences", predicted, truth, predicted_name, truth_name)
    if not truth:
        raise ValueError(f"{truth_name} must have at least one sequence, got none.")
    names = sorted(truth)
    pairs = [
        _checked(f"{predicted_name}: {name}", predicted[name], f"{truth_name}: {name}", truth[name], blank)
        for name in names
    ]
    orders = {pair.order for pair in pairs}
    if len(orders) > 1:
        raise ValueError(f"{truth_name} must have one order of joints, got {' and '.join(sorted(map(str, orders)))}.")
    (order,) = orders
    whole = _Pair(
        predicted=np.concatenate([pair.predicted for pair in pairs]),
        truth=np.concatenate([pair.truth for pair in pairs]),
        mask=np.concatenate([pair.mask for pair in pairs]),
        left_out=np.concatenate([pair.left_out for pair in pairs]),
        order=order,
    )
    errors = jax.device_get(_errors(whole.predicted, whole.truth, whole.mask, wrist=order.wrist))
    owner = np.repeat(np.arange(len(names)), [len(pair.truth) for pair in pairs])
    return SubmissionScores(
        sequences=tuple(_score(name, whole, errors, owner == place) for place, name in enumerate(names)),
        total=_score("all", whole, errors, np.ones(len(owner), bool)),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """A sequence after all checks, about the centre of its true joints: float32 then rounds by nanometres."""

    predicted: Float[np.ndarray, "f 2 21 3"]
    truth: Float[np.ndarray, "f 2 21 3"]
    mask: Bool[np.ndarray, "f 2 21"]
    left_out: Bool[np.ndarray, "f 2"]
    order: JointOrder


def _checked(name: str, predicted: HandSequence, truth_name: str, truth: HandSequence, blank: Blank) -> _Pair:
    """Return what counts of a sequence, after all checks."""
    order = truth.hands.order
    if predicted.hands.order.joints != order.joints:
        raise ValueError(
            f"{name} must have its joints in the order of the truth, {order}, got that of {predicted.hands.order}. "
            "Convert them with HandJoints.with_order."
        )
    _require_same("frames", predicted.frames, truth.frames, name, truth_name)
    place = {frame: row for row, frame in enumerate(predicted.frames)}
    rows = [place[frame] for frame in truth.frames]
    found, given = (np.asarray(one)[rows] for one in (predicted.hands.joints, predicted.hands.valid))
    target, counts = np.asarray(truth.hands.joints, np.float64), np.asarray(truth.hands.valid)
    if not counts.any():
        raise ValueError(f"{truth_name} must have a hand that counts, got none in {len(counts)} frames.")
    found = found.astype(np.float64)
    counted: np.ndarray = np.any(counts, axis=-1)
    # Errors are relative to the wrist, which need not count itself.
    needed = counts | (counted[..., None] & (np.arange(counts.shape[-1]) == order.wrist))
    for frame, hand in np.argwhere(np.any(~np.isfinite(target).all(axis=-1) & needed, axis=-1)):
        raise ValueError(
            f"{truth_name}: frame {truth.frames[frame]} must have finite joints where they count, and a finite wrist, "
            f"got NaN or inf in the {SIDES[hand]} hand."
        )
    empty: np.ndarray = ~np.any(given, axis=-1) & counted
    unknown = (~np.isfinite(found).all(axis=-1) | ~given) & needed & ~empty[..., None]
    without = np.asarray(unknown.any(axis=-1))
    for frame, hand in np.argwhere(without):
        raise ValueError(
            f"{name}: frame {truth.frames[frame]} must have finite joints where the truth counts, got NaN, inf or none "
            f"in the {SIDES[hand]} hand; so have {without.sum()} hands of {counted.sum()}."
        )
    if blank == "reject" and empty.any():
        frame, hand = np.argwhere(empty)[0]
        raise ValueError(
            f"{name}: frame {truth.frames[frame]} must have a {SIDES[hand]} hand, which the truth counts, got a blank "
            f"one; so are {empty.sum()} of {counted.sum()} hands. Predict them, or score the others with "
            "blank='leave_out'."
        )
    _require_plausible(name, truth.frames, found, given & counts, order, sides=False)
    _require_plausible(truth_name, truth.frames, target, counts, order, sides=True)
    mask = counts & ~empty[..., None]
    _require_own_sides(name, found, target, mask, order)
    centre = _centres(target, counts)
    keep = needed & ~empty[..., None]
    return _Pair(
        predicted=np.where(keep[..., None], found - centre, 0.0),
        truth=np.where(keep[..., None], target - centre, 0.0),
        mask=mask,
        left_out=empty,
        order=order,
    )


def _centres(target: Float[np.ndarray, "f 2 21 3"], counts: Bool[np.ndarray, "f 2 21"]) -> Float[np.ndarray, "f 1 1 3"]:
    total = np.where(counts[..., None], target, 0.0).sum(axis=(1, 2), keepdims=True)
    return total / np.maximum(counts.sum(axis=(1, 2)), 1)[:, None, None, None]


def _require_plausible(
    name: str,
    frames: Sequence[str],
    joints: Float[np.ndarray, "f 2 21 3"],
    valid: Bool[np.ndarray, "f 2 21"],
    order: JointOrder,
    *,
    sides: bool,
) -> None:
    for hand, side in enumerate(SIDES):
        require_hands(
            joints[:, hand],
            order=order,
            valid=valid[:, hand],
            side=side if sides else None,
            name=f"{name}, frames {frames[0]} to {frames[-1]}: the {side} hand" if frames else name,
            unit=_UNITS[order.unit],
        )


def _require_own_sides(
    name: str,
    found: Float[np.ndarray, "f 2 21 3"],
    target: Float[np.ndarray, "f 2 21 3"],
    mask: Bool[np.ndarray, "f 2 21"],
    order: JointOrder,
) -> None:
    """Reject left taken for right: predicted wrists that are much nearer to the other hand's true one."""
    both = mask[..., order.wrist].all(axis=1)
    if not both.any():
        return
    ours, theirs = found[both][:, :, order.wrist], target[both][:, :, order.wrist]
    own = np.median(np.linalg.norm(ours - theirs, axis=-1))
    other = np.median(np.linalg.norm(ours - theirs[:, ::-1], axis=-1))
    if other < _EXCHANGED * own:
        raise ValueError(
            f"{name} must have the right hand first, got wrists that are {1000 * other:.0f} mm from the true ones of "
            f"the other hand and {1000 * own:.0f} mm from those of their own, the medians of {both.sum()} frames. "
            "Exchange the hands."
        )


def _require_same(kind: str, predicted: Any, truth: Any, predicted_name: str, truth_name: str) -> None:
    """Reject names that only one side has, and frames that occur twice."""
    ours, theirs = list(predicted), list(truth)
    for name, listed in ((predicted_name, ours), (truth_name, theirs)):
        if len(set(listed)) < len(listed):
            twice = next(one for one in listed if listed.count(one) > 1)
            raise ValueError(f"{name} must have each of its {kind} once, got {twice} twice.")
    if missing := sorted(set(theirs) - set(ours)):
        raise ValueError(
            f"{predicted_name} must have all {kind} of {truth_name}, got none named {missing[0]}; {len(missing)} of "
            f"{len(theirs)} are missing."
        )
    if extra := sorted(set(ours) - set(theirs)):
        raise ValueError(
            f"{predicted_name} must have no other {kind} than {truth_name}, got {extra[0]}; {len(extra)} are not there."
        )


@functools.partial(jax.jit, static_argnames="wrist")
def _errors(
    predicted: Float[Array, "f 2 21 3"], truth: Float[Array, "f 2 21 3"], mask: Bool[Array, "f 2 21"], *, wrist: int
) -> dict[str, Array]:
    """Return the errors in metres, by joint, hand or frame."""
    wrists, truths = predicted[:, :, wrist], truth[:, :, wrist]
    valid = mask[..., wrist]
    return {
        "joints": hand_pose.joint_errors(predicted, truth, wrist=wrist, mask=mask),
        "mpjpe": hand_pose.mpjpe(predicted, truth, wrist=wrist, mask=mask),
        "pa_mpjpe": hand_pose.pa_mpjpe(predicted, truth, mask=mask),
        "mrrpe": hand_pose.mrrpe(wrists[:, 0], wrists[:, 1], truths[:, 0], truths[:, 1], valid=valid.all(axis=1)),
        "wrist": hand_pose.mrrpe(jnp.zeros_like(wrists), wrists, jnp.zeros_like(truths), truths, valid=valid),
    }


def _score(name: str, pair: _Pair, errors: Mapping[str, np.ndarray], rows: Bool[np.ndarray, " f"]) -> HandScore:
    mean = {one: 1000 * _mean(values[rows]) for one, values in errors.items()}
    by_joint = [_mean(errors["joints"][rows, hand, joint]) for hand in (0, 1) for joint in range(pair.mask.shape[-1])]
    counted = np.asarray(pair.mask[rows].any(axis=-1))
    return HandScore(
        sequence=name,
        frames=int(counted.any(axis=1).sum()),
        hands=int(counted.sum()),
        left_out=int(pair.left_out[rows].sum()),
        mpjpe_joints_first_mm=1000 * _mean(np.array(by_joint)),
        mpjpe_mm=mean["mpjpe"],
        pa_mpjpe_mm=mean["pa_mpjpe"],
        mrrpe_mm=mean["mrrpe"],
        wrist_mm=mean["wrist"],
    )


def _mean(values: np.ndarray) -> float:
    """Mean of what is not NaN, in float64."""
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if known.size else float("nan")


def _values(row: HandScore) -> tuple[float, ...]:
    return row.mpjpe_joints_first_mm, row.mpjpe_mm, row.pa_mpjpe_mm, row.mrrpe_mm, row.wrist_mm


def _read(path: Path, *, flags: bool) -> dict[str, HandSequence]:
    """Read a file; a hand whose joints all coincide is blank."""
    found = {}
    for name, frames in field(read_json(path), "annotations", dict, where=str(path)).items():
        if not isinstance(frames, dict) or not frames:
            raise ValueError(f"{path}: {name} must have at least one frame, got {type(frames).__name__} without any.")
        joints, valid = [], []
        for frame, entry in frames.items():
            where = f"{path}: {name}: frame {frame}"
            both = hands_of_42(
                numbers(field(entry, "world_coord", list, where=where), (42, 3), where=f"{where}: world_coord")
            )
            here = np.ones((2, 21), bool) & (both != both[:, :1]).any(axis=(1, 2))[:, None]
            if flags and "joint_valid" in entry:
                values = numbers(np.ravel(entry["joint_valid"]).tolist(), (42,), where=f"{where}: joint_valid")
                here &= hands_of_42(values[:, None])[..., 0] == 1
            joints.append(both * ASSEMBLY_HANDS.metres)
            valid.append(here)
        # `Any`: the record is annotated with JAX's arrays, and holds NumPy's on the host.
        stacked: Any = np.stack(joints)
        known: Any = np.stack(valid)
        found[name] = HandSequence(
            frames=tuple(frames), hands=HandJoints(joints=stacked, valid=known, order=ASSEMBLY_HANDS)
        )
    return found
