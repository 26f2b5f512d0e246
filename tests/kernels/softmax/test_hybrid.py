"""Distributions over two vocabularies, by token where both have it and by rank elsewhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import HybridChunk, SharedTokens, head_logits, linear_hybrid_distance, linear_rank_distance
from jaxkd.losses import ForwardKL, JensenShannon, ReverseKL, jensen_shannon
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import (
    assert_all_finite,
    assert_all_zero,
    assert_gradient_equals_finite_differences,
    assert_trees_close,
    cast,
    exact_log_probs,
    filled,
    float32,
    unless,
    with_head,
    with_values,
)
from tests.kernels.test_mesh import assert_equal, on_mesh
from tests.kernels.test_rank_distance import of_probs, pair, some_weights
from tests.memory import assert_never_as_large_as_the_logits

TOKENS, TOP = (3, 5), 4
CHUNK = HybridChunk(chunk=4)  # does not divide the 15 tokens
SHARED = SharedTokens(student_ids=np.array([0, 3, 4, 9, 12]), teacher_ids=np.array([20, 1, 0, 2, 11]))
NONE = SharedTokens(student_ids=np.zeros(0, int), teacher_ids=np.zeros(0, int))
ALL = SharedTokens(student_ids=np.arange(13), teacher_ids=np.arange(13))
WEIGHTS = {"matched_weight": 0.6, "unmatched_weight": 0.3}

every_top = pytest.mark.parametrize("top", [None, TOP], ids=["exact", "truncated"])
DIVERGENCES = {"forward": ForwardKL(), "reverse": ReverseKL(), "jensen_shannon": JensenShannon(beta=0.3)}


def scales(seed=0, tokens=TOKENS):
    """Some of them 0: of groups of one token."""
    rng = np.random.default_rng(seed + 50)
    return tuple(float32(-rng.uniform(0, 3, tokens) * (rng.random(tokens) < 0.6)) for _ in range(2))


@functools.cache
def compiled(top=None, divergence=DIVERGENCES["jensen_shannon"], implementation=CHUNK, shared=SHARED):
    """The loss, and the gradient of its total to both sides, both scales and the weights."""

    @jax.jit
    def run(student, teacher, ours, theirs, weights):
        def total(student, teacher, ours, theirs, weights):
            loss = linear_hybrid_distance(
                student,
                teacher,
                student_log_scale=ours,
                teacher_log_scale=theirs,
                weights=weights,
                shared=shared,
                divergence=divergence,
                top=top,
                implementation=implementation,
                **WEIGHTS,
            )
            return loss.total, loss

        given = student, teacher, ours, theirs, weights
        (_, loss), gradient = jax.value_and_grad(total, tuple(range(5)), has_aux=True)(*given)
        return loss, gradient

    return run


def case(seed=0, **options):
    """Both sides, their scales, and weights."""
    return *pair(seed, **options), *scales(seed), some_weights(seed)


def measures(student, teacher, ours, theirs):
    """Q and P in float64."""
    return tuple(
        np.exp(exact_log_probs(side) + np.asarray(scale, np.float64).reshape(-1, 1))
        for side, scale in ((student, ours), (teacher, theirs))
    )


def exact(q, p, name, shared=SHARED, top=None):
    """Matched and unmatched by definition, of a position each."""
    ours, theirs = q[:, shared.student_ids], p[:, shared.teacher_ids]
    mixed = 0.3 * theirs + 0.7 * ours
    matched = {
        "forward": theirs * np.log(theirs / ours),
        "reverse": ours * np.log(ours / theirs),
        "jensen_shannon": 0.3 * theirs * np.log(theirs / mixed) + 0.7 * ours * np.log(ours / mixed),
    }[name].sum(-1)
    rest = [-np.sort(-np.delete(one, ids, axis=1)) for one, ids in ((q, shared.student_ids), (p, shared.teacher_ids))]
    ranks = max(one.shape[1] for one in rest)
    rest = [np.pad(one, ((0, 0), (0, ranks - one.shape[1]))) for one in rest]
    top = ranks if top is None else top
    tails = [one[:, top:].sum(-1) for one in rest]
    return matched, np.abs(rest[0] - rest[1])[:, :top].sum(-1) + np.abs(tails[0] - tails[1])


def test_hand_values():
    @jax.jit
    def run(student, teacher, ours, theirs, weights):
        return linear_hybrid_distance(
            student,
            teacher,
            student_log_scale=ours,
            teacher_log_scale=theirs,
            weights=weights,
            shared=SharedTokens(student_ids=np.array([0]), teacher_ids=np.array([1])),
            divergence=ForwardKL(),
            matched_weight=0.4,
            unmatched_weight=0.6,
        )

    loss = run(of_probs(0.25, 0.75), of_probs(0.1, 0.5, 0.4), *np.log(np.float32([[0.5], [1]])), np.float32([2]))
    np.testing.assert_allclose(loss.matched, [0.5 * np.log(0.5 / 0.125)], rtol=1e-6)
    np.testing.assert_allclose(loss.unmatched, [abs(0.375 - 0.4) + 0.1], rtol=1e-5)
    np.testing.assert_allclose(loss.total, 2 * (0.4 * 0.5 * np.log(4) + 0.6 * 0.125), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "top"),
    [
        pytest.param(name, top, marks=unless(top is None or name == "jensen_shannon"))
        for name in DIVERGENCES
        for top in (None, TOP)
    ],
)
def test_equals_float64_numpy(name, top):
    student, teacher, ours, theirs, weights = case(1)
    loss, _ = compiled(top, DIVERGENCES[name])(student, teacher, ours, theirs, weights)
    expected = exact(*measures(student, teacher, ours, theirs), name, top=top)
    used = np.asarray(weights) != 0
    for found, values in zip((loss.matched, loss.unmatched), expected, strict=True):
        np.testing.assert_allclose(np.asarray(found)[used], values.reshape(TOKENS)[used], rtol=2e-6, atol=1e-6)
    distance = (0.6 * expected[0] + 0.3 * expected[1]).reshape(TOKENS)
    np.testing.assert_allclose(loss.total, (np.asarray(weights, np.float64) * distance).sum(), rtol=1e-6)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_gradient_is_that_of_all_logits_and_none_reaches_the_teacher(name):
    """The student's scale among it, by plain differentiation."""
    student, teacher, ours, theirs, weights = case(2)

    def dense(student, ours):
        q = jax.nn.log_softmax(head_logits(student)) + ours[..., None]
        p = jax.nn.log_softmax(head_logits(teacher)) + theirs[..., None]
        summands = DIVERGENCES[name].summands(q[..., SHARED.student_ids], p[..., SHARED.teacher_ids])
        rest = [
            -jnp.sort(-jnp.exp(jnp.delete(one, ids, axis=-1)))
            for one, ids in ((q, SHARED.student_ids), (p, SHARED.teacher_ids))
        ]
        rest[0] = jnp.pad(rest[0], ((0, 0), (0, 0), (0, rest[1].shape[-1] - rest[0].shape[-1])))
        distance = 0.6 * jnp.sum(summands, -1) + 0.3 * jnp.sum(jnp.abs(rest[0] - rest[1]), -1)
        return jnp.sum(weights * distance)

    _, (to_student, to_teacher, to_ours, to_theirs, to_weights) = compiled(None, DIVERGENCES[name])(
        student, teacher, ours, theirs, weights
    )
    expected = jax.jit(jax.grad(dense, (0, 1)))(student, ours)
    assert_trees_close((to_student, to_ours), expected)
    assert_all_zero((to_teacher, to_theirs, to_weights))


@every_top
def test_gradient_equals_finite_differences(top):
    student, teacher, *others = case(3)
    ours, *others = others
    _, (to_student, _, to_ours, *_) = compiled(top)(student, teacher, ours, *others)
    assert_gradient_equals_finite_differences(
        lambda student, ours: compiled(top)(student, teacher, ours, *others)[0].total,
        (student, ours),
        (to_student, to_ours),
    )


def test_without_shared_tokens_it_is_the_rank_distance_and_with_all_the_divergence():
    student, teacher, ours, _, weights = case(4)
    nothing = np.zeros(TOKENS, np.float32)
    loss, gradient = compiled(None, shared=NONE)(student, teacher, nothing, nothing, weights)
    np.testing.assert_array_equal(loss.matched, 0)
    ranks = jax.jit(functools.partial(linear_rank_distance, top=None))(student, teacher, weights=weights)
    np.testing.assert_allclose(loss.total, 0.3 * ranks.total, rtol=1e-6)
    one_vocabulary = pair(4, vocabularies=(13, 13), rows=(16, 16))
    loss, _ = compiled(None, shared=ALL)(*one_vocabulary, nothing, nothing, weights)
    np.testing.assert_allclose(loss.unmatched, 0, atol=1e-6)
    expected = jax.jit(lambda *sides: jensen_shannon(*map(head_logits, sides), beta=0.3))(*one_vocabulary)
    used = np.asarray(weights) != 0
    np.testing.assert_allclose(np.asarray(loss.matched)[used], np.asarray(expected)[used], rtol=1e-5, atol=1e-6)
    loss, gradient = compiled(None, shared=ALL)(one_vocabulary[0], one_vocabulary[0], ours, ours, weights)
    np.testing.assert_allclose(loss.total, 0, atol=1e-6)
    assert_trees_close(gradient[0], jax.tree.map(np.zeros_like, one_vocabulary[0]))
    np.testing.assert_allclose(gradient[2], 0, atol=1e-6)


def test_a_number_that_multiplies_both_multiplies_the_distance():
    """All parts are homogeneous, so that an unlikely condition weighs little."""
    student, teacher, ours, theirs, weights = case(5)
    loss, gradient = compiled()(student, teacher, ours, theirs, weights)
    half, half_gradient = compiled()(
        student, teacher, *(np.float32(scale - np.log(2)) for scale in map(np.asarray, (ours, theirs))), weights
    )
    np.testing.assert_allclose(half.total, loss.total / 2, rtol=1e-5)
    halved = jax.tree.map(lambda leaf: np.asarray(leaf) / 2, gradient[:4])
    assert_trees_close(half_gradient, (*halved, half_gradient[4]))


def test_the_bound_holds():
    *arguments, _ = case(6)
    everywhere = np.ones(TOKENS, np.float32)
    complete, _ = compiled()(*arguments, everywhere)
    for top in (1, TOP):
        loss, _ = compiled(top)(*arguments, everywhere)
        shortened, whole, bound = map(np.asarray, (loss.unmatched, complete.unmatched, loss.tail_bound))
        assert (shortened <= whole + 1e-6).all()
        assert (whole <= shortened + bound + 1e-6).all()
        assert bound.max() > 0
    assert_all_zero(complete.tail_bound)


@every_top
def test_what_a_masked_position_holds_does_not_matter_and_nothing_gives_zero(top):
    student, teacher, ours, theirs, weights = case(7)
    hole = np.asarray(weights) == 0
    expected = compiled(top)(student, teacher, ours, theirs, weights)
    for filling in (np.nan, 1e4):
        sides = (filled(side, hole, filling) for side in (student, teacher))
        loss, gradient = compiled(top)(*sides, ours, theirs, weights)
        np.testing.assert_array_equal(loss.total, expected[0].total)
        assert_trees_close(gradient[0], expected[1][0], rtol=1e-6, atol=1e-7)
        assert_trees_close(gradient[2], expected[1][2], rtol=1e-6, atol=1e-7)
    nothing, zero = compiled(top)(student, teacher, ours, theirs, np.zeros(TOKENS, np.float32))
    assert nothing.total == 0
    assert_all_zero(zero)


def test_no_size_of_a_chunk_and_no_row_behind_the_vocabulary_changes_anything():
    student, teacher, ours, theirs, weights = case(8)
    expected = compiled(TOP)(student, teacher, ours, theirs, weights)
    for implementation in (None, HybridChunk(chunk=1)):
        found = compiled(TOP, implementation=implementation)(student, teacher, ours, theirs, weights)
        assert_trees_close(found, expected)
    weight = np.array(student.head.weight)
    weight[13:] += 100
    found, gradient = compiled(TOP)(with_head(student, weight=weight), teacher, ours, theirs, weights)
    np.testing.assert_allclose(found.total, expected[0].total, rtol=1e-6)
    assert_all_zero(np.asarray(gradient[0].head.weight)[13:])


@every_top
def test_large_logits_and_impossible_conditions_are_finite_and_nan_is_not_hidden(top):
    student, teacher, ours, theirs, weights = case(9)
    far = with_values(student, np.asarray(student.values) * 1e3)
    loss, gradient = compiled(top)(far, teacher, np.asarray(ours) - np.float32(1e4), theirs, weights)
    assert_all_finite((loss, gradient))
    first, everywhere = np.arange(15).reshape(TOKENS) == 0, np.ones(TOKENS, np.float32)
    broken = filled(student, first, np.nan)
    assert np.isnan(compiled(top)(broken, teacher, ours, theirs, everywhere)[0].total)
    lost = np.where(first, np.float32(np.nan), ours)
    assert np.isnan(compiled(top)(student, teacher, lost, theirs, everywhere)[0].total)


def test_bfloat16_is_compared_in_float32_and_float64_is_kept():
    narrow = cast(pair(10), jnp.bfloat16)
    wide = cast(narrow, np.float32)
    given = *scales(10), some_weights(10)
    loss, gradient = compiled()(*narrow, *given)
    expected, _ = compiled()(*wide, *given)
    assert loss.total.dtype == jnp.float32
    assert gradient[0].values.dtype == jnp.bfloat16
    np.testing.assert_allclose(loss.total, expected.total, rtol=1e-5)
    with jax.enable_x64(True):
        double = cast((*pair(10), *given), np.float64)
        loss, _ = compiled()(*double)
        assert loss.total.dtype == jnp.float64
        matched, unmatched = exact(*measures(*double[:4]), "jensen_shannon")
        expected = (double[4].ravel() * (0.6 * matched + 0.3 * unmatched)).sum()
        np.testing.assert_allclose(loss.total, expected, rtol=1e-12)


def test_jit_and_vmap_change_nothing(unchecked_shapes):
    student, teacher, ours, theirs, weights = case(11)

    def run(student_values, teacher_values, ours, theirs, weights):
        return linear_hybrid_distance(
            with_values(student, student_values),
            with_values(teacher, teacher_values),
            student_log_scale=ours,
            teacher_log_scale=theirs,
            weights=weights,
            shared=SHARED,
            divergence=JensenShannon(),
            implementation=CHUNK,
        ).distance

    given = student.values, teacher.values, ours, theirs, weights
    expected = jax.jit(run)(*given)
    np.testing.assert_allclose(run(*given), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(*given), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("top", "rows", "mesh"), [(None, (16, 24), (2, 2, 2)), (TOP, (24, 24), (1, 2, 4))], ids=str)
def test_equals_one_device(top, rows, mesh):
    """Heads of one length are split over the tensor axis, others stay whole; in float64, as `test_mesh.py` derives."""
    with jax.enable_x64(True):
        arguments = cast(case(12, rows=rows), np.float64)
        alone = compiled(top)(*arguments)
        with on_mesh(*mesh):
            spread = compiled(top)(*arguments)
    assert_equal(spread[0].total, alone[0].total, tolerance=1e-12)
    assert_equal((spread[1][0], spread[1][2]), (alone[1][0], alone[1][2]), tolerance=1e-12)


@every_top
def test_stores_no_logits(top):
    tokens = 256

    def array(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    def side(width, rows):
        return Hiddens(values=array(tokens, width), head=Head(weight=array(rows, width), vocab_size=rows - 3))

    def loss(student, teacher, ours, theirs, chunk=16):
        return linear_hybrid_distance(
            student,
            teacher,
            student_log_scale=ours,
            teacher_log_scale=theirs,
            weights=jnp.ones(tokens),
            shared=SHARED,
            divergence=JensenShannon(),
            top=top and 64,
            implementation=HybridChunk(chunk=chunk),
        ).total

    given = side(8, 512), side(16, 384), array(tokens), array(tokens)
    sizes = {"tokens": tokens, "vocabulary": 512, "sizes": (16, 8, 16)}
    assert_never_as_large_as_the_logits(loss, *given, **sizes)
    with pytest.raises(AssertionError):
        assert_never_as_large_as_the_logits(functools.partial(loss, chunk=tokens), *given, **sizes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": jnp.ones(3)}, r"weights must have the leading shape of student.values, \(3, 5\), got \(3,\)"),
        ({"student_log_scale": jnp.ones(3)}, r"student_log_scale must have the leading shape of student.values"),
        ({"teacher_log_scale": jnp.ones(3)}, r"teacher_log_scale must have the leading shape of student.values"),
        ({"divergence": ForwardKL(temperature=2.0)}, r"divergence must be of temperature 1, got ForwardKL\(temp"),
        ({"top": 0}, "top must be at least 1, or None for all ranks, got 0"),
        (
            {"shared": SharedTokens(student_ids=np.array([13]), teacher_ids=np.array([0]))},
            r"shared\.student_ids must be below the vocab_size of the student's head, 13, got 13",
        ),
        (
            {"shared": SharedTokens(student_ids=np.array([0]), teacher_ids=np.array([22]))},
            r"shared\.teacher_ids must be below the vocab_size of the teacher's head, 22, got 22",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(unchecked_shapes, changes, message):
    student, teacher, ours, theirs, weights = case(13)
    given = {"student_log_scale": ours, "teacher_log_scale": theirs, "weights": weights, "shared": SHARED}
    with pytest.raises(ValueError, match=message):
        linear_hybrid_distance(student, teacher, **{**given, "divergence": ForwardKL(), **changes})


def test_sides_of_other_positions_are_refused(unchecked_shapes):
    student, teacher, ours, theirs, weights = case(14)
    with pytest.raises(
        ValueError, match=r"teacher.values must have the leading shape of student.values, got \(5, 16\)"
    ):
        linear_hybrid_distance(
            student,
            with_values(teacher, teacher.values[0]),
            student_log_scale=ours,
            teacher_log_scale=theirs,
            weights=weights,
            shared=SHARED,
            divergence=ForwardKL(),
        )
