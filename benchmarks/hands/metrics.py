"""Metrics of hands against plain float64 loops, on random sequences."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.hands.metric_loops import looped
from benchmarks.hands.random_sequences import (
    BOTTOM,
    DIAMETER,
    FRAMES,
    MOST_WINDOWS,
    SURFACE_MASK,
    Sequences,
    random_sequences,
)
from benchmarks.row import Bar, Row
from jaxkd.metrics import hand_pose

COUNT = 200
TOLERANCE = {64: 1e-12, 32: 2e-5}
"""Greatest difference over the greatest value.  Errors are differences of positions near 1 m, which float32 knows to
6e-8 m, and float64 to 1e-16 m; they are themselves about 0.01 m, and differ in a part in 1e5 and in 1e14."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield the greatest difference of each metric in float64 and float32; quick: of 20 sequences."""
    sequences = random_sequences(20 if quick else COUNT, seed=0)
    expected = stacked(sequences)
    for bits in (64, 32):
        for name, difference in differences(measured(sequences, bits=bits), expected).items():
            yield Row(
                figure=f"{name} of {len(sequences.joints)} sequences, package - float64 loop, float{bits}, relative",
                value=difference,
                unit="",
                bar=Bar(relation="<=", limit=TOLERANCE[bits]),
            )
    for name in ("mpjpe", "cdev"):
        yield Row(
            figure=f"{name}: share of NaN among the values", value=float(np.isnan(expected[name]).mean()), unit=""
        )
    contacts = expected["windows"].reshape(-1, 4)
    contacts = contacts[contacts[:, 1] >= 0]
    yield Row(figure="stable contacts", value=len(contacts), unit="")
    at_ends = {"first": contacts[:, 0] == 0, "last": contacts[:, 1] == FRAMES - 1}
    for name, there in at_ends.items():
        bar = Bar(relation=">=", limit=1)
        yield Row(figure=f"stable contacts that reach the {name} frame", value=int(there.sum()), unit="", bar=bar)


def stacked(sequences: Sequences) -> dict[str, np.ndarray]:
    """Return the loops' results, a row for each sequence; windows and their values padded as the package pads them."""
    each = [looped(sequence) for sequence in sequences.rows()]
    found = {name: np.stack([one[name] for one in each]) for name in each[0] if name not in ("windows", "mdev")}
    shape = len(each), 2, MOST_WINDOWS
    windows, values = np.tile(np.array(hand_pose.NO_WINDOW), (*shape, 1)), np.full(shape, np.nan)
    for row, one in enumerate(each):
        for hand in (0, 1):
            for place, window in enumerate(one["windows"][hand]):
                windows[row, hand, place], values[row, hand, place] = window, one["mdev"][hand][place]
    return found | {"windows": windows, "mdev": values}


def measured(sequences: Sequences, *, bits: int = 64) -> dict[str, np.ndarray]:
    """Return the package's results: contacts are sought on the host, all else is one compiled program."""
    with jax.enable_x64(bits == 64):
        arrays = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, leaf.dtype if leaf.dtype == bool else float), sequences.arrays()
        )
        near = jax.device_get(contact_distances(arrays))
        each = zip(near["distances"], near["closest"], sequences.truth_object, strict=True)
        windows = np.stack([_windows(*row) for row in each])
        found = jax.device_get(every_metric(arrays, {**near, "windows": windows}))
    return found | near | {"windows": windows}


def differences(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the greatest difference of each metric over its greatest value; infinite where other values are NaN."""
    result = {}
    for name, values in expected.items():
        ours, known = np.asarray(found[name], np.float64), ~np.isnan(np.asarray(values, np.float64))
        same = ours.shape == values.shape and np.array_equal(np.isnan(ours), ~known)
        gap = np.max(np.abs(ours[known] - values[known]), initial=0.0) if same else np.inf
        result[name] = float(gap / max(np.max(np.abs(values[known]), initial=0.0), 1e-12))
    return result


def _windows(distances: np.ndarray, closest: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Contacts of both hands, padded."""
    found = np.tile(np.array(hand_pose.NO_WINDOW), (2, MOST_WINDOWS, 1))
    for hand in (0, 1):
        one = hand_pose.contact_windows(distances[hand], closest[hand], surface[0])
        found[hand, : len(one)] = one
    return found


@jax.jit
@jax.vmap
def contact_distances(arrays: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Distances and indices, for each hand and frame."""
    hands = jnp.swapaxes(arrays["truth_hands"], 0, 1)
    surface = jnp.broadcast_to(arrays["truth_object"], (2, *arrays["truth_object"].shape))
    distances, closest = hand_pose.closest_vertices(hands, surface, mask=jnp.asarray(SURFACE_MASK))
    return {"distances": distances, "closest": closest}


@jax.jit
@jax.vmap
def every_metric(arrays: Mapping[str, Any], near: Mapping[str, Any]) -> dict[str, jax.Array]:
    """All metrics of one sequence; hands come first."""
    joints, truths, mask, hands, truth_hands, hands_valid = (
        jnp.swapaxes(arrays[name], 0, 1)
        for name in ("joints", "truth_joints", "joint_mask", "hands", "truth_hands", "hands_valid")
    )
    surface, truth_surface = (
        jnp.broadcast_to(arrays[name], (2, *arrays[name].shape)) for name in ("object", "truth_object")
    )
    frames_valid, bottom, exists = arrays["frames_valid"], jnp.asarray(BOTTOM), jnp.asarray(SURFACE_MASK)
    contact = {"truth_distances": near["distances"], "truth_closest": near["closest"], "valid": hands_valid}
    guessed, _ = hand_pose.closest_vertices(hands, surface, mask=exists)
    centres, truth_centres = (hand_pose.bottom_centre(one[0], bottom=bottom) for one in (surface, truth_surface))
    return {
        "joint_errors": hand_pose.joint_errors(joints, truths, wrist=0, mask=mask),
        "mpjpe": hand_pose.mpjpe(joints, truths, wrist=0, mask=mask),
        "mpjpe_joints_first": hand_pose.mpjpe_joints_first(
            *(jnp.swapaxes(one, 0, 1) for one in (joints, truths)), wrist=0, mask=jnp.swapaxes(mask, 0, 1)
        ),
        "pa_mpjpe": hand_pose.pa_mpjpe(joints, truths, mask=mask),
        "mrrpe_rl": hand_pose.mrrpe(*joints[:, :, 0], *truths[:, :, 0], valid=hands_valid.all(axis=0)),
        "mrrpe_ro": hand_pose.mrrpe(joints[0, :, 0], centres, truths[0, :, 0], truth_centres, valid=hands_valid[0]),
        "cdev": hand_pose.contact_deviation(hands, surface, **contact),
        "cdev_loss": hand_pose.contact_deviation_loss(hands, surface, **contact),
        "field": hand_pose.interaction_field_error(guessed, near["distances"], valid=hands_valid),
        "mdev": jax.vmap(lambda *args: hand_pose.motion_deviation(*args[:3], valid=args[3]))(
            hands, surface, near["windows"], hands_valid
        ),
        "acceleration": jax.vmap(
            lambda *args: hand_pose.acceleration_error(
                *args[:2], predicted_root=args[2], truth_root=args[3], valid=args[4]
            )
        )(hands, truth_hands, joints[:, :, 0], truths[:, :, 0], hands_valid),
        "acceleration_object": hand_pose.acceleration_error(
            surface[0],
            truth_surface[0],
            predicted_root=centres,
            truth_root=truth_centres,
            valid=frames_valid,
            mask=exists,
        ),
        "success": hand_pose.success_rate(
            surface[0], truth_surface[0], bottom=bottom, diameter=DIAMETER, valid=frames_valid, mask=exists
        ),
        "aae": hand_pose.articulation_error(arrays["angles"], arrays["truth_angles"], valid=frames_valid),
    }
