"""Distributions over two vocabularies, compared rank by rank from hidden states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.kernels import RankChunk, linear_divergence, linear_rank_distance
from jaxkd.losses import WassersteinSorted, wasserstein_sorted
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import assert_trees_close, exact_log_probs, hiddens, with_head, with_values
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
    return with_values(student, student.values / 3), with_values(teacher, teacher.values / 4)


def some_weights(seed=0, tokens=TOKENS):
    rng = np.random.default_rng(seed)
    return jnp.asarray((rng.random(tokens) < 0.7) * rng.uniform(0.1, 1, tokens), jnp.float32)


def of_probs(*probs, total=1.0):
    """A position of these probabilities."""
    weight = jnp.log(jnp.array(probs) * total)[:, None]
    return Hiddens(values=jnp.ones((1, 1)), head=Head(weight=weight, vocab_size=len(probs)))


@functools.cache
def compiled(top, temperature=1.0, implementation=CHUNK):
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
    student, teacher = of_probs(0.25, 0.75), of_probs(0.1, 0.6, 0.3)
    loss = linear_rank_distance(student, teacher, weights=jnp.array([2.0]), top=top)
    np.testing.assert_allclose(loss.distance, [0.15 + 0.05 + 0.1], rtol=1e-6)
    np.testing.assert_allclose(loss.total, 0.6, rtol=1e-6)
    np.testing.assert_allclose(loss.tail_bound, [0], atol=1e-7)


def test_hand_values_of_a_truncated_sort():
    student, teacher = of_probs(0.1, 0.5, 0.2, 0.2), of_probs(0.1, 0.05, 0.6, 0.25)
    one = linear_rank_distance(student, teacher, weights=jnp.ones(1), top=1)
    np.testing.assert_allclose(one.distance, [0.1 + 0.1], rtol=1e-6)  # 0.5 and 0.6, then the tails 0.5 and 0.4
    np.testing.assert_allclose(one.tail_bound, [0.8], rtol=1e-6)
    two = linear_rank_distance(student, teacher, weights=jnp.ones(1), top=2)
    np.testing.assert_allclose(two.distance, [0.1 + 0.05 + 0.15], rtol=1e-6)  # 0.3 and 0.15 are left
    np.testing.assert_allclose(two.tail_bound, [0.3], rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@every_top
@pytest.mark.parametrize("swapped", [False, True], ids=["larger teacher", "larger student"])
def test_equals_float64_numpy(top, temperature, swapped):
    student, teacher = pair(1)[::-1] if swapped else pair(1)
    given = some_weights(1)
    loss, _ = compiled(top, temperature)(student, teacher, given)
    distance, bound = (one.reshape(TOKENS) for one in exact(student, teacher, temperature, top))
    np.testing.assert_allclose(jnp.where(given == 0, 0, loss.distance), distance * (given != 0), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(jnp.where(given == 0, 0, loss.tail_bound), bound * (given != 0), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(loss.total, (np.asarray(given, np.float64) * distance).sum(), rtol=1e-6)


def test_the_bound_holds_and_more_ranks_tighten_it():
    student, teacher = pair(2)
    complete = exact(student, teacher, 1.0)[0].reshape(TOKENS)
    before = None
    for top in (1, 6, 21, 22):
        loss = linear_rank_distance(student, teacher, weights=jnp.ones(TOKENS), top=top)
        assert (loss.distance <= complete + 1e-6).all()
        assert (complete <= loss.distance + loss.tail_bound + 1e-6).all()
        if before is not None:
            assert (loss.distance >= before.distance - 1e-6).all()
            assert (loss.tail_bound <= before.tail_bound + 1e-6).all()
        before = loss
    np.testing.assert_allclose(before.distance, complete, rtol=1e-6)


@every_top
def test_the_order_of_a_vocabulary_and_what_pads_it_do_not_matter(top):
    student, teacher = pair(3, bias=False)
    given = some_weights(3)
    loss, gradient = compiled(top)(student, teacher, given)
    order = np.random.default_rng(0).permutation(13)
    weight = jnp.concatenate([student.head.weight[:13][order], student.head.weight[13:] + 100])
    shuffled, shuffled_gradient = compiled(top)(with_head(student, weight=weight), teacher, given)
    np.testing.assert_allclose(shuffled.total, loss.total, rtol=1e-6)
    of_head = shuffled_gradient[0].head.weight
    np.testing.assert_allclose(of_head[:13], gradient[0].head.weight[:13][order], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(of_head[13:], 0)


@every_top
def test_equal_distributions_have_no_distance_and_no_gradient(top):
    student, _ = pair(4)
    loss, gradient = compiled(top)(student, student, some_weights(4))
    np.testing.assert_allclose(loss.total, 0, atol=1e-6)
    assert_trees_close(gradient[0], jax.tree.map(jnp.zeros_like, student))


def test_all_ranks_are_the_divergence_of_logits():
    """Where both have one vocabulary the kernel for divergences computes the same, of value and gradient."""
    student, teacher = pair(5, vocabularies=(13, 13), rows=(16, 16))
    given = some_weights(5)

    def by_divergence(student):
        return linear_divergence(student, teacher, weights=given, divergence=WassersteinSorted(temperature=2.0)).total

    loss, gradient = compiled(None, 2.0)(student, teacher, given)
    total, expected = jax.jit(jax.value_and_grad(by_divergence))(student)
    np.testing.assert_allclose(loss.total, total, rtol=1e-6)
    assert_trees_close(gradient[0], expected)


@every_top
def test_gradient_equals_finite_differences(top):
    student, teacher = pair(6)
    given = some_weights(6)

    def total(student):
        return linear_rank_distance(
            student, teacher, weights=given, temperature=2.0, top=top, implementation=CHUNK
        ).total

    check_grads(jax.jit(total), (student,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2, eps=1e-3)


@every_top
def test_only_the_student_and_only_the_total_have_a_gradient(top):
    student, teacher = pair(7)
    given = some_weights(7)
    _, (_, to_teacher, to_weights) = compiled(top)(student, teacher, given)
    assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves((to_teacher, to_weights)))

    def others(student):
        loss = linear_rank_distance(student, teacher, weights=given, top=top, implementation=CHUNK)
        return jnp.sum(loss.distance) + jnp.sum(loss.tail_bound)

    assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(jax.grad(others)(student)))


def test_a_token_in_the_tail_is_pushed_as_the_tail_is():
    """Of a student whose tail is too heavy every token of the tail falls, whatever its rank."""
    student, teacher = of_probs(0.4, 0.2, 0.2, 0.2), of_probs(0.7, 0.1, 0.1, 0.1)
    loss = functools.partial(linear_rank_distance, teacher=teacher, weights=jnp.ones(1), top=1)
    gradient = jax.grad(lambda student: loss(student).total)(student).head.weight[:, 0]
    assert (gradient[1:] > 0).all() and gradient[0] < 0
    np.testing.assert_allclose(gradient[1:], gradient[1], rtol=1e-6)


def test_tokens_of_equal_probability_have_equal_gradients():
    student, teacher = of_probs(0.3, 0.3, 0.2, 0.2), of_probs(0.5, 0.2, 0.2, 0.1)
    loss = functools.partial(linear_rank_distance, teacher=teacher, weights=jnp.ones(1), top=None)
    gradient = np.asarray(jax.grad(lambda student: loss(student).total)(student).head.weight[:, 0])
    assert gradient[0] == gradient[1] and gradient[2] == gradient[3]


@every_top
def test_what_a_masked_position_holds_does_not_matter(top):
    student, teacher = pair(8)
    given = some_weights(8)
    hole = (given == 0)[..., None]
    expected = compiled(top)(student, teacher, given)
    for filling in (jnp.nan, jnp.inf, 1e4):
        filled = [with_values(one, jnp.where(hole, filling, one.values)) for one in (student, teacher)]
        loss, gradient = compiled(top)(*filled, given)
        np.testing.assert_array_equal(loss.total, expected[0].total)
        assert_trees_close(gradient[0], expected[1][0], rtol=1e-6, atol=1e-7)


@every_top
def test_parts_of_a_batch_add_up_and_nothing_gives_zero(top):
    student, teacher = pair(9)
    given = some_weights(9)
    whole, gradient = compiled(top)(student, teacher, given)
    parts = [compiled(top)(student, teacher, given * part) for part in (jnp.eye(3)[:, [row]] for row in range(3))]
    np.testing.assert_allclose(sum(loss.total for loss, _ in parts), whole.total, rtol=1e-6)
    added = jax.tree.map(lambda *leaves: sum(leaves), *(part[0] for _, part in parts))
    assert_trees_close(added, gradient[0], rtol=1e-5, atol=1e-6)
    nothing, zero = compiled(top)(student, teacher, jnp.zeros(TOKENS))
    assert nothing.total == 0
    assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(zero))


@every_top
def test_no_size_of_a_chunk_changes_anything(top):
    student, teacher = pair(10)
    given = some_weights(10)
    default = compiled(top, implementation=None)(student, teacher, given)
    for chunk in (1, 15):
        assert_trees_close(compiled(top, implementation=RankChunk(chunk=chunk))(student, teacher, given), default)


@every_top
def test_large_logits_and_a_point_mass_are_finite_and_equal_float64_numpy(top):
    student, teacher = pair(11)
    student, teacher = with_values(student, student.values * 1e3), with_values(teacher, teacher.values * 1e-3)
    loss, gradient = compiled(top)(student, teacher, jnp.ones(TOKENS))
    np.testing.assert_allclose(loss.distance.ravel(), exact(student, teacher, 1.0, top)[0], rtol=1e-3, atol=1e-3)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@every_top
def test_nan_at_a_used_position_is_not_hidden(top):
    student, teacher = pair(12)
    for broken in (0, 1):
        sides = [student, teacher]
        sides[broken] = with_values(sides[broken], sides[broken].values.at[0, 0].set(jnp.nan))
        assert jnp.isnan(compiled(top)(*sides, jnp.ones(TOKENS))[0].total)


@every_top
def test_bfloat16_is_compared_in_float32(top):
    narrow = [jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), one) for one in pair(13)]
    wide = [jax.tree.map(lambda leaf: leaf.astype(jnp.float32), one) for one in narrow]
    given = some_weights(13)
    loss, (gradient, *_) = compiled(top)(*narrow, given)
    expected, (exact_gradient, *_) = compiled(top)(*wide, given)
    assert loss.total.dtype == jnp.float32
    np.testing.assert_allclose(loss.total, expected.total, rtol=1e-5)
    for leaf, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(exact_gradient), strict=True):
        assert leaf.dtype == jnp.bfloat16
        np.testing.assert_allclose(leaf.astype(jnp.float32), other, rtol=2**-6, atol=2**-8 * np.abs(other).max())


@every_top
def test_jit_and_vmap_change_nothing(top, unchecked_shapes):
    student, teacher = pair(14)
    given = some_weights(14)
    run = functools.partial(linear_rank_distance, top=top, implementation=CHUNK)
    loss = jax.jit(run)(student, teacher, weights=given)
    assert_trees_close(run(student, teacher, weights=given), loss, rtol=1e-6)

    def row(student_values, teacher_values, weights):
        return run(with_values(student, student_values), with_values(teacher, teacher_values), weights=weights)

    rows = jax.vmap(row)(student.values, teacher.values, given)
    np.testing.assert_allclose(rows.total.sum(), loss.total, rtol=1e-6)
    np.testing.assert_allclose(rows.distance, loss.distance, rtol=1e-6, atol=1e-6)


@every_top
@pytest.mark.parametrize(
    ("rows", "mesh"), [((16, 24), (2, 2, 2)), ((24, 24), (1, 2, 4)), ((16, 24), (8, 1, 1))], ids=str
)
def test_equals_one_device(top, rows, mesh):
    """Heads of one length are split over the tensor axis, others stay whole."""
    student, teacher = pair(15, rows=rows)
    given = some_weights(15)
    alone = compiled(top)(student, teacher, given)
    with on_mesh(*mesh):
        spread = compiled(top)(student, teacher, given)
    assert_equal(spread[0].total, alone[0].total, tolerance=2e-6)
    assert_equal(spread[1][0], alone[1][0], tolerance=2e-6)
    assert_equal(jnp.where(given == 0, 0, spread[0].distance), jnp.where(given == 0, 0, alone[0].distance), 2e-6)


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
        Hiddens(values=jnp.eye(4), head=Head(weight=jnp.asarray(one.T, jnp.float32), vocab_size=one.shape[1]))
        for one in (student, teacher)
    ]
    for top in (7, 20):
        loss = linear_rank_distance(*sides, weights=jnp.ones(4), top=top)
        distance, bound = exact(*sides, 1.0, top)
        np.testing.assert_allclose(loss.distance, distance, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(loss.tail_bound, bound, rtol=1e-5)


def test_float64_is_sorted_as_float64():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        student, teacher = rng.normal(size=(2, 9)), rng.normal(size=(2, 7))
        values = jnp.asarray(wasserstein_sorted(jnp.asarray(student), jnp.asarray(teacher)))
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
