"""Metrics of hands against plain loops, hand-made values, and laws that hold for all of them.

The windows of `motion_deviation` are those of `contact_windows`, which has tests of its own.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.hands import metrics as measured_by
from benchmarks.hands.random_sequences import FRAMES, Sequences, random_sequences
from jaxkd.metrics.hand_pose import (
    NO_WINDOW,
    acceleration_error,
    articulation_error,
    bottom_centre,
    closest_vertices,
    contact_deviation,
    contact_deviation_loss,
    interaction_field_error,
    joint_errors,
    motion_deviation,
    mpjpe,
    mpjpe_joints_first,
    mrrpe,
    nan_mean,
    pa_mpjpe,
    success_rate,
)
from tests.losses.compiled import jitted

COUNT, FEW = 200, 20
"""Sequences that are compared with loops on the slow level, and on the fast one, where laws are asked of them too."""
TIMELESS = ("joint_errors", "mpjpe", "pa_mpjpe", "cdev", "cdev_loss", "field")
"""Metrics of a frame and a hand that depend on no other frame; of both hands or the object alone are the next."""
TIMELESS_FRAMES = ("mrrpe_rl", "mrrpe_ro", "success", "aae")
BY_HAND = (*TIMELESS, "mpjpe_joints_first", "acceleration")


@functools.cache
def sequences(count=FEW):
    return random_sequences(count, seed=0)


@functools.cache
def found(count=FEW):
    return measured_by.measured(sequences(count))


def changed(**arrays):
    return Sequences(**(sequences().arrays() | arrays))


every_count = pytest.mark.parametrize("count", [FEW, pytest.param(COUNT, marks=pytest.mark.slow)])


@every_count
def test_every_metric_equals_a_float64_loop_on_random_sequences(count):
    gaps = measured_by.differences(found(count), measured_by.stacked(sequences(count)))
    assert len(gaps) == 17
    assert {name: gap for name, gap in gaps.items() if not gap < 1e-12} == {}
    windows = found(count)["windows"].reshape(-1, 4)
    windows = windows[windows[:, 1] >= 0]
    assert (windows[:, 0] == 0).any()
    assert (windows[:, 1] == FRAMES - 1).any()
    assert (windows[:, 1] - windows[:, 0] + 1).min() >= 15


@every_count
def test_float32_has_five_digits_a_metre_from_the_camera(count):
    """Errors of about 5 mm are differences of positions near 1 m, each rounded to 6e-8 m: a part in 1e5 remains."""
    gaps = measured_by.differences(measured_by.measured(sequences(count), bits=32), found(count))
    assert {name: gap for name, gap in gaps.items() if not gap < 2e-5} == {}


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@settings(max_examples=3, deadline=None)
@given(st.permutations(range(FRAMES)))
def test_the_order_of_frames_changes_no_metric_without_time(order):
    moved = measured_by.measured(changed(**{name: one[:, order] for name, one in sequences().arrays().items()}))
    for name in TIMELESS:
        same(moved[name], found()[name][:, :, order])
    for name in TIMELESS_FRAMES:
        same(moved[name], found()[name][:, order])
    same(moved["mpjpe_joints_first"], found()["mpjpe_joints_first"])


@settings(max_examples=3, deadline=None)
@given(st.lists(st.booleans(), min_size=FEW, max_size=FEW))
def test_the_order_of_left_and_right_changes_no_figure(exchanged):
    exchanged = np.array(exchanged)
    names = ("joints", "truth_joints", "joint_mask", "hands", "truth_hands", "hands_valid")
    arrays = sequences().arrays()
    either = {
        name: np.where(exchanged.reshape(-1, *(1,) * (arrays[name].ndim - 1)), arrays[name][:, :, ::-1], arrays[name])
        for name in names
    }
    moved = measured_by.measured(changed(**either))
    for name in BY_HAND:
        picked = np.where(
            exchanged.reshape(-1, *(1,) * (found()[name].ndim - 1)), found()[name][:, ::-1], found()[name]
        )
        same(moved[name], picked)
    for name in ("mrrpe_rl", "success", "aae", "acceleration_object"):
        same(moved[name], found()[name])
    np.testing.assert_allclose(*(np.nanmean(one["mdev"]) for one in (moved, found())), rtol=1e-12)
    with jax.enable_x64(True):
        same(*(jitted(nan_mean, axis=1)(one["cdev"]) for one in (moved, found())))


@settings(max_examples=3, deadline=None)
@given(st.sampled_from([np.nan, np.inf, 1e30]))
def test_what_does_not_count_reaches_nothing(rubbish):
    valid = sequences().hands_valid
    hidden = {
        name: np.where(valid[..., None, None], getattr(sequences(), name), rubbish) for name in ("joints", "hands")
    }
    moved = measured_by.measured(changed(**hidden))
    for name in (*BY_HAND, "mdev", "mrrpe_rl", "mrrpe_ro"):
        same(moved[name], found()[name])
    for name in ("mpjpe", "cdev", "field"):
        assert np.isnan(found()[name][~np.swapaxes(valid, 1, 2)]).all()
    assert (found()["cdev_loss"][~np.swapaxes(valid, 1, 2)] == 0).all()


def test_moving_both_sides_changes_no_metric_and_a_similarity_not_the_aligned_error():
    names = ("joints", "truth_joints", "hands", "truth_hands", "object", "truth_object")
    moved = measured_by.measured(
        changed(**{name: getattr(sequences(), name) + np.array([0.5, -0.25, 2]) for name in names})
    )
    for name in (*BY_HAND, *TIMELESS_FRAMES, "acceleration_object"):
        np.testing.assert_allclose(moved[name], found()[name], rtol=1e-9, atol=1e-11)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = measured_by.measured(changed(joints=3 * sequences().joints @ turn - 1))
    same(moved["pa_mpjpe"], found()["pa_mpjpe"])
    known = np.isfinite(found()["pa_mpjpe"])
    assert (found()["pa_mpjpe"] <= found()["mpjpe"] * 2)[known].all()
    mirrored = measured_by.measured(changed(joints=sequences().joints * [1, 1, -1]))
    assert (mirrored["pa_mpjpe"] > 2 * found()["pa_mpjpe"])[known].all()


@jax.jit
def toy():
    """A hand of three joints, and a box of four vertices of which two are its bottom."""
    truth = jnp.array([[0.0, 0, 0], [0.03, 0, 0], [0, 0.04, 0], [0, 0, 0.05]])
    predicted = truth.at[1, 2].add(0.008) + 1
    every = jnp.ones(4, bool)
    box = jnp.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
    bottom = jnp.array([True, True, False, False])
    frames = jnp.arange(4.0)
    falling = jnp.zeros((4, 1, 3)).at[:, 0, 2].set(frames**2)
    still, roots = jnp.zeros((4, 1, 3)), jnp.zeros((4, 3))
    windows = jnp.array([[0, 3, 0, 0], [1, 3, 0, 0], NO_WINDOW])
    touching = {"truth_distances": jnp.array([0.003, 0.0031, 0, 0]), "truth_closest": jnp.array([0, 0, 2, 3])}
    valid = jnp.array(True)
    distances, closest = closest_vertices(truth, box)
    return {
        "joint_errors": joint_errors(predicted, truth, wrist=0, mask=every),
        "joint_errors, wrist 1": joint_errors(predicted, truth, wrist=1, mask=every),
        "mpjpe": mpjpe(predicted, truth, wrist=0, mask=every),
        "mpjpe, two": mpjpe(predicted, truth, wrist=0, mask=jnp.array([False, True, False, True])),
        "mpjpe_joints_first": mpjpe_joints_first(
            jnp.stack([predicted, truth]), jnp.stack([truth, truth]), wrist=0, mask=jnp.array([[True] * 4] * 2)
        ),
        "pa_mpjpe": pa_mpjpe(2 * predicted, jnp.where(truth == 0, truth, predicted - 1), mask=every),
        "mrrpe": mrrpe(predicted[0], predicted[1], truth[0], truth[1], valid=valid),
        "closest": closest,
        "distances": distances,
        "cdev": contact_deviation(truth, box, valid=valid, **touching),
        "cdev, absent": contact_deviation(truth, box, valid=jnp.array(False), **touching),
        "cdev_loss, absent": contact_deviation_loss(truth, box, valid=jnp.array(False), **touching),
        "field": interaction_field_error(distances, distances + jnp.array([0.1, 0, -0.2, 0]), valid=valid),
        "mdev": motion_deviation(falling, still, windows, valid=jnp.ones(4, bool)),
        "mdev, gap": motion_deviation(falling, still, windows, valid=jnp.array([True, True, False, True])),
        "acceleration": acceleration_error(
            falling, still, predicted_root=roots, truth_root=roots, valid=jnp.ones(4, bool), interval=0.5
        ),
        "centre": bottom_centre(box, bottom=bottom),
        "success": success_rate(
            box.at[2, 0].add(0.04), box, bottom=bottom, diameter=0.2, valid=valid, mask=jnp.arange(4) < 3
        ),
        "aae": articulation_error(jnp.array(-0.5), jnp.array(0.5), valid=valid),
        "nan_mean": nan_mean(jnp.array([[1.0, jnp.nan], [jnp.nan, jnp.nan]])),
    }


def test_hand_values():
    values = jax.device_get(toy())
    expected = {
        "joint_errors": [0, 0.008, 0, 0],
        "joint_errors, wrist 1": [0.008, 0, 0.008, 0.008],
        "mpjpe": 0.002,
        "mpjpe, two": 0.004,
        "mpjpe_joints_first": [0, 0.004, 0, 0],
        "pa_mpjpe": 0.0,
        "mrrpe": 0.008,
        "closest": [0, 0, 0, 0],
        "distances": [0, 0.03, 0.04, 0.05],
        "cdev": (0 + 0.06 + 0.05) / 3,
        "cdev, absent": np.nan,
        "cdev_loss, absent": 0,
        "field": 0.075,
        "mdev": [(1 + 3 + 5) / 3, (3 + 5) / 2, np.nan],
        "mdev, gap": [1, np.nan, np.nan],
        "acceleration": [np.nan, 8, 8, np.nan],
        "centre": [0.05, 0, 0],
        "success": 200 / 3,
        "aae": np.rad2deg(1),
        "nan_mean": 1,
    }
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        if name != "pa_mpjpe":
            np.testing.assert_allclose(values[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def differentiable(arrays, near):
    """Sum of what can be learnt from, with NaN as 0."""
    values = measured_by.every_metric(arrays, near)
    names = ("mpjpe", "mpjpe_joints_first", "mrrpe_rl", "mrrpe_ro", "cdev_loss", "cdev", "mdev", "acceleration", "aae")
    return sum(jnp.nansum(values[name]) for name in names) + jnp.nansum(values["field"])


def test_gradients_equal_finite_differences_and_nothing_is_nan():
    few = random_sequences(FEW, seed=3)
    few = Sequences(
        **(few.arrays() | {name: np.nan_to_num(getattr(few, name), nan=1.0) for name in ("joints", "hands")})
    )
    near = measured_by.measured(few)
    near = {name: near[name] for name in ("distances", "closest", "windows")}
    learnt = ("joints", "hands", "object", "angles")
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        fixed = few.arrays()
        run = jax.jit(jax.value_and_grad(lambda arrays: differentiable(fixed | arrays, near)))
        point = {name: getattr(few, name) for name in learnt}
        _, gradient = jax.device_get(run(point))
        way = {name: np.where(np.isnan(one), 0, rng.normal(size=one.shape)) for name, one in point.items()}
        ahead, behind = (
            float(run({name: point[name] + step * way[name] for name in learnt})[0]) for step in (1e-7, -1e-7)
        )
    for name in learnt:
        assert np.isfinite(gradient[name]).all(), name
        assert np.abs(gradient[name]).max() > 0, name
    slope = sum((gradient[name] * way[name]).sum() for name in learnt)
    np.testing.assert_allclose((ahead - behind) / 2e-7, slope, rtol=1e-5)


def test_equal_joints_and_contacts_have_a_gradient_of_zero_and_no_gradient_passes_the_alignment():
    @jax.jit
    @jax.grad
    def gradient(hand):
        mask, valid = jnp.ones(4, bool), jnp.array(True)
        contact = {"truth_distances": jnp.zeros(4), "truth_closest": jnp.arange(4), "valid": valid}
        fixed = jnp.ones((4, 3))
        errors = mpjpe(hand, fixed, wrist=0, mask=mask) + contact_deviation_loss(hand, fixed, **contact)
        return errors + pa_mpjpe(hand + jnp.arange(12.0).reshape(4, 3) ** 2, fixed, mask=mask)

    np.testing.assert_array_equal(gradient(np.ones((4, 3), np.float32)), 0)


def test_half_precision_is_computed_in_float32():
    points, mask = jax.ShapeDtypeStruct((5, 4, 3), jnp.bfloat16), jax.ShapeDtypeStruct((5, 4), bool)
    root, valid = jax.ShapeDtypeStruct((5, 3), jnp.bfloat16), jax.ShapeDtypeStruct((5,), bool)
    values, flags = jax.ShapeDtypeStruct((5,), jnp.bfloat16), jax.ShapeDtypeStruct((4,), bool)
    windows = jax.ShapeDtypeStruct((2, 4), jnp.int32)
    closest, distances = jax.ShapeDtypeStruct((5, 4), jnp.int32), jax.ShapeDtypeStruct((5, 4), jnp.bfloat16)

    def every(points, mask, root, valid, values, flags, windows, closest, distances):
        contact = {"truth_distances": distances, "truth_closest": closest, "valid": valid}
        roots = {"predicted_root": root, "truth_root": root}
        return [
            joint_errors(points, points, wrist=0, mask=mask),
            mpjpe(points, points, wrist=0, mask=mask),
            mpjpe_joints_first(points, points, wrist=0, mask=mask),
            pa_mpjpe(points, points, mask=mask),
            mrrpe(root, root, root, root, valid=valid),
            closest_vertices(points, points)[0],
            contact_deviation(points, points, **contact),
            contact_deviation_loss(points, points, **contact),
            interaction_field_error(distances, distances, valid=valid),
            motion_deviation(points, points, windows, valid=valid),
            acceleration_error(points, points, **roots, valid=valid),
            bottom_centre(points, bottom=flags),
            success_rate(points, points, bottom=flags, diameter=0.1, valid=valid),
            articulation_error(values, values, valid=valid),
            nan_mean(values),
        ]

    shapes = jax.eval_shape(every, points, mask, root, valid, values, flags, windows, closest, distances)
    assert {one.dtype for one in shapes} == {jnp.dtype(jnp.float32)}


def points(*shape):
    return np.zeros((*shape, 3), np.float32)


SHAPES = {
    "truth must have the shape (5, 4, 3) that the other arguments imply, got (5, 3, 3)": lambda: mpjpe(
        points(5, 4), points(5, 3), wrist=0, mask=np.ones((5, 4), bool)
    ),
    "mask must have the shape (5, 4) that": lambda: pa_mpjpe(points(5, 4), points(5, 4), mask=np.ones(5, bool)),
    "predicted must hold points of shape [..., n, 3], got (5, 4)": lambda: joint_errors(
        np.zeros((5, 4)), points(5, 4), wrist=0, mask=np.ones((5, 4), bool)
    ),
    "wrist must be the index of one of the 4 joints, got 20": lambda: joint_errors(
        points(5, 4), points(5, 4), wrist=20, mask=np.ones((5, 4), bool)
    ),
    "predicted must hold three coordinates on its last axis, got the shape (5, 2)": lambda: mrrpe(
        *[np.zeros((5, 2))] * 4, valid=np.ones(5, bool)
    ),
    "points must have the shape (6, 4, 3) that": lambda: closest_vertices(points(5, 4), points(6, 2)),
    "truth_closest must have the shape (5, 4) that": lambda: contact_deviation(
        points(5, 4),
        points(5, 9),
        truth_distances=np.zeros((5, 4)),
        truth_closest=np.zeros((5, 9), int),
        valid=np.ones(5, bool),
    ),
    "predicted_distances must hold a distance for each vertex on its last axis": lambda: interaction_field_error(
        np.array(0.0), np.array(0.0), valid=np.array(True)
    ),
    "windows must have the shape (2, 4) that": lambda: motion_deviation(
        points(5, 4), points(5, 4), np.zeros((2, 3), int), valid=np.ones(5, bool)
    ),
    "interval must be > 0 seconds, got 0": lambda: acceleration_error(
        points(5, 4),
        points(5, 4),
        predicted_root=points(5),
        truth_root=points(5),
        valid=np.ones(5, bool),
        interval=0,
    ),
}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("message", SHAPES)
def test_arguments_that_do_not_agree_are_rejected(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SHAPES[message]()


def test_two_frames_have_no_acceleration():
    roots = {"predicted_root": points(2), "truth_root": points(2)}
    run = jitted(acceleration_error)
    assert np.isnan(run(points(2, 4), points(2, 4), **roots, valid=np.ones(2, bool))).all()
