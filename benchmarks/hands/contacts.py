"""Contacts of a hand and the hinged box that it opens, of predictions that stand in for a network's.

Predictions are the truth, disturbed in known ways, so that each metric has a value, or a bound, that is known
beforehand: those are the bars.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial.transform import Rotation

from benchmarks.row import Bar, Row
from jaxkd.data.images.hand_scenes.box_opening import CONTACT_DISTANCE, BoxOpening, draw_opening
from jaxkd.data.images.hand_scenes.hinged_box import BoxMesh, HingedBox, box_mesh, open_box
from jaxkd.data.images.hand_scenes.mesh import HandMesh, load_hand
from jaxkd.data.images.hand_scenes.skinning import pose_joints, skin
from jaxkd.geometry.views import savgol
from jaxkd.metrics import hand_pose
from jaxkd.records.hands import Side

BOX = HingedBox()
LEVELS = (1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the noise, in mm."""
SHOWN = 4.0
"""Level of the noise that is smoothed."""
PALM = 0.1
"""Length in metres at which a turn of the hand moves its fingers as far as the noise moves its wrist."""
OFFSET = 10.0
"""Distance of the displaced hand, in mm."""
LAG = 3
"""Frames by which the lagging hand is late, a tenth of a second."""

UNITS = {"CDev": "mm", "MDev": "mm", "ACC of the hand": "m/s^2", "ACC of the box": "m/s^2", "AAE": "deg", "MRRPE": "mm"}
"""Unit of each metric; MRRPE is that of the vector from the wrist to the box, MDev is by frame."""

_ROUNDING = {"mm": 1e-4, "m/s^2": 2e-4, "deg": 1e-5}
"""Bars of what is 0 but for float32, which has steps of 6e-5 mm near 0.5 m and of 7e-6 degrees near 1; a second
difference of positions with errors of half a step, times 30^2, is off by 1e-4 m/s^2."""
_ERRORS = 4.0
"""Standard errors within which a mean of noise is."""
_MOST_WINDOWS = 64


def noise_name(level: float) -> str:
    """Return the name of the prediction with noise of a level in mm."""
    return f"noise of {level:g} mm"


SMOOTHED = f"{noise_name(SHOWN)}, smoothed"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bodies:
    """Hand and box by frame, in metres."""

    hand: Float[Array, "f v 3"]
    """Vertices of the hand."""
    wrist: Float[Array, "f 3"]
    """Root of the hand."""
    box: Float[Array, "f w 3"]
    """Vertices of the box."""
    angle_rad: Float[Array, " f"]
    """Opening angle of the lid."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Contacts:
    """Places where a true hand touches the box."""

    distances: Float[np.ndarray, "f v"]
    """Distance of each vertex of the hand from the box."""
    closest: Int[np.ndarray, "f v"]
    """Vertex of the box that is closest to each."""
    windows: Int[np.ndarray, "n 4"]
    """Stable contacts, with padding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurements:
    """Each metric of each prediction, and what its laws need."""

    means: Mapping[str, Mapping[str, float]]
    """Mean of each metric over frames, or contacts, by the name of the prediction."""
    step_rad: float
    """Largest turn of the lid from one frame to the next."""
    way_mm: float
    """Mean distance of the wrist from where the late one is."""
    frames: int
    """Frames of all openings."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield each metric of each prediction, and the laws that hold; quick: of one opening in place of four."""
    yield from judged(measure([("right", 0)] if quick else [("right", 0), ("left", 1), ("right", 2), ("left", 3)]))


def measure(drawn: Sequence[tuple[Side, int]]) -> Measurements:
    """Return the metrics of predictions of openings by a hand of a side, each with a seed."""
    mesh, found, steps, ways = box_mesh(BOX), [], [], []
    for side, seed in drawn:
        hand = load_hand(side)
        opening = draw_opening(np.random.default_rng(seed), hand, BOX)
        truth = posed(hand, mesh, opening)
        touching = contacts(truth)
        predictions = disturbances(hand, mesh, opening, truth, np.random.default_rng(100 + seed))
        found.append({name: measured(one, truth, touching, lid=mesh.lid) for name, one in predictions.items()})
        steps.append(float(np.abs(np.diff(opening.hinge)).max()))
        ways.append(np.linalg.norm(truth.wrist - truth.wrist[late(len(truth.wrist))], axis=-1))
    return Measurements(
        means={name: {metric: _mean([one[name][metric] for one in found]) for metric in UNITS} for name in found[0]},
        step_rad=max(steps),
        way_mm=1000 * _mean(ways),
        frames=sum(map(len, ways)),
    )


def judged(found: Measurements) -> Iterator[Row]:
    """Yield the metrics, and the differences from what is known beforehand, with their bars."""
    for name, metrics in found.means.items():
        if name == "scene moved":  # turned by radians: only what does not see that says something
            continue
        for metric, value in metrics.items():
            yield Row(
                figure=f"contacts, {name}: {metric}",
                value=value,
                unit=UNITS[metric],
                bar=_bar(name, metric, truth=found.means["truth"], step_rad=found.step_rad),
            )
    yield from _laws(found)


def _bar(name: str, metric: str, *, truth: Mapping[str, float], step_rad: float) -> Bar | None:
    """Return the bound of the truth, which its own contacts imply, and of what a disturbance leaves as it is."""
    exact = _ROUNDING[UNITS[metric]]
    unchanged = {
        "truth": ("ACC of the hand", "ACC of the box", "AAE", "MRRPE"),
        "hand displaced": ("ACC of the hand", "ACC of the box", "AAE"),
        "hand late": ("ACC of the box", "AAE"),
    }
    if metric in unchanged.get(name, ()):
        return Bar(relation="<=", limit=exact)
    if (name, metric) == ("truth", "CDev"):
        return Bar(relation="<=", limit=1000 * CONTACT_DISTANCE)
    if (name, metric) == ("truth", "MDev"):
        # A pair that turns by an angle moves apart by at most its distance times the angle.
        return Bar(relation="<=", limit=truth["CDev"] * step_rad + exact)
    return None


def _laws(found: Measurements) -> Iterator[Row]:
    means = found.means
    truth, away = means["truth"], means["hand displaced"]
    exact = Bar(relation="<=", limit=_ROUNDING["mm"])

    def law(figure: str, value: float, unit: str, bar: Bar) -> Row:
        return Row(figure=f"contacts, {figure}", value=value, unit=unit, bar=bar)

    yield law(
        f"hand displaced: difference of CDev from {OFFSET:g} mm, at most that of the truth",
        abs(away["CDev"] - OFFSET),
        "mm",
        Bar(relation="<=", limit=truth["CDev"]),
    )
    yield law(f"hand displaced: difference of MRRPE from {OFFSET:g} mm", abs(away["MRRPE"] - OFFSET), "mm", exact)
    yield law(
        "hand displaced: difference of MDev from that of the truth", abs(away["MDev"] - truth["MDev"]), "mm", exact
    )
    for metric in ("CDev", "MDev"):
        moved = abs(means["scene moved"][metric] - truth[metric])
        yield law(f"hand and box moved together: difference of {metric} from that of the truth", moved, "mm", exact)
    late_mrrpe = abs(means["hand late"]["MRRPE"] - found.way_mm)
    yield law("hand late: difference of MRRPE from the way of the wrist meanwhile", late_mrrpe, "mm", exact)
    noisy = [truth, *(means[noise_name(level)] for level in LEVELS)]
    for metric, unit in UNITS.items():
        increases = [above[metric] - below[metric] for below, above in itertools.pairwise(noisy)]
        yield law(
            f"noise: least increase of {metric} from one level to the next",
            min(increases),
            unit,
            Bar(relation=">", limit=0),
        )
    # Lengths of normal vectors: means in units of the deviation, and deviations of one over the mean.
    expected = {
        "AAE": (math.degrees(1e-3 / BOX.depth) * math.sqrt(2 / math.pi), math.sqrt(math.pi / 2 - 1)),
        "MRRPE": (math.sqrt(2) * math.sqrt(8 / math.pi), math.sqrt(3 * math.pi / 8 - 1)),
    }
    for metric, (scale, spread) in expected.items():
        ratios = [means[noise_name(level)][metric] / (scale * level) for level in LEVELS]
        yield law(
            f"noise: difference of {metric} over its expectation from 1",
            abs(float(np.mean(ratios)) - 1),
            "",
            Bar(relation="<=", limit=_ERRORS * spread / math.sqrt(found.frames * len(LEVELS))),
        )
    for metric in ("CDev", "MDev", "ACC of the hand", "ACC of the box"):
        share = means[SMOOTHED][metric] / means[noise_name(SHOWN)][metric]
        yield law(f"noise: {metric}, smoothed over not", share, "x", Bar(relation="<", limit=1))


def late(frames: int) -> Int[np.ndarray, " f"]:
    """Return the frame that a late prediction shows in each of so many."""
    return np.maximum(np.arange(frames) - LAG, 0)


def disturbances(
    hand: HandMesh, mesh: BoxMesh, opening: BoxOpening, truth: Bodies, rng: np.random.Generator
) -> dict[str, Bodies]:
    """Return predictions of an opening by name, the truth first."""
    turn, shift = Rotation.from_rotvec(rng.normal(size=3)).as_matrix(), rng.normal(0, 0.2, 3)
    aside = np.array([0, -OFFSET / 1000, 0], np.float32)
    earlier = late(len(opening.hinge))
    found = {
        "truth": truth,
        "hand displaced": dataclasses.replace(truth, hand=truth.hand + aside, wrist=truth.wrist + aside),
        "scene moved": Bodies(
            **{name: (getattr(truth, name) @ turn.T + shift).astype(np.float32) for name in ("hand", "wrist", "box")},
            angle_rad=truth.angle_rad,
        ),
        "hand late": dataclasses.replace(truth, hand=truth.hand[earlier], wrist=truth.wrist[earlier]),
    }
    for level in LEVELS:
        found[noise_name(level)] = noisy(hand, mesh, opening, level / 1000, rng)
    return found | {SMOOTHED: smoothed(found[noise_name(SHOWN)])}


def noisy(hand: HandMesh, mesh: BoxMesh, opening: BoxOpening, deviation: float, rng: np.random.Generator) -> Bodies:
    """Return an opening with independent normal noise in each frame.

    Args:
        hand: mesh of the hand.
        mesh: mesh of the box.
        opening: the truth.
        deviation: standard deviation in metres of each coordinate of the wrist and of the box; the hand turns, and the
            lid opens, by as much at `PALM` from the wrist, and at the front of the box.
        rng: source of randomness.
    """
    frames = len(opening.hinge)
    rotations = opening.rotations.copy()
    turns = Rotation.from_rotvec(rng.normal(0, deviation / PALM, (frames, 3))).as_matrix()
    rotations[:, 0] = turns @ rotations[:, 0]
    changed = dataclasses.replace(
        opening,
        rotations=rotations,
        translation=(opening.translation + rng.normal(0, deviation, (frames, 3))).astype(np.float32),
        hinge=(opening.hinge + rng.normal(0, deviation / BOX.depth, frames)).astype(np.float32),
    )
    found = posed(hand, mesh, changed)
    shift = rng.normal(0, deviation, (frames, 1, 3)).astype(np.float32)
    return dataclasses.replace(found, box=found.box + shift)


def smoothed(bodies: Bodies) -> Bodies:
    """Return all positions and the angle after a Savitzky-Golay filter over nine frames."""
    every = np.ones(len(bodies.angle_rad), bool)
    return jax.tree.map(lambda leaf: savgol(leaf, mask=every).astype(np.float32), bodies)


def posed(hand: HandMesh, mesh: BoxMesh, opening: BoxOpening) -> Bodies:
    """Return the vertices of an opening, in NumPy."""
    arrays = jax.tree.map(jnp.asarray, hand)
    found = _posed(arrays, mesh.vertices, mesh.lid, opening.rotations, opening.translation, opening.hinge)
    return jax.device_get(found)


@jax.jit
def _posed(
    hand: HandMesh,
    vertices: Float[Array, "w 3"],
    lid: Bool[Array, " w"],
    rotations: Float[Array, "f 25 3 3"],
    translation: Float[Array, "f 3"],
    hinge: Float[Array, " f"],
) -> Bodies:
    orientations, positions = pose_joints(hand, rotations, translation)
    return Bodies(
        hand=skin(hand, orientations, positions),
        wrist=positions[:, 0],
        box=open_box(vertices, lid, hinge),
        angle_rad=hinge,
    )


def contacts(truth: Bodies) -> Contacts:
    """Return where a true hand touches the box."""
    distances, closest = jax.device_get(closest_by_frame(truth.hand, truth.box))
    windows = hand_pose.contact_windows(distances, closest, np.asarray(truth.box[0]))
    filled = np.tile(np.array(hand_pose.NO_WINDOW), (_MOST_WINDOWS, 1))
    filled[: len(windows)] = windows
    return Contacts(distances=distances, closest=closest, windows=filled)


@jax.jit
def closest_by_frame(hand: Float[Array, "f v 3"], box: Float[Array, "f w 3"]) -> tuple[Array, Array]:
    """Return the distance of each vertex of the hand from the box, and the index of the closest vertex of that."""
    return jax.lax.map(lambda bodies: hand_pose.closest_vertices(*bodies), (hand, box), batch_size=4)


def measured(
    predicted: Bodies, truth: Bodies, touching: Contacts, *, lid: Bool[np.ndarray, " w"]
) -> dict[str, np.ndarray]:
    """Return each metric in the unit of `UNITS`, by frame, and MDev by contact; NaN where nothing counts."""
    arrays: Any = {field.name: getattr(touching, field.name) for field in dataclasses.fields(touching)}
    return {name: np.asarray(value) for name, value in _measured(predicted, truth, arrays, ~lid).items()}


@jax.jit
def _measured(
    predicted: Bodies, truth: Bodies, touching: Mapping[str, Array], bottom: Bool[Array, " w"]
) -> dict[str, Array]:
    every = jnp.ones(truth.angle_rad.shape, bool)
    root, true_root = (hand_pose.bottom_centre(one.box, bottom=bottom) for one in (predicted, truth))
    acceleration = functools.partial(hand_pose.acceleration_error, valid=every)
    return {
        "CDev": 1000
        * hand_pose.contact_deviation(
            predicted.hand,
            predicted.box,
            truth_distances=touching["distances"],
            truth_closest=touching["closest"],
            valid=every,
        ),
        "MDev": 1000 * hand_pose.motion_deviation(predicted.hand, predicted.box, touching["windows"], valid=every),
        "ACC of the hand": acceleration(
            predicted.hand, truth.hand, predicted_root=predicted.wrist, truth_root=truth.wrist
        ),
        "ACC of the box": acceleration(predicted.box, truth.box, predicted_root=root, truth_root=true_root),
        "AAE": hand_pose.articulation_error(predicted.angle_rad, truth.angle_rad, valid=every),
        "MRRPE": 1000 * hand_pose.mrrpe(predicted.wrist, root, truth.wrist, true_root, valid=every),
    }


def _mean(values: Sequence[np.ndarray]) -> float:
    """Return the mean of what is not NaN, in float64."""
    return float(np.nanmean(np.concatenate([np.asarray(one, np.float64) for one in values])))
