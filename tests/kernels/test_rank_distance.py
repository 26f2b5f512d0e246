"""Distributions over two vocabularies, compared rank by rank from hidden states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import RankChunk, linear_divergence, linear_rank_distance
from jaxkd.losses import WassersteinSorted, wasserstein_sorted
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
    hiddens,
    unless,
    with_head,
    with_values,
)
from tests.kernels.test_mesh import assert_equal, on_mesh
from tests.memory import assert_never_as_large_as_the_logits

TOKENS = (3, 5)
CHUNK = RankChunk(chunk=4)  # does not divide the 15 tokens
TOP = 5

every_top = pytest.mark.parametrize("top", [None, TOP], ids=["exact", "truncated"])


def pair(seed=0, *, tokens=TOKENS, bias=True, vocabularies=(13, 22), rows=(16, 24)):
    """Student and teacher of unequal widths and vocabularies."""
    student, teacher = (
        hiddens(seed + 100 * side, width, tokens=tokens, rows=size, vocabulary=vocabulary, bias=bias)
        for side, (width, size, vocabulary) in enumerate(zip((8, 16), rows, vocabularies, strict=True))
    )
    # Nats apart, not tens of nats.
    return tuple(
        with_values(side, float32(np.asarray(side.values) / scale)) for side, scale in ((student, 3), (teacher, 4))
    )


def some_weights(seed=0, tokens=TOKENS):
    rng = np.random.default_rng(seed)
    return float32((rng.random(tokens) < 0.7) * rng.uniform(0.1, 1, tokens))


def of_probs(*probs):
    """A position of these probabilities."""
    weight = np.log(np.float32(probs))[:, None]
    return Hiddens(values=np.ones((1, 1), np.float32), head=Head(weight=weight, vocab_size=len(probs)))


@functools.cache
def compiled(top, temperature=2.0, implementation=CHUNK):
    """The loss, and the gradient of its total to both sides and the weights."""

    @jax.jit
    def run(student, teacher, weights):
        def total(student, teacher, weights):
            loss = linear_rank_distance(
                student, teacher, weights=weights, temperature=temperature, top=top, implementation=implementation
            )
            return loss.total, loss

        (_, loss), gradient = jax.value_and_grad(total, (0, 1, 2), has_aux=True)(student, teacher, weights)
        return loss, gradient

    return run


@functools.cache
def loss_at_one(top):
    """A compiled function of student and teacher: the loss at the defaults, every weight 1."""
    return jax.jit(
        lambda student, teacher: linear_rank_distance(
            student, teacher, weights=jnp.ones(student.values.shape[:-1]), top=top
        )
    )


def gradient_of_logits(top, student, teacher):
    """Distance of a student by `of_probs`."""
    gradient = jax.jit(jax.grad(lambda student, teacher: loss_at_one(top)(student, teacher).total))
    return np.asarray(gradient(student, teacher).head.weight)[:, 0]


def sorted_probs(hiddens, temperature):
    return -np.sort(-np.exp(exact_log_probs(hiddens, temperature)), axis=-1)


def exact(student, teacher, temperature, top=None):
    """Distance and bound by their definition, in float64: [n], [n]."""
    q, p = sorted_probs(student, temperature), sorted_probs(teacher, temperature)
    ranks = max(q.shape[1], p.shape[1])
    q, p = (np.pad(one, ((0, 0), (0, ranks - one.shape[1]))) for one in (q, p))
    top = ranks if top is None else top
    tails = q[:, top:].sum(-1), p[:, top:].sum(-1)
    return np.abs(q - p)[:, :top].sum(-1) + np.abs(tails[0] - tails[1]), 2 * np.minimum(*tails)


@pytest.mark.parametrize("top", [None, 3, 8192])
def test_hand_values(top):
    loss = loss_at_one(top)(of_probs(0.25, 0.75), of_probs(0.1, 0.6, 0.3))
    np.testing.assert_allclose(loss.distance, [0.15 + 0.05 + 0.1], rtol=1e-6)
    np.testing.assert_allclose(loss.total, 0.3, rtol=1e-6)
    np.testing.assert_allclose(loss.tail_bound, [0], atol=1e-7)


def test_hand_values_of_a_truncated_sort():
    sides = of_probs(0.1, 0.5, 0.2, 0.2), of_probs(0.1, 0.05, 0.6, 0.25)
    one = loss_at_one(1)(*sides)
    np.testing.assert_allclose(one.distance, [0.1 + 0.1], rtol=1e-6)  # 0.5 and 0.6, then the tails 0.5 and 0.4
    np.testing.assert_allclose(one.tail_bound, [0.8], rtol=1e-6)
    two = loss_at_one(2)(*sides)
    np.testing.assert_allclose(two.distance, [0.1 + 0.05 + 0.15], rtol=1e-6)  # 0.3 and 0.15 are left
    np.testing.assert_allclose(two.tail_bound, [0.3], rtol=1e-6)


@pytest.mark.parametrize(
    ("top", "temperature", "swapped"),
    [
        pytest.param(top, temperature, swapped, marks=unless(swapped == (temperature == 1)))
        for top in (None, TOP)
        for temperature in (1.0, 2.0)
        for swapped in (False, True)
    ],
)
def test_equals_float64_numpy(top, temperature, swapped):
    """With the larger vocabulary on the teacher's side, or swapped."""
    student, teacher = pair(1)[::-1] if swapped else pair(1)
    given = some_weights(1)
    loss, _ = compiled(top, temperature)(student, teacher, given)
    distance, bound = (one.reshape(TOKENS) for one in exact(student, teacher, temperature, top))
    used = np.asarray(given) != 0
    np.testing.assert_allclose(np.asarray(loss.distance)[used], distance[used], rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(np.asarray(loss.tail_bound)[used], bound[used], rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(loss.total, (np.asarray(given, np.float64) * distance).sum(), rtol=1e-6)


def test_the_bound_holds_and_more_ranks_tighten_it():
    """In float64: a small distance is a sum of small differences, of which float32 rounds the last digit away."""
    before = None
    with jax.enable_x64(True):
        sides = cast(pair(2), np.float64)
        complete = exact(*sides, 1.0)[0].reshape(TOKENS)
        for top in (1, 6, 21, 22):
            loss = loss_at_one(top)(*sides)
            distance, bound = np.asarray(loss.distance), np.asarray(loss.tail_bound)
            assert (distance <= complete + 1e-12).all()
            assert (complete <= distance + bound + 1e-12).all()
            if before is not None:
                assert (distance >= before[0] - 1e-12).all()
                assert (bound <= before[1] + 1e-12).all()
            before = distance, bound
    np.testing.assert_allclose(before[0], complete, rtol=1e-12)


@every_top
def test_the_order_of_a_vocabulary_and_what_pads_it_do_not_matter(top):
    student, teacher = pair(3)
    given = some_weights(3)
    loss, gradient = compiled(top)(student, teacher, given)
    order = np.random.default_rng(0).permutation(13)
    weight, bias = np.array(student.head.weight), np.array(student.head.bias)
    weight[:13], bias[:13], weight[13:] = weight[order], bias[order], weight[13:] + 100
    shuffled, shuffled_gradient = compiled(top)(with_head(student, weight=weight, bias=bias), teacher, given)
    np.testing.assert_allclose(shuffled.total, loss.total, rtol=1e-6)
    for found, expected in zip(*(jax.tree.leaves(side[0].head) for side in (shuffled_gradient, gradient)), strict=True):
        np.testing.assert_allclose(np.asarray(found)[:13], np.asarray(expected)[order], rtol=1e-4, atol=1e-6)
        assert_all_zero(np.asarray(found)[13:])


@every_top
def test_equal_distributions_have_no_distance_and_no_gradient(top):
    student, _ = pair(4)
    loss, gradient = compiled(top)(student, student, some_weights(4))
    np.testing.assert_allclose(loss.total, 0, atol=1e-6)
    assert_trees_close(gradient[0], jax.tree.map(np.zeros_like, student))


def test_all_ranks_are_the_divergence_of_logits():
    """Where both have one vocabulary the kernel for divergences computes the same, of value and gradient."""
    student, teacher = pair(5, vocabularies=(13, 13), rows=(16, 16))
    given = some_weights(5)

    @jax.jit
    @jax.value_and_grad
    def by_divergence(student, teacher):
        return linear_divergence(student, teacher, weights=given, divergence=WassersteinSorted(temperature=2.0)).total

    loss, gradient = compiled(None)(student, teacher, given)
    total, expected = by_divergence(student, teacher)
    np.testing.assert_allclose(loss.total, total, rtol=1e-6)
    assert_trees_close(gradient[0], expected)


@every_top
def test_gradient_equals_finite_differences(top):
    student, teacher = pair(6)
    given = some_weights(6)
    _, (gradient, *_) = compiled(top)(student, teacher, given)
    assert_gradient_equals_finite_differences(
        lambda student: compiled(top)(student, teacher, given)[0].total, (student,), (gradient,)
    )


@every_top
def test_only_the_student_and_only_the_total_have_a_gradient(top):
    student, teacher = pair(7)
    given = some_weights(7)
    _, (_, to_teacher, to_weights) = compiled(top)(student, teacher, given)
    assert_all_zero((to_teacher, to_weights))

    def others(student):
        loss = linear_rank_distance(student, teacher, weights=given, top=top, implementation=CHUNK)
        return jnp.sum(loss.distance) + jnp.sum(loss.tail_bound)

    assert_all_zero(jax.jit(jax.grad(others))(student))


def test_a_token_in_the_tail_is_pushed_as_the_tail_is():
    """For a student whose tail is too heavy every token of the tail falls, whatever its rank."""
    gradient = gradient_of_logits(1, of_probs(0.4, 0.2, 0.2, 0.2), of_probs(0.7, 0.1, 0.1, 0.1))
    assert (gradient[1:] > 0).all() and gradient[0] < 0
    np.testing.assert_allclose(gradient[1:], gradient[1], rtol=1e-6)


def test_tokens_of_equal_probability_have_equal_gradients():
    gradient = gradient_of_logits(None, of_probs(0.3, 0.3, 0.2, 0.2), of_probs(0.5, 0.2, 0.2, 0.1))
    assert gradient[0] == gradient[1] and gradient[2] == gradient[3]


@every_top
def test_what_a_masked_position_holds_does_not_matter(top):
    student, teacher = pair(8)
    given = some_weights(8)
    hole = np.asarray(given) == 0
    expected = compiled(top)(student, teacher, given)
    for filling in (np.nan, np.inf, 1e4):
        loss, gradient = compiled(top)(*(filled(side, hole, filling) for side in (student, teacher)), given)
        np.testing.assert_array_equal(loss.total, expected[0].total)
        assert_trees_close(gradient[0], expected[1][0], rtol=1e-6, atol=1e-7)


@every_top
def test_parts_of_a_batch_add_up_and_nothing_gives_zero(top):
    student, teacher = pair(9)
    given = some_weights(9)
    whole, gradient = compiled(top)(student, teacher, given)
    rows = np.eye(3, dtype=np.float32)[..., None]
    parts = [compiled(top)(student, teacher, np.asarray(given) * row) for row in rows]
    np.testing.assert_allclose(sum(float(loss.total) for loss, _ in parts), whole.total, rtol=1e-6)
    added = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *(part[0] for _, part in parts))
    assert_trees_close(added, gradient[0], rtol=1e-5, atol=1e-6)
    nothing, zero = compiled(top)(student, teacher, np.zeros(TOKENS, np.float32))
    assert nothing.total == 0
    assert_all_zero(zero)


@pytest.mark.parametrize(
    ("top", "implementation"),
    [
        pytest.param(top, implementation, id=f"{top}-{implementation}", marks=unless(top == fast))
        for implementation, fast in {None: None, RankChunk(chunk=1): TOP}.items()
        for top in (None, TOP)
    ],
)
def test_no_size_of_a_chunk_changes_anything(top, implementation):
    """By default all 15 tokens are one chunk."""
    arguments = *pair(10), some_weights(10)
    found = compiled(top, implementation=implementation)(*arguments)
    assert_trees_close(found, compiled(top)(*arguments))


@every_top
def test_large_logits_and_a_point_mass_are_finite_and_equal_float64_numpy(top):
    student, teacher = pair(11)
    sides = (with_values(side, np.asarray(side.values) * scale) for side, scale in ((student, 1e3), (teacher, 1e-3)))
    student, teacher = cast(tuple(sides), np.float32)
    loss, gradient = compiled(top)(student, teacher, np.ones(TOKENS, np.float32))
    exact_distance, _ = exact(student, teacher, 2.0, top)
    np.testing.assert_allclose(np.ravel(loss.distance), exact_distance, rtol=1e-3, atol=1e-3)
    assert_all_finite(gradient)


@every_top
def test_nan_at_a_used_position_is_not_hidden(top):
    student, teacher = pair(12)
    for broken in (0, 1):
        sides = [student, teacher]
        sides[broken] = filled(sides[broken], np.arange(15).reshape(TOKENS) == 0, np.nan)
        assert np.isnan(compiled(top)(*sides, np.ones(TOKENS, np.float32))[0].total)


@every_top
def test_bfloat16_is_compared_in_float32(top):
    narrow = cast(pair(13), jnp.bfloat16)
    wide = cast(narrow, np.float32)
    given = some_weights(13)
    loss, (gradient, *_) = compiled(top)(*narrow, given)
    expected, (exact_gradient, *_) = compiled(top)(*wide, given)
    assert loss.total.dtype == jnp.float32
    np.testing.assert_allclose(loss.total, expected.total, rtol=1e-5)
    for leaf, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(exact_gradient), strict=True):
        assert leaf.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.float32(leaf), other, rtol=2**-6, atol=2**-8 * np.abs(other).max())


@every_top
def test_jit_and_vmap_change_nothing(top, unchecked_shapes):
    student, teacher = pair(14)
    given = some_weights(14)
    run = functools.partial(linear_rank_distance, temperature=2.0, top=top, implementation=CHUNK)
    loss, _ = compiled(top)(student, teacher, given)
    assert_trees_close(run(student, teacher, weights=given), loss, rtol=1e-6)

    def row(student_values, teacher_values, weights):
        return run(with_values(student, student_values), with_values(teacher, teacher_values), weights=weights)

    rows = jax.jit(jax.vmap(row))(student.values, teacher.values, given)
    np.testing.assert_allclose(np.asarray(rows.total).sum(), loss.total, rtol=1e-6)
    np.testing.assert_allclose(rows.distance, loss.distance, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("top", "rows", "mesh"),
    [
        pytest.param(top, rows, mesh, id=f"{top}-{rows}-{mesh}", marks=unless(top == fast))
        for rows, mesh, fast in (((16, 24), (2, 2, 2), None), ((24, 24), (1, 2, 4), TOP), ((16, 24), (8, 1, 1), TOP))
        for top in (None, TOP)
    ],
)
def test_equals_one_device(top, rows, mesh):
    """Heads of one length are split over the tensor axis, others stay whole; in float64, as `test_mesh.py` derives."""
    with jax.enable_x64(True):
        student, teacher, given = cast((*pair(15, rows=rows), some_weights(15)), np.float64)
        alone = compiled(top)(student, teacher, given)
        with on_mesh(*mesh):
            spread = compiled(top)(student, teacher, given)
    assert_equal(spread[0].total, alone[0].total, tolerance=1e-12)
    assert_equal(spread[1][0], alone[1][0], tolerance=1e-12)
    assert_equal(*(np.where(given == 0, 0, loss.distance) for loss, _ in (spread, alone)), tolerance=1e-12)


@every_top
def test_stores_no_logits(top):
    tokens, vocabulary = 256, 512

    def array(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    def side(width, rows):
        return Hiddens(values=array(tokens, width), head=Head(weight=array(rows, width), vocab_size=rows - 3))

    def loss(student, teacher, kernel=RankChunk(chunk=16)):  # noqa: B008 - frozen
        return linear_rank_distance(
            student, teacher, weights=jnp.ones(tokens), top=top and 64, implementation=kernel
        ).total

    sides = side(8, 512), side(16, 384)
    sizes = {"tokens": tokens, "vocabulary": vocabulary, "sizes": (16, 8, 16)}
    assert_never_as_large_as_the_logits(loss, *sides, **sizes)
    with pytest.raises(AssertionError):
        whole = functools.partial(loss, kernel=RankChunk(chunk=tokens))
        assert_never_as_large_as_the_logits(lambda student, teacher: whole(student, teacher), *sides, **sizes)


def test_the_largest_are_found_among_groups():
    """A vocabulary of many times `top` is thinned out before the sort, which must not lose anything, ties included."""
    rng = np.random.default_rng(0)
    student, teacher = (rng.integers(0, 9, (4, size)) / 4 for size in (203, 170))
    sides = [
        Hiddens(values=np.eye(4, dtype=np.float32), head=Head(weight=np.float32(one.T), vocab_size=one.shape[1]))
        for one in (student, teacher)
    ]
    for top in (7, 20):
        loss = loss_at_one(top)(*sides)
        distance, bound = exact(*sides, 1.0, top)
        np.testing.assert_allclose(loss.distance, distance, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(loss.tail_bound, bound, rtol=1e-5)


def test_float64_is_sorted_as_float64():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        student, teacher = rng.normal(size=(2, 9)), rng.normal(size=(2, 7))
        values = jax.jit(wasserstein_sorted)(student, teacher)
        assert values.dtype == jnp.float64
        q, p = (np.sort(np.exp(one) / np.exp(one).sum(-1, keepdims=True)) for one in (student, teacher))
        np.testing.assert_allclose(values, np.abs(q - np.pad(p, ((0, 0), (2, 0)))).sum(-1), rtol=1e-13)


def test_shapes_and_options_that_make_no_sense_are_refused(unchecked_shapes):
    student, teacher = pair(16)
    given = some_weights(16)
    with pytest.raises(
        ValueError, match=r"teacher.values must have the leading shape of student.values, got \(5, 16\)"
    ):
        linear_rank_distance(student, with_values(teacher, teacher.values[0]), weights=given)
    with pytest.raises(
        ValueError, match=r"weights must have the leading shape of student.values, \(3, 5\), got \(3,\)"
    ):
        linear_rank_distance(student, teacher, weights=given[:, 0])
    with pytest.raises(ValueError, match=r"teacher.head.vocab_size must be at most the 24 rows of its weight, got 25"):
        linear_rank_distance(student, with_head(teacher, vocab_size=25), weights=given)
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        linear_rank_distance(student, teacher, weights=given, temperature=0.0)
    with pytest.raises(ValueError, match="top must be at least 1, or None for all ranks, got 0"):
        linear_rank_distance(student, teacher, weights=given, top=0)
