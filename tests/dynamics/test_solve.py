"""Initial value problems, by Diffrax and by scans of equal steps."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import solve_ivp

from jaxkd.dynamics import EULER, RK4, Solver, fixed_step, solve, systems

TIMES = np.linspace(0.0, 2.0, 9)


def decay(t, y, rate):
    return -rate * y


def pendulum(t, y, args):
    return jnp.stack([y[1], -jnp.sin(y[0]) + 0.1 * jnp.cos(t)])


def test_hand_values():
    got = solve(decay, jnp.array([2.0]), jnp.array([0.0, 1.0]), 0.5, solver=Solver(rtol=1e-10))
    np.testing.assert_allclose(got.states, [[2], [2 * np.exp(-0.5)]], rtol=1e-9)
    assert got.succeeded
    euler = fixed_step(decay, jnp.array([1.0]), jnp.array([0.0, 0.5, 1.0]), 1.0, method=EULER)
    np.testing.assert_allclose(euler[:, 0], [1, 0.5, 0.25])


@pytest.mark.parametrize(("method", "order"), [(EULER, 1), (RK4, 4)], ids=["euler", "rk4"])
def test_the_error_of_fixed_steps_falls_with_their_order(method, order):
    exact = solve(pendulum, jnp.array([1.0, 0.0]), jnp.asarray(TIMES), solver=Solver(rtol=1e-12, atol=1e-12)).states
    errors = [
        np.max(np.abs(fixed_step(pendulum, exact[0], jnp.asarray(TIMES), method=method, substeps=n) - exact))
        for n in (4, 8, 16)
    ]
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(slopes, order, atol=0.25)


@pytest.mark.parametrize(
    "method", [diffrax.Tsit5(), diffrax.Dopri8(), diffrax.Kvaerno5()], ids=lambda m: type(m).__name__
)
def test_both_equal_scipy(method):
    want = solve_ivp(
        lambda t, y: np.asarray(pendulum(t, y, None)), (0, 2), [1.0, 0.0], "DOP853", TIMES, rtol=1e-11, atol=1e-11
    )
    got = solve(pendulum, jnp.array([1.0, 0.0]), jnp.asarray(TIMES), solver=Solver(method=method, rtol=1e-8))
    np.testing.assert_allclose(got.states, want.y.T, atol=1e-6)
    scanned = fixed_step(pendulum, jnp.array([1.0, 0.0]), jnp.asarray(TIMES), substeps=20)
    np.testing.assert_allclose(scanned, want.y.T, atol=1e-7)


@pytest.mark.parametrize(
    "adjoint",
    [diffrax.RecursiveCheckpointAdjoint(), diffrax.BacksolveAdjoint(), diffrax.DirectAdjoint()],
    ids=lambda adjoint: type(adjoint).__name__,
)
def test_gradients_of_every_adjoint_are_the_exact_one(adjoint):
    """d/da of y0 exp(-a t) is -t times it."""
    solver = Solver(adjoint=adjoint, rtol=1e-9, atol=1e-9, most_steps=64)
    slope = jax.grad(
        lambda rate: solve(decay, jnp.array([2.0]), jnp.array([0.0, 1.5]), rate, solver=solver).states[1, 0]
    )
    np.testing.assert_allclose(slope(0.5), -1.5 * 2 * np.exp(-0.75), rtol=1e-6)


def test_forward_mode():
    solver = Solver(adjoint=diffrax.ForwardMode(), rtol=1e-9)
    slope = jax.jacfwd(lambda rate: solve(decay, jnp.array([2.0]), jnp.array([0.0, 1.5]), rate, solver=solver).states)
    np.testing.assert_allclose(slope(0.5)[1, 0], -3 * np.exp(-0.75), rtol=1e-6)


def test_gradient():
    check_grads(
        jax.jit(lambda y0, rate: fixed_step(decay, y0, jnp.asarray(TIMES), rate)), (jnp.array([1.0]), 0.7), order=1
    )


def test_a_solution_that_diverges_says_so_and_raises_nothing():
    got = solve(lambda t, y, args: y**2, jnp.array([1.0]), jnp.array([0.0, 0.5, 2.0]), solver=Solver(most_steps=200))
    assert not got.succeeded
    np.testing.assert_allclose(got.states[1], 2, rtol=1e-4)
    assert not np.isfinite(got.states[2, 0])
    scanned = fixed_step(lambda t, y, args: y**2, jnp.array([1.0]), jnp.linspace(0.0, 4.0, 80))
    assert not np.isfinite(scanned[-1, 0])


def test_a_stop_ends_a_solution():
    fallen = Solver(stop=lambda t, y, args, **kwargs: y[0] < 0)
    got = solve(lambda t, y, args: jnp.array([-1.0]), jnp.array([1.0]), jnp.linspace(0.0, 9.0, 10), solver=fallen)
    assert got.succeeded
    assert np.isfinite(got.states[0, 0])
    assert not np.isfinite(got.states[-1, 0])


def test_fixed_steps_of_diffrax_are_ours():
    solver = Solver(method=diffrax.Euler(), step=0.25)
    got = solve(pendulum, jnp.array([1.0, 0.0]), jnp.asarray(TIMES), solver=solver).states
    np.testing.assert_allclose(got, fixed_step(pendulum, got[0], jnp.asarray(TIMES), method=EULER), rtol=1e-12)


def test_transforms_change_nothing():
    starts, times = jnp.array([[1.0], [2.0]]), jnp.asarray(TIMES)
    for function in (
        lambda y0: solve(decay, y0, times, 0.5, solver=Solver(rtol=1e-9)).states,
        lambda y0: fixed_step(decay, y0, times, 0.5),
    ):
        alone = jnp.stack([function(one) for one in starts])
        np.testing.assert_allclose(jax.jit(jax.vmap(function))(starts), alone, rtol=1e-8)


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


@pytest.mark.parametrize("system", systems.SYSTEMS, ids=lambda system: system.name)
def test_trajectories_are_as_exact_as_their_tolerance_says(system):
    """Half of it, and another program's, change less than 1e-7 of the spread."""
    states = system.trajectories(jax.random.key(0), 2)
    spread = np.std(states)
    halved = system.trajectories(jax.random.key(0), 2, tolerance=systems.TOLERANCE / 2)
    assert np.max(np.abs(halved - states)) < 1e-7 * spread
    field = system.equations.vector_field()
    once = jax.jit(field)
    want = solve_ivp(
        lambda t, y: np.asarray(once(t, y)), (0, system.duration), np.asarray(states[0, 0]), "DOP853",
        np.linspace(0, system.duration, system.samples), rtol=1e-11, atol=1e-11,
    )  # fmt: skip
    assert np.max(np.abs(want.y.T - states[0])) < 1e-6 * spread
    np.testing.assert_allclose(system.slopes(states)[1, 3], field(0.0, states[1, 3]))


def test_noise_is_a_share_of_each_state():
    states = systems.LORENZ.trajectories(jax.random.key(0), 4)
    noise = systems.with_noise(states, jax.random.key(1), level=0.05) - states
    np.testing.assert_allclose(np.std(noise, axis=(0, 1)) / np.std(states, axis=(0, 1)), 0.05, rtol=0.1)


def test_trajectories_in_single_precision_are_refused():
    with jax.enable_x64(False), pytest.raises(TypeError, match=r"initial must be of float64, got float32"):
        systems.DUFFING.trajectories(jax.random.key(0), 1)
