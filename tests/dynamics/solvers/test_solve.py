"""Initial value problems, by Diffrax and by scans of equal steps."""

import dataclasses
import functools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import solve_ivp

from jaxkd.dynamics import EULER, RK4, Solver, fixed_step, solve, systems
from tests.dynamics.records import right_hand_side, times

TIMES = np.linspace(0.0, 2.0, 9)
START = np.array([1.0, 0.0])
FINE = Solver(rtol=1e-9, atol=1e-9, max_steps=64)

solved = jax.jit(solve, static_argnums=0, static_argnames="solver")
scanned = jax.jit(fixed_step, static_argnums=0, static_argnames=("method", "substeps"))


def decay(t, y, rate):
    return -rate * y


def pendulum(t, y, args):
    return jnp.stack([y[1], -jnp.sin(y[0]) + 0.1 * jnp.cos(t)])


def squared(t, y, args):
    return y**2


@functools.cache
def exact():
    """The pendulum, by SciPy."""

    def field(t, y):
        return [y[1], -np.sin(y[0]) + 0.1 * np.cos(t)]

    return solve_ivp(field, (0, 2), START, "DOP853", TIMES, rtol=1e-12, atol=1e-12).y.T


def test_hand_values():
    got = solved(decay, START + 1, TIMES, 0.5, solver=FINE)
    np.testing.assert_allclose(got.states, np.exp(-0.5 * TIMES)[:, None] * [2, 1], rtol=1e-8)
    assert got.succeeded
    euler = scanned(decay, START + 1, np.linspace(0.0, 4.0, 9), 1.0, method=EULER)
    np.testing.assert_allclose(euler, 0.5 ** np.arange(9)[:, None] * [2, 1])


@pytest.mark.parametrize(("method", "order"), [(EULER, 1), (RK4, 4)], ids=["euler", "rk4"])
def test_the_error_of_fixed_steps_falls_with_their_order(method, order):
    found = [scanned(pendulum, START, TIMES, method=method, substeps=n) for n in (4, 8, 16)]
    errors = np.array([np.max(np.abs(np.asarray(states) - exact())) for states in found])
    np.testing.assert_allclose(np.log2(errors[:-1] / errors[1:]), order, atol=0.25)


@pytest.mark.parametrize(
    "method", [diffrax.Tsit5(), diffrax.Dopri8(), diffrax.Kvaerno5()], ids=lambda m: type(m).__name__
)
def test_both_equal_scipy(method):
    got = solved(pendulum, START, TIMES, solver=Solver(method=method, rtol=1e-8))
    np.testing.assert_allclose(got.states, exact(), atol=1e-6)
    np.testing.assert_allclose(scanned(pendulum, START, TIMES, substeps=16), exact(), atol=1e-7)


@pytest.mark.parametrize(
    "adjoint",
    [diffrax.RecursiveCheckpointAdjoint(), diffrax.BacksolveAdjoint(), diffrax.DirectAdjoint()],
    ids=lambda adjoint: type(adjoint).__name__,
)
def test_gradients_of_every_adjoint_are_the_exact_one(adjoint):
    """d/da of y0 exp(-a t) is -t times it."""
    solver = dataclasses.replace(FINE, adjoint=adjoint)
    start, times = jnp.array([2.0, 1.0]), jnp.asarray(TIMES)
    slope = jax.jit(jax.grad(lambda rate: solve(decay, start, times, rate, solver=solver).states[6, 0]))
    np.testing.assert_allclose(slope(0.5), -1.5 * 2 * np.exp(-0.75), rtol=1e-6)


def test_forward_mode():
    solver = dataclasses.replace(FINE, adjoint=diffrax.ForwardMode())
    slope = jax.jit(jax.jacfwd(lambda rate: solved(decay, START + 1, TIMES, rate, solver=solver).states))
    np.testing.assert_allclose(slope(0.5), (-TIMES * np.exp(-0.5 * TIMES))[:, None] * [2, 1], rtol=1e-6)


def test_gradient():
    check_grads(lambda y0, rate: scanned(decay, y0, TIMES, rate), (START + 1, 0.7), order=1)


def test_a_solution_that_diverges_says_so_and_raises_nothing():
    got = solved(squared, START, TIMES, solver=Solver(max_steps=200))
    assert not got.succeeded
    np.testing.assert_allclose(got.states[:4, 0], 1 / (1 - TIMES[:4]), rtol=1e-4)
    assert not np.any(np.isfinite(np.asarray(got.states)[5:, 0]))  # 1 itself is the pole
    found = np.asarray(scanned(squared, START, TIMES, substeps=16))
    assert not np.isfinite(found[-1, 0])


def test_a_stop_ends_a_solution():
    fallen = Solver(stop=lambda t, y, args, **kwargs: y[0] < 0)
    got = solved(lambda t, y, args: -jnp.ones(2), START, TIMES, solver=fallen)
    assert got.succeeded
    finite = np.isfinite(np.asarray(got.states)[:, 0])
    assert finite[0]
    assert not finite[-1]


def test_fixed_steps_of_diffrax_are_ours():
    got = solved(pendulum, START, TIMES, solver=Solver(method=diffrax.Euler(), step=0.25)).states
    np.testing.assert_allclose(got, scanned(pendulum, START, TIMES, method=EULER), rtol=1e-12)


def test_transforms_change_nothing():
    starts = np.stack([START, START + 1])
    for plain, compiled, options in ((solve, solved, {"solver": FINE}), (fixed_step, scanned, {})):

        def states(function, y0, options=options):
            found = function(decay, y0, jnp.asarray(TIMES), 0.5, **options)
            return getattr(found, "states", found)

        alone = np.stack([states(compiled, one) for one in starts])
        np.testing.assert_allclose(states(plain, jnp.asarray(starts[1])), alone[1], rtol=1e-8)
        together = jax.jit(jax.vmap(functools.partial(states, plain)))
        np.testing.assert_allclose(together(starts), alone, rtol=1e-8)


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_problem_is_refused():
    with pytest.raises(ValueError, match=r"times must be \[times\], two at least, got \(1,\)"):
        solve(decay, jnp.array([1.0]), jnp.array([0.0]), 1.0)
    with pytest.raises(ValueError, match=r"rtol must be > 0, got 0"):
        Solver(rtol=0)
    with pytest.raises(ValueError, match=r"step must be > 0, or None for a step that adapts, got -1"):
        Solver(step=-1)
    with pytest.raises(ValueError, match=r"substeps must be >= 1, got 0"):
        fixed_step(decay, jnp.array([1.0]), jnp.asarray(TIMES), 1.0, substeps=0)


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(system, id=system.name, marks=() if system == systems.LORENZ else pytest.mark.slow)
        for system in systems.SYSTEMS
    ],
)
def test_trajectories_are_as_exact_as_their_tolerance_says(system):
    """Half of it, and another program's, change less than 1e-7 of the standard deviation."""

    @jax.jit
    def found(key):
        states = system.trajectories(key, 2)
        return states, system.trajectories(key, 2, tolerance=systems.TOLERANCE / 2), system.slopes(states)

    states, halved, slopes = (np.asarray(one) for one in found(jax.random.key(0)))
    deviation = np.std(states)
    assert np.max(np.abs(halved - states)) < 1e-7 * deviation
    field = right_hand_side(system.equations)
    want = solve_ivp(field, (0, system.duration), states[0, 0], "DOP853", times(system), rtol=1e-11, atol=1e-11)
    assert np.max(np.abs(want.y.T - states[0])) < 1e-6 * deviation
    np.testing.assert_allclose(slopes, field(0.0, states), rtol=1e-12, atol=1e-12 * np.max(np.abs(slopes)))


def test_noise_is_a_share_of_each_state():
    states = np.random.default_rng(0).standard_normal((4, 251, 3)) * [1.0, 8.0, 0.1] + [0.0, 25.0, 1.0]
    noise = systems.with_noise(jnp.asarray(states), jax.random.key(1), level=0.05) - states
    np.testing.assert_allclose(np.std(noise, axis=(0, 1)) / np.std(states, axis=(0, 1)), 0.05, rtol=0.1)


def test_trajectories_in_single_precision_are_refused():
    with jax.enable_x64(False), pytest.raises(TypeError, match=r"initial must be of float64, got float32"):
        systems.DUFFING.trajectories(jax.random.key(0), 1)
