"""Projectors: values by hand, what ideal ones keep, float64 oracles, both routes, gradients, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import projector
from jaxkd.models.checkpoints import weights
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted
from tests.losses.divergence.distributions import log_probs as log_softmax

V, NARROW, WIDE = 40, 3, 5

project, centred = jitted(projector.project), jitted(projector.centred)
ideal_step, gram_inverse = jitted(projector.ideal_step), jitted(projector.gram_inverse)


def head(seed, width, rows=V):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def inside(head_out, width, seed=9):
    """A head whose logits all lie within what `head_out` can say."""
    mixture = np.random.default_rng(seed).normal(size=(head_out.shape[1], width))
    return (head_out.astype(np.float64) @ mixture).astype(np.float32)


def case(seed=0, leading=(2, 3)):
    rng = np.random.default_rng(seed)
    params = {"weight": rng.normal(size=(WIDE, NARROW)), "bias": rng.normal(size=NARROW)}
    values = rng.normal(size=(*leading, WIDE))
    return jax.tree.map(np.float32, (params, values))


def relative_error(found, exact):
    return np.linalg.norm(np.asarray(found, np.float64) - exact) / np.linalg.norm(exact)


def test_project_by_hand_and_onto_itself():
    params = {"weight": np.float32([[1, 0, 2], [0, 1, 0]]), "bias": np.float32([1, 1, 0])}
    np.testing.assert_array_equal(project(params, np.float32([3, 5])), [4, 6, 6])
    _, values = case(5)
    np.testing.assert_array_equal(project({"weight": np.eye(WIDE, dtype=np.float32)}, values), values)


def test_project_equals_float64_numpy_with_and_without_bias():
    params, values = case()
    exact = values.astype(np.float64) @ params["weight"].astype(np.float64)
    np.testing.assert_allclose(project({"weight": params["weight"]}, values), exact, rtol=1e-5, atol=1e-6)
    exact = exact + params["bias"].astype(np.float64)
    np.testing.assert_allclose(project(params, values), exact, rtol=1e-5, atol=1e-6)


def test_what_a_mask_excludes_reaches_neither_values_nor_gradients():
    params, values = case()
    mask = jnp.array([[True, False, True], [False, True, True]])

    def masked(params, values):
        return jnp.sum(projector.project(params, values, mask) ** 2, where=mask[..., None])

    filled = np.where(mask[..., None], values, np.nan)
    gradients = [jax.grad(masked, (0, 1))(params, values) for values in (filled, np.where(mask[..., None], values, 7))]
    jax.tree.map(np.testing.assert_array_equal, *gradients)
    np.testing.assert_array_equal(project(params, filled, mask)[mask], project(params, values)[mask])


def squares(params, values):
    return projector.project(params, values) ** 2


def test_project_has_the_gradient_of_a_product():
    with jax.enable_x64(True):
        sides = jax.tree.map(lambda leaf: leaf.astype(np.float64), case(1))
        for at in (0, 1):
            assert_equals_finite_differences(compiled(squares), *sides, at=at, rtol=1e-6, atol=1e-9, eps=1e-5)


def test_project_under_jit_and_vmap():
    params, values = jax.tree.map(np.float64, case(2))
    with jax.enable_x64(True):
        eager = projector.project(*jax.tree.map(jnp.asarray, (params, values)))
        loop = np.stack([project(params, row) for row in values])
        mapped = jax.jit(jax.vmap(projector.project, in_axes=(None, 0)))(params, values)
        for found in (project(params, values), mapped, loop):
            np.testing.assert_allclose(found, eager, rtol=1e-12, atol=1e-14)


def test_project_accumulates_in_float32_and_stays_bfloat16():
    """One rounding, that of the result: half of bfloat16's spacing, 2**-8 of the value."""
    params, values = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), case(3))
    found = project(params, values)
    assert found.dtype == jnp.bfloat16
    exact = project(*jax.tree.map(lambda leaf: leaf.astype(np.float32), (params, values)))
    np.testing.assert_allclose(found.astype(np.float32), exact, rtol=2**-8)


@pytest.mark.parametrize("size", [0.0, 1e4])
def test_project_of_zero_and_large_hiddens_is_finite(size):
    params, values = case(4)
    for leaf in jax.tree.leaves(compiled(squares)(params, values * np.float32(size))):
        assert np.isfinite(leaf).all()


def test_uniform_init_has_torchs_bounds_and_spread():
    params = projector.uniform_init(jax.random.key(0), 25, 400)
    assert {name: leaf.shape for name, leaf in params.items()} == {"weight": (25, 400), "bias": (400,)}
    for leaf in params.values():
        assert leaf.dtype == jnp.float32
        assert 0.19 < np.abs(leaf).max() <= 0.2
        np.testing.assert_allclose(np.std(leaf), 0.2 / np.sqrt(3), rtol=0.1)
    assert (np.asarray(params["bias"]) != np.asarray(params["weight"])[0]).any()


def test_uniform_init_without_bias_and_with_another_key():
    one, other = (projector.uniform_init(jax.random.key(n), 1, 1, bias="none") for n in (0, 1))
    assert {name: leaf.shape for name, leaf in one.items()} == {"weight": (1, 1)}
    assert (np.asarray(one["weight"]) != np.asarray(other["weight"])).all()


def test_ideal_init_by_hand():
    """Logits (a, b, a + b) of a width of 2; the head in says 2a + 3b of them."""
    head_out = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    head_in = head_out @ np.array([[2.0], [3.0]])
    np.testing.assert_allclose(projector.ideal_init(head_in, head_out)["weight"], [[2, 3]], atol=1e-12)


@pytest.mark.parametrize(("width_in", "width_out"), [(WIDE, NARROW), (NARROW, WIDE), (NARROW, NARROW)])
def test_logits_stay_where_the_other_head_can_say_them(width_in, width_out):
    head_out = head(0, width_out).astype(np.float64)
    head_in = head_out @ np.random.default_rng(1).normal(size=(width_out, width_in))
    values = np.random.default_rng(2).normal(size=(7, width_in))
    moved = values @ projector.ideal_init(head_in, head_out)["weight"]
    np.testing.assert_allclose(moved @ head_out.T, values @ head_in.T, rtol=1e-9, atol=1e-9)


def test_logits_are_the_least_squares_fit_elsewhere():
    head_in, head_out = head(0, WIDE), head(1, NARROW)
    exact, *_ = np.linalg.lstsq(head_out.astype(np.float64), head_in.astype(np.float64), rcond=None)
    np.testing.assert_allclose(projector.ideal_init(head_in, head_out)["weight"], exact.T, rtol=1e-9, atol=1e-12)


def test_a_head_onto_itself_is_the_identity():
    found = projector.ideal_init(head(0, WIDE), head(0, WIDE))["weight"]
    np.testing.assert_allclose(found, np.eye(WIDE), atol=1e-9)
    step = ideal_step(head(0, WIDE), head(0, WIDE), projector.gram_inverse(head(0, WIDE)))["weight"]
    np.testing.assert_allclose(step, np.eye(WIDE), atol=1e-5)


def test_gram_inverse_and_ideal_step_by_hand_and_in_float64():
    head_out = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], np.float32)
    inverse = projector.gram_inverse(head_out)
    np.testing.assert_allclose(inverse, [[1, 0], [0, 0.25]], rtol=1e-6)
    head_in = np.array([[3.0], [8.0], [5.0]], np.float32)
    np.testing.assert_allclose(ideal_step(head_in, head_out, inverse)["weight"], [[3, 4]], rtol=1e-6)
    rows = head(0, WIDE)
    exact = np.linalg.pinv(rows.astype(np.float64).T @ rows.astype(np.float64))
    np.testing.assert_allclose(gram_inverse(rows), exact, rtol=1e-4, atol=1e-6)
    on_the_host = projector.gram_inverse(rows)
    assert isinstance(on_the_host, np.ndarray) and on_the_host.dtype == np.float64
    np.testing.assert_allclose(on_the_host, exact, rtol=1e-9)


def test_the_rows_of_a_large_head_are_multiplied_once_each():
    rows = np.random.default_rng(0).normal(size=(8200, 2)).astype(np.float32)
    exact = np.linalg.inv(rows.astype(np.float64).T @ rows.astype(np.float64))
    np.testing.assert_allclose(projector.gram_inverse(rows), exact, rtol=1e-9)


def test_shared_rows_of_different_vocabularies_are_multiplied_without_copies_of_the_heads():
    random = np.random.default_rng(7)
    head_in, head_out = (random.normal(size=size).astype(np.float32) for size in ((5000, 3), (6000, 4)))
    ids = random.permutation(5000)[:4500], random.permutation(6000)[:4500]
    inverse = projector.gram_inverse(head_out[ids[1]])
    found = ideal_step(head_in, head_out, inverse, rows=ids)["weight"]
    expected = projector.ideal_init(head_in[ids[0]], head_out[ids[1]])["weight"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    padded = tuple(np.pad(one, (0, 700), constant_values=-1) for one in ids)
    again = ideal_step(head_in, head_out, inverse, rows=padded)["weight"]
    np.testing.assert_allclose(again, found, atol=1e-6)


def test_there_and_back_is_the_identity_for_a_narrow_model_within_a_wide_one():
    teacher = head(0, WIDE)
    student = inside(teacher, NARROW).astype(np.float64)
    s2t = projector.ideal_init(student, teacher.astype(np.float64))["weight"]
    t2s = projector.ideal_init(teacher, student)["weight"]
    np.testing.assert_allclose(s2t @ t2s, np.eye(NARROW), atol=1e-5)


def test_rows_of_zeros_are_as_if_absent():
    head_in, head_out = head(0, WIDE), head(1, NARROW)
    padded = [np.pad(each, ((0, 8), (0, 0))) for each in (head_in, head_out)]
    exact = projector.ideal_init(head_in, head_out)["weight"]
    np.testing.assert_allclose(projector.ideal_init(*padded)["weight"], exact, rtol=1e-9, atol=1e-12)
    found = ideal_step(*padded, projector.gram_inverse(padded[1]))["weight"]
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


def test_a_rank_deficient_head_gets_the_smallest_weight_that_fits():
    """Without a cut-off, rounding in the dependent column would be amplified without limit."""
    head_out = head(1, NARROW)
    head_out = np.concatenate([head_out, head_out[:, :1] + head_out[:, 1:2]], axis=1)
    head_in = inside(head_out, WIDE)
    exact, _, rank, _ = np.linalg.lstsq(head_out.astype(np.float64), head_in.astype(np.float64), rcond=1e-3)
    assert rank == NARROW
    found = projector.ideal_init(head_in, head_out)["weight"]
    np.testing.assert_allclose(found, exact.T, rtol=1e-9, atol=1e-9)
    by_gram = ideal_step(head_in, head_out, projector.gram_inverse(head_out))["weight"]
    np.testing.assert_allclose(by_gram, found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("rtol", "rank"), [(1e-3, 3), (0.05, 2), (0.5, 1)])
def test_the_cut_off_means_the_same_on_both_routes(rtol, rank):
    rng = np.random.default_rng(3)
    left, right = np.linalg.qr(rng.normal(size=(V, 3)))[0], np.linalg.qr(rng.normal(size=(3, 3)))[0]
    head_out = (left * [1.0, 0.1, 0.01] @ right).astype(np.float32)
    head_in = inside(head_out, WIDE)
    found = projector.ideal_init(head_in, head_out, rtol=rtol)["weight"]
    assert np.linalg.matrix_rank(found, tol=1e-6) == rank
    inverse = projector.gram_inverse(head_out, rtol=rtol)
    np.testing.assert_allclose(ideal_step(head_in, head_out, inverse)["weight"], found, rtol=1e-3, atol=2e-3)


def test_a_head_of_zeros_gives_zeros():
    zeros = np.zeros((V, NARROW), np.float32)
    assert (projector.ideal_init(head(0, WIDE), zeros)["weight"] == 0).all()
    inverse = projector.gram_inverse(zeros)
    assert (inverse == 0).all()
    assert (ideal_step(head(0, WIDE), zeros, inverse)["weight"] == 0).all()


def test_the_reference_codes_cut_off_is_torchs():
    assert projector.torch_rtol(np.zeros((8, 300))) == 300 * 2.0**-23
    np.testing.assert_allclose(projector.torch_rtol(np.zeros((151_936, 8))), 0.018, rtol=0.01)


@pytest.mark.parametrize("condition", [1.0, 10.0, 100.0])
def test_ideal_step_is_within_its_bound_of_the_float64_route(condition):
    rng = np.random.default_rng(4)
    left, right = np.linalg.qr(rng.normal(size=(500, 16)))[0], np.linalg.qr(rng.normal(size=(16, 16)))[0]
    head_out = (left * np.geomspace(1, 1 / condition, 16) @ right).astype(np.float32)
    head_in = inside(head_out, 6)
    found = ideal_step(head_in, head_out, projector.gram_inverse(head_out))["weight"]
    assert relative_error(found, projector.ideal_init(head_in, head_out)["weight"]) < 1e-6 * condition**2


def test_ideal_step_under_jit_and_vmap():
    heads_in, heads_out = (np.stack([head(seed, width) for seed in (5, 6)]) for width in (WIDE, NARROW))
    inverses = np.stack([gram_inverse(each) for each in heads_out])
    eager = projector.gram_inverse(jnp.asarray(heads_out[0]))
    np.testing.assert_allclose(inverses[0], eager, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(jax.jit(jax.vmap(projector.gram_inverse))(heads_out), inverses, rtol=1e-4, atol=1e-7)
    steps = [ideal_step(*each)["weight"] for each in zip(heads_in, heads_out, inverses, strict=True)]
    mapped = jax.jit(jax.vmap(projector.ideal_step))(heads_in, heads_out, inverses)["weight"]
    np.testing.assert_allclose(mapped, np.stack(steps), rtol=1e-5, atol=1e-6)
    eager = projector.ideal_step(*map(jnp.asarray, (heads_in[0], heads_out[0], inverses[0])))["weight"]
    np.testing.assert_allclose(steps[0], eager, rtol=1e-5, atol=1e-6)


def test_no_gradient_reaches_either_head_even_where_eigenvalues_coincide():
    def step(head_in, head_out):
        return projector.ideal_step(head_in, head_out, projector.gram_inverse(head_out))["weight"]

    _, gradients = compiled(step)(head(0, WIDE), np.eye(V, NARROW, dtype=np.float32))
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)


def test_bfloat16_heads_are_multiplied_in_float32():
    heads = [head(seed, width).astype(jnp.bfloat16) for seed, width in ((7, WIDE), (8, NARROW))]
    found = ideal_step(*heads, gram_inverse(heads[1]))["weight"]
    assert found.dtype == jnp.float32
    exact = projector.ideal_init(*heads)["weight"]
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1e-4, 1e4])
def test_the_size_of_a_head_does_not_matter(size):
    head_in, head_out = head(0, WIDE), head(1, NARROW)
    found = ideal_step(head_in, size * head_out, projector.gram_inverse(size * head_out))["weight"]
    assert relative_error(found, projector.ideal_init(head_in, head_out)["weight"] / size) < 1e-5


def test_token_rows_by_count_and_by_ids():
    whole = head(0, NARROW)
    np.testing.assert_array_equal(projector.token_rows(whole, 7), whole[:7])
    np.testing.assert_array_equal(projector.token_rows(whole, np.array([5, 0, 5])), whole[[5, 0, 5]])
    on_device = projector.token_rows(jnp.asarray(whole), np.array([5, 0, 5]))
    np.testing.assert_array_equal(on_device, whole[[5, 0, 5]])


def test_heads_padded_differently_fit_over_the_rows_they_share():
    teacher, student = head(0, WIDE, V + 8), head(1, NARROW)
    found = projector.ideal_init(projector.token_rows(teacher, V), student)["weight"]
    np.testing.assert_array_equal(found, projector.ideal_init(teacher[:V], student)["weight"])


def test_an_overlap_fits_whatever_the_ids_are():
    rng = np.random.default_rng(5)
    student_ids, teacher_ids = rng.permutation(V)[:30], rng.permutation(V)[:30]
    student, teacher = head(1, NARROW), head(0, WIDE)
    teacher[teacher_ids] = inside(student, WIDE)[student_ids]
    shared = projector.token_rows(teacher, teacher_ids), projector.token_rows(student, student_ids)
    weight = projector.ideal_init(*shared)["weight"]
    values = rng.normal(size=(4, WIDE))
    exact = values @ teacher[teacher_ids].T
    np.testing.assert_allclose((values @ weight) @ student[student_ids].T, exact, rtol=1e-4, atol=1e-5)


def test_centred_heads_have_the_same_softmax_and_fit_it_better():
    teacher = head(0, WIDE) + np.random.default_rng(6).normal(size=(1, WIDE)).astype(np.float32) * 10
    student, values = head(1, NARROW), np.random.default_rng(7).normal(size=(6, WIDE))
    logits, logits_of_centred = values @ teacher.T, values @ centred(teacher).T
    np.testing.assert_allclose(np.exp(log_softmax(logits_of_centred)), np.exp(log_softmax(logits)), atol=1e-5)

    def error(weight):
        difference = (values @ weight) @ student.T - values @ teacher.T
        return (difference - difference.mean(-1, keepdims=True)).std()

    plain = projector.ideal_init(teacher, student)["weight"]
    better = projector.ideal_init(centred(teacher), centred(student))["weight"]
    assert error(better) < 0.6 * error(plain)
    by_gram = ideal_step(centred(teacher), student, gram_inverse(centred(student)))["weight"]
    np.testing.assert_allclose(by_gram, better, rtol=1e-3, atol=1e-4)


def test_centred_by_hand_twice_and_under_transforms():
    np.testing.assert_array_equal(centred(np.float32([[1, 5], [3, 5]])), [[-1, 0], [1, 0]])
    heads = np.stack([head(seed, NARROW) for seed in (0, 1)]).astype(np.float64)
    exact = heads - heads.mean(1, keepdims=True)
    with jax.enable_x64(True):
        once = centred(heads[0])
        for found in (once, centred(once), projector.centred(jnp.asarray(heads[0]))):
            np.testing.assert_allclose(found, exact[0], atol=1e-14)
        np.testing.assert_allclose(jax.jit(jax.vmap(projector.centred))(heads), exact, atol=1e-14)
    for size in np.float32([1, 1e4]):
        np.testing.assert_allclose(centred(size * np.float32(heads[0])), size * exact[0], rtol=1e-4, atol=1e-6 * size)

    def sines(rows):
        return jnp.sin(projector.centred(rows))

    assert_equals_finite_differences(compiled(sines), np.float32(heads[0]), rtol=2e-3, atol=2e-3, eps=2**-11)


def test_lost_share_by_hand_and_at_both_ends():
    teacher, student = np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]]), np.array([[1.0], [-1.0], [0.0]])
    assert projector.lost_share(projector.ideal_init(teacher, student), teacher, student) == 0.75
    wide = head(0, WIDE)
    assert projector.lost_share({"weight": np.eye(WIDE)}, wide, wide) == 0
    assert projector.lost_share({"weight": np.zeros((WIDE, WIDE))}, wide, wide) == pytest.approx(1)
    assert projector.lost_share({"weight": np.zeros((WIDE, WIDE))}, 0 * wide, wide) == 0


def test_lost_share_is_that_of_many_hidden_states_in_float64(monkeypatch):
    monkeypatch.setattr(projector.ideal, "_SHARED_ROWS", 7)  # several chunks, the last one shorter
    teacher, student = head(0, WIDE) + 3, head(1, NARROW)
    found = projector.ideal_init(teacher, student)
    values = np.linalg.qr(np.random.default_rng(2).normal(size=(WIDE, WIDE)))[0]
    wanted, kept = values @ teacher.T.astype(np.float64), values @ found["weight"] @ student.T.astype(np.float64)
    expected = (wanted - kept).var(axis=1).sum() / wanted.var(axis=1).sum()
    assert projector.lost_share(found, teacher, student) == pytest.approx(expected, rel=1e-9)
    rows = np.concatenate([teacher, teacher]), np.concatenate([student, student])
    assert projector.lost_share(found, *rows) == pytest.approx(expected, rel=1e-9)
    for size in (1e-4, 1e4):
        assert projector.lost_share(found, size * teacher, size * student) == pytest.approx(expected, rel=1e-6)


def test_bfloat16_is_centred_in_float32():
    found = centred(head(0, NARROW).astype(jnp.bfloat16))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)


@pytest.mark.slow
def test_smollm2s_head_leads_there_and_back(smollm2_folder):
    """All 49,152 tokens of a real head, its condition number 91, over the route that a step takes."""
    teacher = weights.Weights(smollm2_folder).mapped("model.embed_tokens.weight").astype(np.float32)
    student = inside(teacher, 16)
    found = ideal_step(student, teacher, projector.gram_inverse(teacher))["weight"]
    mixture = np.random.default_rng(9).normal(size=(576, 16))
    assert relative_error(found, mixture.T) < 5e-4
    assert relative_error(teacher[::50] @ found.T, student[::50]) < 5e-4
    t2s = ideal_step(teacher, student, projector.gram_inverse(student))["weight"]
    assert relative_error(t2s, projector.ideal_init(teacher, student)["weight"]) < 1e-4


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: projector.project({"weight": jnp.ones((5, 3))}, jnp.ones((2, 4))),
            ValueError,
            "values must have the width that the projector takes, 5, got 4. t2s takes the teacher's",
        ),
        (
            lambda: projector.uniform_init(jax.random.key(0), 0, 3),
            ValueError,
            "width_in and width_out must be at least 1, got 0 and 3",
        ),
        (
            lambda: projector.uniform_init(jax.random.key(0), 2, 3, bias="zero"),
            ValueError,
            "bias must be one of uniform, none, got 'zero'",
        ),
        (
            lambda: projector.token_rows(head(0, 3), 41),
            ValueError,
            "rows must be from 1 to the 40 rows of the head, got 41",
        ),
        (
            lambda: projector.token_rows(head(0, 3), 0),
            ValueError,
            "rows must be from 1 to the 40 rows of the head, got 0",
        ),
        (
            lambda: projector.token_rows(head(0, 3), np.array([0, 40])),
            ValueError,
            r"rows must be ids from 0 to 39, the rows of the head, got 0 to 40. Student ids go with",
        ),
        (
            lambda: projector.token_rows(head(0, 3), np.array([3, -1])),
            ValueError,
            "rows must be ids from 0 to 39, the rows of the head, got -1 to 3",
        ),
        (
            lambda: projector.token_rows(head(0, 3), np.zeros(0, np.int32)),
            ValueError,
            "rows must name at least one token, got none. .* start from uniform_init",
        ),
        (
            lambda: projector.token_rows(head(0, 3), np.array([True, False])),
            TypeError,
            "rows must be token ids of an integer dtype, got bool",
        ),
        (
            lambda: projector.ideal_init(head(0, 3), head(0, 3, rows=41)),
            ValueError,
            "must have one row for each shared token, got 40 and 41 rows. Take the shared rows of both with token_rows",
        ),
        (
            lambda: projector.ideal_step(head(0, 3), head(0, 3, rows=41), np.eye(3)),
            ValueError,
            "must have one row for each shared token, got 40 and 41 rows",
        ),
        (
            lambda: projector.ideal_step(head(0, 3), head(0, 3), np.eye(3), rows=(np.arange(4), np.arange(3))),
            ValueError,
            "rows must name each shared token in both heads, got 4 and 3 ids",
        ),
        (
            lambda: projector.ideal_step(head(0, 5), head(0, 3), np.eye(5)),
            ValueError,
            r"inverse must be gram_inverse\(head_out\), of shape \(3, 3\), got \(5, 5\). It belongs to head_out",
        ),
        (
            lambda: projector.ideal_init(head(0, 3), head(0, 3), rtol=0.0),
            ValueError,
            r"rtol must be in \(0, 1\), a share of the largest singular value, got 0.0. 0.001 is the default",
        ),
        (
            lambda: projector.gram_inverse(head(0, 3), rtol=1.0),
            ValueError,
            r"rtol must be in \(0, 1\), a share of the largest singular value, got 1.0",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
