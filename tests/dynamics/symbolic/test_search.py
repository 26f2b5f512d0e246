"""Symbolic networks found by gradients, on polynomials without noise and few points."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import EQL, Schedule, SymNet, symbolic_search

X, V = NAMES = sympy.symbols("x v")
SHORT = Schedule(steps=400, batch=64)
TINY = Schedule(steps=3, batch=8)
NETWORK = SymNet(products=1)


def records():
    """Points and their slopes, as NumPy arrays."""
    points = np.random.default_rng(0).standard_normal((8, 30, 2))
    return points, np.stack([points[..., 1], 2 - points[..., 0] * points[..., 1]], axis=2)


def searched(points, slopes, schedule=SHORT, restarts=4, network=NETWORK, **options):
    given, key = (jnp.asarray(points), jnp.asarray(slopes)), jax.random.key(1)
    return symbolic_search(network, *given, key, states=NAMES, restarts=restarts, schedule=schedule, **options)


def values(fit, points):
    """Outputs of its network."""
    return np.asarray(jax.jit(fit.network.values)(fit.params, points))


@pytest.fixture(scope="module")
def found():
    with jax.enable_x64(True):
        return searched(*records())


def test_the_right_terms_are_found(found):
    assert str(found.equations.rounded(2)) == "dx/dt = v\ndv/dt = 2 - v x"
    assert found.bic.shape == found.active.shape == (4, 2)
    assert found.lost == ()


def test_the_record_says_what_was_chosen(found):
    """Its weights are in the data's units and 0 where pruned, and the least BIC is that of its own errors."""
    points, slopes = records()
    computed = values(found, points)
    np.testing.assert_allclose(computed, slopes, atol=0.02)
    leaves = zip(jax.tree.leaves(found.params), jax.tree.leaves(found.mask), strict=True)
    assert all(np.array_equal(np.asarray(leaf) != 0, kept) for leaf, kept in leaves)
    masks = [np.asarray(kept) for kept in jax.tree.leaves(found.mask)]
    count = sum(np.sum(kept, axis=tuple(range(1, kept.ndim))) for kept in masks)
    np.testing.assert_array_equal(count, found.active[found.chosen, [0, 1]])
    square = np.mean(slopes[np.array([0, 1, 2, 4, 5, 6])] ** 2, axis=(0, 1))
    error = np.mean((computed - slopes)[np.array([3, 7])] ** 2, axis=(0, 1)) / square
    bic = 60 * np.log(np.maximum(error, 1e-7)) + count * np.log(60)
    np.testing.assert_allclose(found.bic.min(axis=0), bic, rtol=1e-6)


def test_units_change_no_choice(found):
    points, slopes = records()
    scales, rates = np.array([1000.0, 0.02]), np.array([0.02, 50.0])
    other = searched(points * scales, slopes * rates)
    np.testing.assert_allclose(other.bic, found.bic, rtol=1e-3)
    np.testing.assert_allclose(values(other, points * scales) / rates, values(found, points), atol=1e-4)


def test_masked_rows_are_as_if_left_out():
    points, slopes = records()
    there = np.broadcast_to(np.arange(30) < 20, (8, 30))
    filled = [np.where(there[..., None], side, np.nan) for side in (points, slopes)]
    masked = searched(*filled, TINY, mask=jnp.asarray(there))
    np.testing.assert_array_equal(masked.bic, searched(points[:, :20], slopes[:, :20], TINY).bic)


def test_a_start_that_diverges_loses():
    """A unit that overflows for some of the starts."""
    a = sympy.Symbol("a")
    network = EQL(units=(sympy.Lambda(a, sympy.exp(a**3)),), layers=1, copies=1, start=4.0)
    fit = searched(*records(), TINY, restarts=8, network=network)
    assert 0 < len(fit.lost) < 16
    assert len(fit.lost) == np.sum(np.isinf(fit.bic))
    restart, state = np.argwhere(np.isinf(fit.bic))[0]
    assert fit.lost[0] == f"restart {restart} of {NAMES[state]} diverged"
    assert np.all(np.isfinite(fit.bic.min(axis=0)))


def test_where_all_diverge_there_is_no_network(found, monkeypatch):
    module = sys.modules["jaxkd.dynamics.symbolic.search"]
    trained = module._restarts

    def diverged(*arguments):
        params, mask, errors = trained(*arguments)
        return params, mask, errors.at[:, 1].set(jnp.nan)

    monkeypatch.setattr(module, "_restarts", diverged)
    with pytest.raises(
        ValueError, match=r"restarts must leave a network of each state, got 4 that all diverged for v\. Lower"
    ):
        searched(*records())


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_record_is_refused():
    points, slopes = records()
    with pytest.raises(
        ValueError, match=r"variables and slopes must have a column for each of x, v and of x, v, got 1"
    ):
        searched(points[..., :1], slopes)
    with pytest.raises(ValueError, match=r"variables must have at least 2 blocks, one to hold out, got 1"):
        searched(points[:1], slopes[:1])
    with pytest.raises(ValueError, match=r"slopes must be finite, got nan in row 3 of block 2, and 1 more"):
        missing = slopes.copy()
        missing[2, 3:5, 0] = np.nan
        searched(points, missing)
    with pytest.raises(ValueError, match=r"restarts must be >= 1, got 0"):
        searched(points, slopes, restarts=0)
    with pytest.raises(TypeError, match=r"variables must be of float64"):
        searched(np.float32(points), slopes)
