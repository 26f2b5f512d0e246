"""Schedules against hand values, AdamW against its formula in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxkd.training import Group, Optimizer
from jaxkd.training.optimizer import build, ema_update, learning_rate_at

QUARTER_COSINE = 0.5 * (1 + np.sqrt(0.5))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", {0: 0.0, 2: 1.0, 4: 2.0, 8: 2.0, 12: 2.0, 20: 2.0}),
        ("linear", {0: 0.0, 2: 1.0, 4: 2.0, 6: 1.6, 8: 1.2, 12: 0.4, 20: 0.4}),
        ("cosine", {0: 0.0, 2: 1.0, 4: 2.0, 6: 0.4 + 1.6 * QUARTER_COSINE, 8: 1.2, 12: 0.4, 20: 0.4}),
        ("wsd", {0: 0.0, 2: 1.0, 4: 2.0, 8: 2.0, 10: 1.2, 12: 0.4, 20: 0.4}),
    ],
)
def test_schedule_matches_hand_values(schedule, expected):
    optimizer = Optimizer(learning_rate=2.0, schedule=schedule, warmup_steps=4, final_fraction=0.2, decay_steps=4)
    measured = {step: float(learning_rate_at(optimizer, 12, step)) for step in expected}
    assert measured == pytest.approx(expected, abs=1e-6)


def test_the_periodic_cosine_rises_again():
    optimizer = Optimizer(
        learning_rate=2.0, schedule="periodic_cosine", warmup_steps=2, final_fraction=0.2, half_period_steps=4
    )
    expected = {0: 0.0, 1: 1.0, 2: 2.0, 3: 0.4 + 1.6 * QUARTER_COSINE, 4: 1.2, 6: 0.4, 8: 1.2, 10: 2.0, 14: 0.4}
    measured = {step: float(learning_rate_at(optimizer, 12, step)) for step in expected}
    assert measured == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_the_periodic_cosine_is_that_of_torch():
    """VFFM-UNet's schedule, 219 epochs of one step: the rate rises again after 50."""
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.SGD([parameter], lr=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=50, eta_min=1e-5)
    rates = []
    for _ in range(219):
        rates.append(schedule.get_last_lr()[0])
        theirs.step()
        schedule.step()
    ours = Optimizer(learning_rate=1e-4, schedule="periodic_cosine", half_period_steps=50, final_fraction=0.1)
    with jax.enable_x64(True):
        measured = learning_rate_at(ours, 219, np.arange(219))
    np.testing.assert_allclose(measured, rates, rtol=1e-6)


@pytest.mark.parametrize("half_period_steps", [None, 0])
def test_the_periodic_cosine_needs_a_period(half_period_steps):
    with pytest.raises(ValueError, match=r"half_period_steps must be 1 or more with the schedule periodic_cosine, got"):
        Optimizer(schedule="periodic_cosine", half_period_steps=half_period_steps)


def test_schedule_without_warmup_starts_at_the_peak():
    for schedule in ("constant", "linear", "cosine", "wsd"):
        assert float(learning_rate_at(Optimizer(learning_rate=3.0, schedule=schedule), 10, 0)) == 3.0


def test_wsd_decays_over_the_last_fifth_by_default():
    optimizer = Optimizer(learning_rate=1.0, schedule="wsd")
    assert [float(learning_rate_at(optimizer, 10, step)) for step in (7, 8, 9, 10)] == [1.0, 1.0, 0.5, 0.0]


def test_wsd_by_default_leaves_room_for_the_warmup():
    optimizer = Optimizer(learning_rate=1.0, schedule="wsd", warmup_steps=19)
    assert [float(learning_rate_at(optimizer, 20, step)) for step in (19, 20)] == [1.0, 0.0]


def test_schedule_under_jit_equals_eager():
    optimizer = Optimizer(warmup_steps=2)
    jitted = jax.jit(lambda step: learning_rate_at(optimizer, 9, step))
    for step in (1, 5):
        assert float(jitted(jnp.int32(step))) == pytest.approx(float(learning_rate_at(optimizer, 9, step)), rel=1e-6)


def _params(generator):
    scale, up, weight = (generator.normal(size=shape) for shape in ((2, 3), (2, 3), (3, 2)))
    return {
        "student": {"layers": {"attention_norm": {"scale": scale}, "up": up}},
        "projectors": {"t2s": {"weight": weight, "bias": generator.normal(size=2)}},
        "empty": {},
    }


def _adamw_oracle(params, gradients, optimizer, rates, decays):
    """AdamW on a flat dict, as the paper writes it, in NumPy float64."""
    mean = {name: np.zeros_like(value) for name, value in params.items()}
    square = {name: np.zeros_like(value) for name, value in params.items()}
    params = dict(params)
    for count, gradient in enumerate(gradients, start=1):
        norm = np.sqrt(sum(np.sum(value**2) for value in gradient.values()))
        scale = min(1.0, optimizer.clip_norm / norm)
        for name, value in gradient.items():
            mean[name] = optimizer.b1 * mean[name] + (1 - optimizer.b1) * scale * value
            square[name] = optimizer.b2 * square[name] + (1 - optimizer.b2) * (scale * value) ** 2
            direction = mean[name] / (1 - optimizer.b1**count)
            direction = direction / (np.sqrt(square[name] / (1 - optimizer.b2**count)) + optimizer.eps)
            params[name] = params[name] - rates[name][count - 1] * (direction + decays[name] * params[name])
    return params


def _flat(tree):
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def test_adamw_equals_its_formula_in_float64():
    optimizer = Optimizer(
        learning_rate=0.1,
        schedule="linear",
        warmup_steps=1,
        weight_decay=0.3,
        b1=0.8,
        b2=0.95,
        eps=1e-3,
        clip_norm=2.0,
        groups=(Group(name="projectors", learning_rate=0.02, weight_decay=0.7),),
    )
    generator = np.random.default_rng(0)
    params = _params(generator)
    gradients = [_params(generator), jax.tree.map(lambda leaf: 1e-2 * leaf, _params(generator)), _params(generator)]
    fractions = [0.0, 1.0, 2 / 3]
    names = _flat(params)
    rates = {name: [(0.02 if "projectors" in name else 0.1) * part for part in fractions] for name in names}
    decays = {name: 0.0 if "norm" in name or "bias" in name else 0.7 if "proj" in name else 0.3 for name in names}
    expected = _adamw_oracle(names, [_flat(gradient) for gradient in gradients], optimizer, rates, decays)

    with jax.enable_x64(True):
        transformation = build(optimizer, 4)
        measured = jax.tree.map(jnp.asarray, params)
        state = jax.jit(transformation.init)(measured)
        for gradient in gradients:
            updates, state = jax.jit(transformation.update)(jax.tree.map(jnp.asarray, gradient), state, measured)
            measured = optax.apply_updates(measured, updates)
        measured = _flat(measured)
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-12, err_msg=name)


def test_clipping_can_be_turned_off():
    params = {"student": {"up": jnp.ones(3)}}
    gradient = {"student": {"up": jnp.array([300.0, -400.0, 0.0])}}
    for clip_norm, expected in ((None, 0.1 * 300), (1.0, 0.1 * 0.6)):
        transformation = build(Optimizer(clip_norm=clip_norm, b1=0.9), 5)
        _, state = transformation.update(gradient, jax.jit(transformation.init)(params), params)
        moments = [leaf for name, leaf in _flat(state).items() if "mu/student" in name]
        assert moments[0][0] == pytest.approx(expected, rel=1e-6)


def test_update_takes_what_a_line_search_needs_and_donates_its_state():
    params = {"student": {"up": jnp.ones(3)}, "projectors": {"weight": jnp.ones(2)}}
    transformation = build(Optimizer(groups=(Group(name="projectors", learning_rate=1e-3),)), 5)
    state = jax.jit(transformation.init)(params)

    def step(params, state):
        def loss(params):
            return jnp.sum(params["student"]["up"] ** 2) + jnp.sum(params["projectors"]["weight"] ** 2)

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = transformation.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        return optax.apply_updates(params, updates), state

    new_params, _ = jax.jit(step, donate_argnums=(0, 1))(params, state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((params, state)))
    assert float(new_params["student"]["up"][0]) == pytest.approx(1 - 1e-4, rel=1e-6)


def test_unknown_group_lists_the_keys():
    transformation = build(Optimizer(groups=(Group(name="lora", learning_rate=1.0),)), 5)
    with pytest.raises(ValueError, match=r"groups must name top-level keys.*got lora\. Keys: student, projectors\."):
        transformation.init({"student": {}, "projectors": {}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "step"}, "schedule must be one of cosine, periodic_cosine, linear, constant, wsd, got 'step'"),
        ({"learning_rate": -1.0}, "learning_rate must be 0 or more, got -1.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be 0 or more, got nan"),
        ({"warmup_steps": -1}, "warmup_steps must be 0 or more, got -1"),
        ({"b2": 1.0}, "b2 must be at least 0 and below 1, got 1.0"),
        ({"final_fraction": 1.5}, "final_fraction must lie between 0 and 1, got 1.5"),
        ({"decay_steps": 0}, "decay_steps must be 1 or more, got 0"),
        ({"clip_norm": 0.0}, "clip_norm must be positive, got 0.0"),
        ({"groups": (Group(name="a", learning_rate=1.0),) * 2}, "groups must have different names, got a, a"),
    ],
)
def test_optimizer_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**fields)


def test_group_refuses_negative_values():
    with pytest.raises(ValueError, match="learning_rate of the group 'a' must be 0 or more, got -1"):
        Group(name="a", learning_rate=-1)
    with pytest.raises(ValueError, match="weight_decay of the group 'a' must be 0 or more, got -2"):
        Group(name="a", learning_rate=1, weight_decay=-2)


@pytest.mark.parametrize(
    ("fields", "steps", "message"),
    [
        ({}, 0, "steps must be 1 or more, got 0"),
        ({"warmup_steps": 5}, 5, "warmup_steps must be below steps, got 5 and 5"),
        (
            {"schedule": "wsd", "warmup_steps": 3, "decay_steps": 3},
            5,
            r"warmup_steps \+ decay_steps .* got 3 \+ 3 and 5",
        ),
    ],
)
def test_schedule_that_does_not_fit_is_refused(fields, steps, message):
    with pytest.raises(ValueError, match=message):
        build(Optimizer(**fields), steps)
    with pytest.raises(ValueError, match=message):
        learning_rate_at(Optimizer(**fields), steps, 0)


def test_ema_keeps_its_own_dtype():
    ema = {"up": jnp.array([1.0, 2.0]), "empty": {}}
    params = {"up": jnp.array([3.0, 2.0], jnp.bfloat16), "empty": {}}
    updated = ema_update(ema, params, 0.75)
    assert updated["up"].dtype == jnp.float32
    np.testing.assert_array_equal(updated["up"], [1.5, 2.0])


def test_ema_ends():
    ema, params = {"up": jnp.array([1.0])}, {"up": jnp.array([3.0])}
    assert float(ema_update(ema, params, 1.0)["up"][0]) == 1.0
    assert float(ema_update(ema, params, 0.0)["up"][0]) == 3.0
    with pytest.raises(ValueError, match=r"decay must lie between 0 and 1, got 1\.5"):
        ema_update(ema, params, 1.5)
