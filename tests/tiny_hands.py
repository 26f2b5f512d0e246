"""Hands of a plausible size and shape, bent at random, for tests and benchmarks that need no model of a hand."""

import numpy as np

from jaxkd.records.hands import MEDIAPIPE, JointOrder, reordered

KNUCKLES = {"thumb": (2.5, 3.0), "index": (2.5, 9.0), "middle": (0.5, 9.2), "ring": (-1.5, 8.7), "pinky": (-3.2, 8.0)}
"""Base of each finger in cm: x towards the thumb of a right hand whose palm looks along z, y towards the fingers."""
LENGTHS = {"thumb": (4, 3, 2.5), "index": (4.5, 2.5, 2), "middle": (5, 3, 2), "ring": (4.5, 3, 2), "pinky": (3.5, 2, 2)}


def hands(seed, count, *, order: JointOrder, side="right", place=(0.1, -0.2, 0.4), bend=(0.1, 0.6)):
    """Positions [count 21 3] in metres: fingers bent by an angle at each joint, and the whole turned and moved."""
    rng = np.random.default_rng(seed)
    found = np.zeros((count, 21, 3))
    for finger, (x, y) in enumerate(KNUCKLES.values()):
        point, angle = np.tile([x, y, 0.0], (count, 1)), np.zeros(count)
        found[:, 1 + 4 * finger] = point
        sideways = 0.9 if finger == 0 else 0.05 * (2 - finger)
        for joint, length in enumerate(list(LENGTHS.values())[finger]):
            angle = angle + rng.uniform(*bend, count)
            away = np.stack([np.sin(sideways) * np.cos(angle), np.cos(sideways) * np.cos(angle), np.sin(angle)], axis=1)
            point = point + length * away
            found[:, 2 + 4 * finger + joint] = point
    if side == "left":
        found[..., 0] *= -1
    turned, _ = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    turned = turned * np.sign(np.linalg.det(turned))[:, None, None]
    found = np.einsum("nij,nkj->nki", turned, found) / 100 * rng.uniform(0.85, 1.15, (count, 1, 1))
    moved = found + np.array(place) + rng.normal(scale=0.05, size=(count, 1, 3))
    return reordered(moved, source=MEDIAPIPE, target=order)
