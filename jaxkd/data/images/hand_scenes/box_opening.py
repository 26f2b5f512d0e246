"""Hand that opens a hinged box: it approaches, lifts the lid with three fingers, and lets go."""

import dataclasses
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from jaxkd.data.images.hand_scenes.articulation import JOINT_ANGLES, angle_limits, joint_rotations
from jaxkd.data.images.hand_scenes.hinged_box import BoxMesh, HingedBox, box_mesh
from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, HandMesh
from jaxkd.data.images.hand_scenes.skinning import pose_joints, skin

Stage: TypeAlias = Literal["approach", "contact", "opening", "release"]
"""Part of an opening; the hand touches the lid in "contact" and "opening"."""

STAGES: tuple[Stage, ...] = get_args(Stage)

CONTACT_DISTANCE = 0.003
"""Largest distance, in metres, of a vertex of the hand from one of the object that counts as contact, as in ARCTIC."""

_LIFTING = ("index", "middle", "ring")
"""Fingers that reach under the lid."""
_MARGIN = 0.003
"""Distance in metres of the longest fingertip from the front wall."""
_HALVINGS = 40


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BoxOpening:
    """Hand and box in the frames of one opening, in the frame of the box (`HingedBox`).

    From the first frame of contact to the last of the opening, the hand is fixed to the lid: what touches stays in
    touch, and moves together, exactly.
    """

    rotations: Float[np.ndarray, "frames 25 3 3"]
    """Rotation of each joint of the hand, as `pose_joints` takes them."""
    translation: Float[np.ndarray, "frames 3"]
    """Position of the wrist, in metres."""
    hinge: Float[np.ndarray, " frames"]
    """Opening angle of the lid, in radians."""
    stage: Int[np.ndarray, " frames"]
    """Index of the stage of each frame, of `STAGES`."""
    contact: Bool[np.ndarray, " frames"]
    """Whether the hand touches the lid."""
    hand_vertices: Int[np.ndarray, " pairs"]
    """Vertices of the hand that touch the lid wherever `contact` holds."""
    box_vertices: Int[np.ndarray, " pairs"]
    """Vertex of the box that is nearest to each of them."""
    distances: Float[np.ndarray, " pairs"]
    """Distance of each pair in metres, at most `CONTACT_DISTANCE`, the same in all frames of contact."""


def draw_opening(
    rng: np.random.Generator,
    hand: HandMesh,
    box: HingedBox,
    *,
    approach: int = 24,
    contact: int = 6,
    opening: int = 30,
    release: int = 24,
) -> BoxOpening:
    """Draw an opening: where the hand comes from, where it takes the lid, how far it opens, and where it leaves.

    The palm faces up.  Tips of index, middle and ring finger lie under the lip, each bent in its knuckle just so far
    that its highest vertex is on the underside: nothing penetrates the lid.  The hand comes from below, and leaves
    downwards from the opened lid; its speed is 0 where a stage begins and ends (minimum jerk).

    Args:
        rng: source of randomness.
        hand: mesh of either hand.
        box: box that is opened.
        approach: number of frames in which the hand comes.
        contact: number of frames in which it touches the closed lid.
        opening: number of frames in which the lid turns.
        release: number of frames in which the hand leaves.

    Returns:
        Opening of that many frames.

    Raises:
        ValueError: fewer than one frame in a stage, or a box whose lid the hand cannot take.

    Source: inferred; minimum jerk as in Flash and Hogan (1985).  Deviation: none.
    """
    counts = {"approach": approach, "contact": contact, "opening": opening, "release": release}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1 frame, got {count}.")
    angles, wrist, place = _grasp(hand, box, sideways=float(rng.uniform(-0.02, 0.02)), bend=_relaxed(rng))
    widest = float(np.radians(rng.uniform(40, 75)))
    come, leave = _way(rng), _way(rng)
    stage = np.repeat(np.arange(len(STAGES)), list(counts.values()))
    away, hinge = np.zeros(len(stage)), np.zeros(len(stage))
    away[stage == 0] = 1 - _eased(np.arange(approach) / approach)
    hinge[stage == 2] = widest * _eased(np.arange(1, opening + 1) / opening)
    hinge[stage == 3] = widest
    away[stage == 3] = _eased(np.arange(1, release + 1) / release)

    local_rotation, local_place = np.empty((len(stage), 3, 3)), np.empty((len(stage), 3))
    for index, share in enumerate(away):
        turn, shift = come if stage[index] == 0 else leave
        local_rotation[index] = Rotation.from_rotvec(share * turn).as_matrix() @ wrist
        local_place[index] = place + share * shift
    lid = Rotation.from_rotvec(-hinge[:, None] * np.array([1.0, 0, 0])).as_matrix()
    frames = np.repeat(angles[None], len(stage), axis=0)
    turned = (lid @ local_rotation).astype(np.float32)
    mesh = box_mesh(box)
    hand_vertices, box_vertices, distances = _pairs(hand, mesh, angles, wrist, place)
    return BoxOpening(
        rotations=np.asarray(joint_rotations(jnp.asarray(frames), jnp.asarray(turned), side=hand.side)),
        translation=np.einsum("fij,fj->fi", lid, local_place).astype(np.float32),
        hinge=hinge.astype(np.float32),
        stage=stage,
        contact=(stage == 1) | (stage == 2),
        hand_vertices=hand_vertices,
        box_vertices=box_vertices,
        distances=distances,
    )


def _eased(time: np.ndarray) -> np.ndarray:
    """Return 10 t^3 - 15 t^4 + 6 t^5, the way of minimum jerk from 0 to 1."""
    return time**3 * (10 - 15 * time + 6 * time**2)


def _way(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a rotation vector and a shift, in the frame of the lid, from the grasp to a place away from the box.

    It goes down by more than the turns raise any part of the hand under the lip, at every share of the way, and the
    turn about x lowers the fingers: no way leads through the lid.
    """
    turn = np.radians([-rng.uniform(0, 15), rng.uniform(-12, 12), rng.uniform(-10, 10)])
    return turn, np.array([rng.uniform(-0.04, 0.04), -rng.uniform(0.06, 0.1), rng.uniform(0.06, 0.14)])


def _relaxed(rng: np.random.Generator) -> np.ndarray:
    """Return angles of a slightly bent hand, in radians, with the little finger bent more."""
    angles = np.zeros(len(JOINT_ANGLES), np.float32)
    for index, angle in enumerate(JOINT_ANGLES):
        if angle.motion == "flexion" and not angle.joint.endswith("metacarpal"):
            angles[index] = np.radians(rng.uniform(2, 8) if "pinky" not in angle.joint else rng.uniform(15, 30))
    return angles


def _grasp(
    hand: HandMesh, box: HingedBox, *, sideways: float, bend: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return angles, orientation and position of a hand whose fingers touch the underside of a closed lid."""
    wrist = np.diag([-1.0, -1.0, 1.0])  # the palm up, the fingers towards the hinge
    angles, knuckles = bend.copy(), {name: _knuckle(name) for name in _LIFTING}
    vertices = _skinned(hand, angles, wrist, np.zeros(3))
    owner = np.asarray(hand.weights).argmax(1)
    parts = {name: np.flatnonzero(np.isin(owner, _joints_of(name))) for name in _LIFTING}
    front = box.depth + box.lip
    depth = box.depth + _MARGIN - min(vertices[rows, 2].min() for rows in parts.values())
    middle = np.mean([vertices[rows, 0].mean() for rows in parts.values()])
    place = np.array([sideways - middle, 0.0, depth])
    # The middle finger decides the height; each other finger bends until it is as high.
    place[1] = -_highest(vertices + place, parts["middle"], front)
    lowest, highest = angle_limits()
    for name in ("index", "ring"):
        low, high = lowest[knuckles[name]], highest[knuckles[name]]
        for _ in range(_HALVINGS):
            angles[knuckles[name]] = (low + high) / 2
            height = _highest(_skinned(hand, angles, wrist, place), parts[name], front)
            low, high = (low, angles[knuckles[name]]) if height > 0 else (angles[knuckles[name]], high)
        angles[knuckles[name]] = low
    touching = _skinned(hand, angles, wrist, place)
    under = touching[(touching[:, 2] < front)]
    reached = [_highest(touching, rows, front) for rows in parts.values()]
    if not (under[:, 1].max() < 1e-5 and np.abs(reached).max() < 1e-4 and touching[:, 2].min() > box.depth):
        raise ValueError(
            f"box must have a lip that three fingers of the {hand.side} hand can take, got a lip of {box.lip} m and a "
            f"width of {box.width} m. Make the lip about 0.03 m."
        )
    return angles, wrist, place


def _knuckle(finger: str) -> int:
    joint = f"{finger}-finger-phalanx-proximal"
    return next(i for i, angle in enumerate(JOINT_ANGLES) if (angle.joint, angle.motion) == (joint, "flexion"))


def _joints_of(finger: str) -> list[int]:
    """Return the joints of a finger beyond the palm."""
    palm = f"{finger}-finger-metacarpal"
    return [index for index, name in enumerate(MESH_JOINTS) if name.startswith(f"{finger}-") and name != palm]


def _highest(vertices: np.ndarray, rows: np.ndarray, front: float) -> float:
    """Return how high a finger's highest vertex under the lid is above the underside; infinity for none under it."""
    under = rows[vertices[rows, 2] < front]
    return float(vertices[under, 1].max()) if len(under) else np.inf


def _skinned(hand: HandMesh, angles: np.ndarray, wrist: np.ndarray, place: np.ndarray) -> np.ndarray:
    return np.asarray(_skin(hand, *(values.astype(np.float32) for values in (angles, wrist, place))))


@jax.jit
def _skin(
    hand: HandMesh, angles: Float[Array, " angles"], wrist: Float[Array, "3 3"], place: Float[Array, "3"]
) -> Float[Array, "v 3"]:
    return skin(hand, *pose_joints(hand, joint_rotations(angles, wrist, side=hand.side), place))


def _pairs(
    hand: HandMesh, mesh: BoxMesh, angles: np.ndarray, wrist: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices of the hand near the closed box, the nearest vertex of the box to each, and the distances."""
    distances, nearest = map(np.asarray, KDTree(mesh.vertices).query(_skinned(hand, angles, wrist, place)))
    touching = np.flatnonzero(distances <= CONTACT_DISTANCE)
    return touching, nearest[touching], distances[touching].astype(np.float32)
