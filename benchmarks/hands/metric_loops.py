"""The metrics of hands as plain loops in float64, one sequence at a time: what the package's functions must equal."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.hands.random_sequences import BOTTOM, DIAMETER, FRAMES, SURFACE_MASK, Sequences

NAN = math.nan
HANDS = (0, 1)


def looped(sequence: Sequences) -> dict[str, Any]:
    """Every metric of one sequence by name: arrays, and of each hand a list of windows and one of their values."""
    hands = [_of_hand(sequence, hand) for hand in HANDS]
    listed = ("windows", "mdev")
    found: dict[str, Any] = {name: [one[name] for one in hands] for name in hands[0]}
    found = {name: values if name in listed else np.array(values) for name, values in found.items()}
    roots, truths = sequence.joints[:, :, 0].tolist(), sequence.truth_joints[:, :, 0].tolist()
    both = sequence.hands_valid.all(axis=1)
    found["mrrpe_rl"] = np.array(
        [
            _mrrpe(roots[frame][0], roots[frame][1], truths[frame][0], truths[frame][1]) if both[frame] else NAN
            for frame in range(FRAMES)
        ]
    )
    return found | _of_object(sequence)


def nan_mean(values: Sequence[float]) -> float:
    """The mean of the values that are not NaN."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else NAN


def _of_hand(sequence: Sequences, hand: int) -> dict[str, list]:
    joints, truths = sequence.joints[:, hand].tolist(), sequence.truth_joints[:, hand].tolist()
    mask, valid = sequence.joint_mask[:, hand].tolist(), sequence.hands_valid[:, hand].tolist()
    vertices, truth_vertices = sequence.hands[:, hand].tolist(), sequence.truth_hands[:, hand].tolist()
    surface = sequence.object[:, SURFACE_MASK].tolist()
    truth_surface = sequence.truth_object[:, SURFACE_MASK].tolist()
    errors = [[_wrist_error(*pair, joint) for joint in range(21)] for pair in zip(joints, truths, strict=True)]
    found: dict[str, list] = {
        "joint_errors": [
            [value if known else NAN for value, known in zip(*pair, strict=True)]
            for pair in zip(errors, mask, strict=True)
        ],
        "mpjpe": [
            _mean([e for e, known in zip(*pair, strict=True) if known]) for pair in zip(errors, mask, strict=True)
        ],
        "mpjpe_joints_first": [
            _mean([errors[frame][joint] for frame in range(FRAMES) if mask[frame][joint]]) for joint in range(21)
        ],
        "pa_mpjpe": [_procrustes(*row) for row in zip(joints, truths, mask, strict=True)],
        "acceleration": _accelerations(vertices, truth_vertices, joints, truths, valid),
    }
    nearest = [_nearest(*pair) for pair in zip(truth_vertices, truth_surface, strict=True)]
    guessed = [_nearest(*pair) for pair in zip(vertices, surface, strict=True)]
    found["distances"] = [[distance for distance, _ in frame] for frame in nearest]
    found["closest"] = [[vertex for _, vertex in frame] for frame in nearest]
    found["cdev"] = [
        _mean([math.dist(s[near], h) for (d, near), h in zip(n, v, strict=True) if d <= 0.003]) if good else NAN
        for n, v, s, good in zip(nearest, vertices, surface, valid, strict=True)
    ]
    found["cdev_loss"] = [
        value if good and any(d <= 0.003 for d, _ in frame) else 0.0
        for value, frame, good in zip(found["cdev"], nearest, valid, strict=True)
    ]
    found["field"] = [
        _mean([abs(one - other) for (one, _), (other, _) in zip(*pair, strict=True)]) if good else NAN
        for *pair, good in zip(guessed, nearest, valid, strict=True)
    ]
    windows = list(_windows(found["distances"], found["closest"], truth_surface[0]))
    found["windows"] = windows
    found["mdev"] = [_motion(window, vertices, surface, valid) for window in windows]
    return found


def _of_object(sequence: Sequences) -> dict[str, np.ndarray]:
    surface, truth = sequence.object[:, SURFACE_MASK], sequence.truth_object[:, SURFACE_MASK]
    bottom = [place for place in range(len(BOTTOM)) if BOTTOM[place]]
    centres, truth_centres = (
        [[_mean([frame[place][axis] for place in bottom]) for axis in range(3)] for frame in body.tolist()]
        for body in (surface, truth)
    )
    valid = sequence.frames_valid.tolist()
    wrists, truth_wrists = sequence.joints[:, 0, 0].tolist(), sequence.truth_joints[:, 0, 0].tolist()
    rates, to_object = [], []
    for frame in range(FRAMES):
        near = [
            math.dist(_minus(p, centres[frame]), _minus(t, truth_centres[frame])) < 0.05 * DIAMETER
            for p, t in zip(surface[frame].tolist(), truth[frame].tolist(), strict=True)
        ]
        rates.append(100 * sum(near) / len(near) if valid[frame] else NAN)
        good = sequence.hands_valid[frame, 0]
        to_object.append(
            _mrrpe(wrists[frame], centres[frame], truth_wrists[frame], truth_centres[frame]) if good else NAN
        )
    roots = [[centre] for centre in centres], [[centre] for centre in truth_centres]
    return {
        "mrrpe_ro": np.array(to_object),
        "success": np.array(rates),
        "acceleration_object": np.array(_accelerations(surface.tolist(), truth.tolist(), *roots, valid)),
        "aae": np.array(
            [
                abs(math.degrees(p) - math.degrees(t)) if good else NAN
                for p, t, good in zip(sequence.angles.tolist(), sequence.truth_angles.tolist(), valid, strict=True)
            ]
        ),
    }


def _minus(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(one, other, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else NAN


def _wrist_error(joints: list, truths: list, joint: int) -> float:
    return math.dist(_minus(joints[joint], joints[0]), _minus(truths[joint], truths[0]))


def _mrrpe(root: list, other: list, truth: list, truth_other: list) -> float:
    return math.dist(_minus(other, root), _minus(truth_other, truth))


def _procrustes(joints: list, truths: list, mask: list) -> float:
    """By quaternions (Horn 1987): the package decomposes into singular values."""
    known = [place for place in range(21) if mask[place]]
    points, target = np.array(joints)[known], np.array(truths)[known]
    if len(known) < 3 or np.isnan(points).any() or np.isnan(target).any():
        return NAN
    points, middle = points - points.mean(axis=0), target.mean(axis=0)
    target = target - middle
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = points.T @ target
    matrix = np.array(
        [
            [xx + yy + zz, yz - zy, zx - xz, xy - yx],
            [yz - zy, xx - yy - zz, xy + yx, zx + xz],
            [zx - xz, xy + yx, yy - xx - zz, yz + zy],
            [xy - yx, zx + xz, yz + zy, zz - xx - yy],
        ]
    )
    w, x, y, z = np.linalg.eigh(matrix)[1][:, -1]
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    turned = points @ rotation.T
    scale = (turned * target).sum() / (points**2).sum()
    return _mean([math.dist(scale * one, other) for one, other in zip(turned, target, strict=True)])


def _accelerations(points: list, truths: list, roots: list, truth_roots: list, valid: list) -> list[float]:
    found = [NAN] * FRAMES
    for frame in range(1, FRAMES - 1):
        around = (frame - 1, frame, frame + 1)
        if all(valid[one] for one in around):
            errors = []
            for vertex in range(len(points[0])):
                ours, theirs = (
                    [_minus(body[one][vertex], root[one][0]) for one in around]
                    for body, root in ((points, roots), (truths, truth_roots))
                )
                second = [[900 * (a - 2 * b + c) for a, b, c in zip(*three, strict=True)] for three in (ours, theirs)]
                errors.append(math.dist(*second))
            found[frame] = _mean(errors)
    return found


def _nearest(vertices: list, surface: list) -> list[tuple[float, int]]:
    found = []
    for vertex in vertices:
        distances = [math.dist(vertex, other) for other in surface]
        unknown = any(map(math.isnan, distances))
        found.append((NAN, 0) if unknown else min((distance, place) for place, distance in enumerate(distances)))
    return found


def _windows(distances: list, closest: list, surface: list) -> Iterator[tuple[int, int, int, int]]:
    for vertex in range(len(distances[0])):
        start = None
        for frame in range(FRAMES + 1):
            touches = frame < FRAMES and distances[frame][vertex] < 0.003
            if touches and start is None:
                start = frame
            elif not touches and start is not None:
                places = [closest[one][vertex] for one in range(start, frame)]
                pairs = [math.dist(surface[a], surface[b]) for k, a in enumerate(places) for b in places[:k]]
                if len(places) >= 15 and _mean(pairs) <= 0.003:
                    most = max(places.count(one) for one in places)
                    yield start, frame - 1, vertex, min(one for one in places if places.count(one) == most)
                start = None


def _motion(window: tuple[int, int, int, int], vertices: list, surface: list, valid: list) -> float:
    start, end, vertex, place = window
    return _mean(
        [
            math.dist(
                _minus(vertices[frame + 1][vertex], vertices[frame][vertex]),
                _minus(surface[frame + 1][place], surface[frame][place]),
            )
            for frame in range(start, end)
            if valid[frame] and valid[frame + 1]
        ]
    )
