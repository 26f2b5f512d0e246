"""Random sequences of two hands and an object: frames without truth, absent hands, contacts at both ends."""

import dataclasses

import numpy as np

FRAMES, VERTICES, SURFACE = 20, 4, 6
RUNS = ((0, 15), (4, 19), (0, 19), (2, 17), (3, 12), (20, 20))
"""First and last frame of contacts; the last one is none."""
MOST_WINDOWS = 2 * VERTICES


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """Arrays with a row for each sequence; hands are right and left."""

    truth_joints: np.ndarray
    joints: np.ndarray
    joint_mask: np.ndarray
    truth_hands: np.ndarray
    hands: np.ndarray
    hands_valid: np.ndarray
    truth_object: np.ndarray
    object: np.ndarray
    frames_valid: np.ndarray
    truth_angles: np.ndarray
    angles: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def rows(self) -> list["Sequences"]:
        """One sequence after another."""
        return [
            Sequences(**{name: array[row] for name, array in self.arrays().items()}) for row in range(len(self.joints))
        ]


BOTTOM = np.arange(SURFACE) < 3
SURFACE_MASK = np.arange(SURFACE) < SURFACE - 1
"""Vertices of the object that exist."""
DIAMETER = 0.2


def random_sequences(count: int, *, seed: int) -> Sequences:
    """Draw sequences; positions are metres in float64, and predictions are off by millimetres."""
    rng = np.random.default_rng(seed)
    shape = np.array([[x, y, z] for x in (0, 0.04) for y in (0, 0.05) for z in (0, 0.06)])[:SURFACE]
    turns = np.cumsum(rng.normal(scale=0.02, size=(count, FRAMES)), axis=1)
    rotations = np.zeros((count, FRAMES, 3, 3))
    rotations[..., 0, 0] = rotations[..., 1, 1] = np.cos(turns)
    rotations[..., 1, 0], rotations[..., 0, 1] = np.sin(turns), -np.sin(turns)
    rotations[..., 2, 2] = 1
    places = 0.5 + np.cumsum(rng.normal(scale=0.003, size=(count, FRAMES, 1, 3)), axis=1)
    surface = np.einsum("nfij,wj->nfwi", rotations, shape) + places
    hands = surface[:, :, None, rng.integers(0, SURFACE - 1, VERTICES)] + rng.normal(
        0.1, 0.02, (count, 1, 2, VERTICES, 3)
    )
    runs = np.array(RUNS)[rng.integers(0, len(RUNS), (count, 2, VERTICES))]
    at = np.arange(FRAMES)[:, None, None, None]
    touching = np.moveaxis((at >= runs[..., 0]) & (at <= runs[..., 1]), 0, 1)
    partner = rng.integers(0, SURFACE - 1, (count, 1, 2, VERTICES))
    sliding = (partner + np.arange(FRAMES)[:, None, None]) % (SURFACE - 1)
    partner = np.where(rng.random((count, 1, 2, VERTICES)) < 0.25, sliding, partner)
    touched = np.take_along_axis(surface[:, :, None], partner[..., None], axis=3)
    hands = np.where(touching[..., None], touched + rng.normal(scale=5e-4, size=hands.shape), hands)
    joints = places[:, :, None] + rng.normal(scale=0.05, size=(count, FRAMES, 2, 21, 3))
    frames_valid = rng.random((count, FRAMES)) > 0.08
    seen = (rng.random((count, FRAMES, 2)) > 0.05) & (rng.random((count, 1, 2)) > 0.1)
    hands_valid = seen & frames_valid[..., None]
    unknown = ~hands_valid & (rng.random(hands_valid.shape) < 0.4)
    angles = rng.uniform(0, 2, (count, FRAMES))
    # Frames for which nothing was predicted although they count: their errors are NaN.
    lost = hands_valid & (rng.random(hands_valid.shape) < 0.01)

    def predicted(truth: np.ndarray) -> np.ndarray:
        return truth + rng.normal(scale=0.005, size=truth.shape)

    return Sequences(
        truth_joints=np.where(unknown[..., None, None], np.nan, joints),
        joints=np.where(lost[..., None, None], np.nan, predicted(joints)),
        joint_mask=hands_valid[..., None] & (rng.random((*hands_valid.shape, 21)) > 0.1),
        truth_hands=np.where(unknown[..., None, None], np.nan, hands),
        hands=np.where(lost[..., None, None], np.nan, predicted(hands)),
        hands_valid=hands_valid,
        truth_object=np.where(SURFACE_MASK[:, None], surface, np.nan),
        object=np.where(SURFACE_MASK[:, None], predicted(surface), np.nan),
        frames_valid=frames_valid,
        truth_angles=angles,
        angles=predicted(angles),
    )
