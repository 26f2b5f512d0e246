"""Fused views against loops, whatever their order, and frames without a valid one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxkd.geometry.views import fuse_agreeing_pair, fuse_mean, fuse_weighted, view_weights
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

FRAMES, VIEWS, JOINTS = 7, 4, 5
WEIGHTS = np.float32([0.1, 0.4, 0.2, 0.3])


def mean(points, mask):
    return fuse_mean(points, mask=mask)


def weighted(points, mask):
    return fuse_weighted(points, jnp.asarray(WEIGHTS, points.dtype), mask=mask)


def pair(points, mask):
    return fuse_agreeing_pair(points, mask=mask)


RULES = {"fuse_mean": mean, "fuse_weighted": weighted, "fuse_agreeing_pair": pair}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def scene(seed, dtype=np.float32):
    """Noisy predictions; NaN in masked views, of which the last frames have four and three."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(FRAMES, 1, JOINTS, 3))
    points = truth + rng.normal(size=(FRAMES, VIEWS, JOINTS, 3)) * 0.1
    mask = rng.random((FRAMES, VIEWS)) < 0.7
    mask[:3] = [[True] * 4, [False, True, True, False], [True, True, False, True]]
    mask[-2:] = [[False] * 4, [False, False, True, False]]
    return np.where(mask[..., None, None], points, np.nan).astype(dtype), mask, truth[:, 0]


def loop(rule, points, mask):
    fused = np.full((FRAMES, JOINTS, 3), np.nan)
    for frame, (views, valid) in enumerate(zip(np.float64(points), mask, strict=True)):
        kept = np.flatnonzero(valid)
        if rule is mean and len(kept):
            fused[frame] = views[kept].mean(axis=0)
        if rule is weighted and len(kept):
            fused[frame] = np.average(views[kept], axis=0, weights=WEIGHTS[kept])
        if rule is pair and len(kept):
            pairs = list(itertools.combinations(kept, 2)) or [(kept[0], kept[0])]
            errors = [np.linalg.norm(views[a] - views[b], axis=-1).mean() for a, b in pairs]
            fused[frame] = views[list(pairs[int(np.argmin(errors))])].mean(axis=0)
    return fused


def test_hand_values():
    points, mask = np.zeros((FRAMES, VIEWS, JOINTS, 3), np.float32), np.zeros((FRAMES, VIEWS), bool)
    points[:, 1:3, :, 0] = [[[1], [3]]]
    mask[:3] = [[True, True, True, False], [True, False, True, False], [True, False, False, False]]
    assert jitted(mean)(points, mask)[0, 0, 0] == pytest.approx(4 / 3)
    weights = np.float32([1, 0, 3, 0])
    assert jitted(fuse_weighted)(points, weights, mask=mask)[0, 0, 0] == pytest.approx(9 / 4)
    assert jitted(pair)(points, mask)[:3, 0, 0].tolist() == [0.5, 1.5, 0]
    single = jitted(fuse_agreeing_pair)(points[0, :1, :1], mask=mask[0, :1])
    assert single[0, 0] == 0
    assert view_weights([1.0, 2.0, 4.0]).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


@every_rule
def test_equals_a_float64_loop_and_frames_without_a_view_are_nan(rule):
    points, mask, _ = scene(0)
    found = jitted(rule)(points, mask)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, loop(rule, points, mask), atol=1e-6)
    assert np.isnan(found).any(axis=(1, 2)).tolist() == (~mask.any(axis=1)).tolist()
    np.testing.assert_allclose(found[-1], points[-1, 2], rtol=1e-6)  # one valid view is itself
    for frame in range(2):
        one = jitted(rule)(points[frame], mask[frame])
        np.testing.assert_allclose(one, found[frame], atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(VIEWS)), frames=st.permutations(range(FRAMES)))
def test_the_order_of_views_and_frames_changes_nothing(seed, order, frames):
    points, mask, _ = scene(seed)
    for rule in (mean, pair):
        expected = jitted(rule)(points, mask)[frames]
        found = jitted(rule)(points[frames][:, order], mask[frames][:, order])
        np.testing.assert_allclose(found, expected, atol=1e-6)
    run = jitted(fuse_weighted)
    found = run(points[frames][:, order], WEIGHTS[order], mask=mask[frames][:, order])
    np.testing.assert_allclose(found, run(points, WEIGHTS, mask=mask)[frames], atol=1e-6)


@every_rule
def test_gradients_equal_finite_differences_and_do_not_reach_masked_views(rule):
    points, mask, _ = scene(1, np.float64)

    def clean(points):
        fused = rule(points, jnp.asarray(mask))
        return jnp.where(jnp.isnan(fused), 0, jnp.sin(fused))

    with jax.enable_x64(True):
        run = compiled(clean)
        assert_equals_finite_differences(run, np.nan_to_num(points), rtol=1e-6, atol=1e-8, eps=1e-6)
        _, (gradient,) = run(points)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert np.abs(gradient[-1, 2]).max() > 0.1


def test_fusion_lowers_the_error_and_the_agreeing_pair_passes_an_outlier_over():
    points, _, truth = scene(2)
    rng = np.random.default_rng(3)
    points = (truth[:, None] + 0.1 * rng.normal(size=points.shape)).astype(np.float32)
    points[:, 1] += 3
    mask = np.ones((FRAMES, VIEWS), bool)
    error = {name: np.linalg.norm(jitted(rule)(points, mask) - truth, axis=-1).mean() for name, rule in RULES.items()}
    single = np.linalg.norm(points[:, 0] - truth, axis=-1).mean()
    assert error["fuse_agreeing_pair"] < single < error["fuse_mean"] < error["fuse_weighted"]
    mask[:, 1] = False
    assert np.linalg.norm(jitted(mean)(points, mask) - truth, axis=-1).mean() < 0.7 * single


def test_weights_are_relative_and_large_and_small_ones_are_fine():
    points, mask, _ = scene(4)
    run = jitted(fuse_weighted)
    for scale in (1e-30, 1e30):
        found = run(points, np.float32(WEIGHTS * scale), mask=mask)
        np.testing.assert_allclose(found, run(points, WEIGHTS, mask=mask), atol=1e-6)
    nothing = run(points, np.float32([0, 0, 1, 0]), mask=np.array([[True, True, False, True]] * FRAMES))
    assert np.isnan(nothing).all()
    np.testing.assert_allclose(view_weights([1e-300, 2e-300]), [2 / 3, 1 / 3])
    assert jax.eval_shape(mean, points.astype(jnp.bfloat16), mask).dtype == np.float32
    huge = jitted(pair)(np.full(points.shape, 1e4, np.float32), np.ones_like(mask))
    np.testing.assert_array_equal(huge, 1e4)


def test_refuses_weights_of_errors_that_are_none():
    for errors in ([], [1.0, 0.0], [1.0, -2.0], [1.0, float("nan")]):
        with pytest.raises(ValueError, match=r"errors must hold one finite number > 0 for each view, got \["):
            view_weights(errors)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes():
    points = np.ones((3, 5, 3), np.float32)
    for rule in (mean, pair, weighted):
        with pytest.raises(ValueError, match=r"points and mask must be .*, got \(3, 5, 3\) and \(2,\)"):
            rule(points, np.ones(2, bool))
        with pytest.raises(ValueError, match=r"points must hold at least one view, got none"):
            rule(points[:0], np.ones(0, bool))
    with pytest.raises(ValueError, match=r"weights must hold one number for each of the 3 views, got \(4,\)"):
        weighted(points, np.ones(3, bool))
