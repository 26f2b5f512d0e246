"""MinED from hidden states, against float64 NumPy by the definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels.linear.minimum_edit import linear_minimum_edit, moved_head
from jaxkd.losses import ForwardKL
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import assert_trees_close, exact_logits, hiddens, with_head, with_values
from tests.kernels.test_mesh import assert_equal, on_mesh
from tests.losses.compiled import assert_equals_finite_differences, jitted
from tests.memory import assert_never_as_large_as_the_logits

B, N, M, VS, VT = 2, 4, 6, 11, 9
TEACHER_OF_STUDENT = np.array([3, -1, 0, 0, 8, -1, 2, 1, -1, 5, 7])


def case(seed, *, softcap=None):
    """Models of two vocabularies and two lengths; the student's head has rows behind its vocabulary."""
    rng = np.random.default_rng(seed)
    student = hiddens(seed, 4, tokens=(B, N), rows=13, vocabulary=VS, bias=True, softcap=softcap)
    teacher = hiddens(seed + 100, 6, tokens=(B, M), rows=10, vocabulary=VT, bias=True, scale=0.5)
    weights = rng.uniform(0.1, 1, (B, N))
    weights[1, 2] = 0
    positions = rng.integers(-1, M, (B, N))
    positions[0, :2] = 4, -1
    return (
        student,
        teacher,
        {
            "teacher_positions": positions.astype(np.int32),
            "labels": rng.integers(0, VS, (B, N)).astype(np.int32),
            "weights": weights.astype(np.float32),
        },
    )


def mapped():
    return jnp.asarray(TEACHER_OF_STUDENT, jnp.int32)


def loss(student, teacher, given, temperature=1.0):
    moved = Hiddens(values=teacher.values, head=moved_head(teacher.head, mapped()))
    return linear_minimum_edit(student, moved, divergence=ForwardKL(), temperature=temperature, **given)


@jax.jit
def total_of_moved(student, moved, given):
    return linear_minimum_edit(student, moved, divergence=ForwardKL(), **given).total


@functools.cache
def compiled(temperature=1.0):
    @jax.jit
    def run(student, teacher, given):
        def total(student, teacher):
            found = loss(student, teacher, given, temperature)
            return found.total, found

        (_, found), gradient = jax.value_and_grad(total, (0, 1), has_aux=True)(student, teacher)
        return found, gradient

    return run


def exact_total(student, teacher, given, temperature):
    """By the definition: the logits of a teacher of the student's vocabulary, one hot where nothing is aligned."""
    ours, theirs = (exact_logits(one).reshape(B, -1, one.head.vocab_size) for one in (student, teacher))
    total = 0.0
    for b, n in np.ndindex(B, N):
        logits = np.full(VS, -1e5)
        position = int(given["teacher_positions"][b, n])
        if position >= 0:
            known = TEACHER_OF_STUDENT >= 0
            logits[known] = theirs[b, position][TEACHER_OF_STUDENT[known]]
        else:
            logits[int(given["labels"][b, n])] = 100
        log_p, log_q = (
            x - np.log(np.exp(x - x.max()).sum()) - x.max() for x in (logits / temperature, ours[b, n] / temperature)
        )
        total += float(given["weights"][b, n]) * (np.exp(log_p) * (log_p - log_q)).sum()
    return total


def test_hand_values():
    head = Head(weight=np.log(np.float32([[0.5], [0.3], [0.2]])), vocab_size=3)
    moved = jitted(moved_head)(head, np.array([2, -1, 0]))
    np.testing.assert_allclose(moved.weight[[0, 2]], head.weight[[2, 0]])
    assert moved.bias.tolist() == [0, -np.inf, 0]
    student = Hiddens(values=np.zeros((2, 1), np.float32), head=Head(weight=np.zeros((3, 1), np.float32), vocab_size=3))
    teacher = Hiddens(values=np.ones((1, 1), np.float32), head=moved)
    given = {"teacher_positions": np.array([0, -1]), "labels": np.array([1, 1]), "weights": np.ones(2, np.float32)}
    found = total_of_moved(student, teacher, given)
    p = np.array([2, 5]) / 7  # 0.2 and 0.5, renormalised
    np.testing.assert_allclose(found, (p * np.log(p * 3)).sum() + np.log(3), rtol=1e-6)


@pytest.mark.parametrize(("temperature", "softcap"), [(1.0, None), (2.0, 5.0)], ids=["plain", "soft-cap"])
def test_equals_float64_numpy(temperature, softcap):
    student, teacher, given = case(1, softcap=softcap)
    found, _ = compiled(temperature)(student, teacher, given)
    np.testing.assert_allclose(found.total, exact_total(student, teacher, given, temperature), rtol=1e-6)


def test_the_models_of_one_vocabulary_and_one_tokenization_have_no_divergence():
    student, _, given = case(2)
    everywhere = given | {"teacher_positions": np.broadcast_to(np.arange(N, dtype=np.int32), (B, N))}
    rows = np.arange(13)
    same = Hiddens(values=student.values, head=jitted(moved_head)(student.head, np.where(rows < VS, rows, -1)))
    np.testing.assert_allclose(total_of_moved(student, with_head(same, vocab_size=VS), everywhere), 0, atol=1e-6)


def test_gradient_equals_finite_differences_and_none_reaches_the_teacher():
    student, teacher, given = case(3, softcap=5.0)

    def of_student(student):
        found, (gradient, _) = compiled(2.0)(student, teacher, given)
        return np.asarray(found.total), (jax.device_get(gradient),)

    moved = jax.tree.map(np.asarray, student)
    assert_equals_finite_differences(of_student, moved, rtol=2e-2, atol=2e-2, eps=2**-11)
    _, (to_student, to_teacher) = compiled()(*case(3))
    assert np.asarray(to_student.values).any()
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(to_teacher))


def test_what_is_masked_does_not_matter_and_nothing_gives_zero():
    student, teacher, given = case(4)
    expected, (gradient, _) = compiled()(student, teacher, given)
    masked = given["weights"] == 0
    used = np.where(masked, -1, given["teacher_positions"])
    unused = (used[..., None] != np.arange(M)).all(axis=1)
    assert unused.any()
    broken, holed = (
        with_values(side, np.where(missing[..., None], np.float32(np.nan), side.values))
        for side, missing in ((student, masked), (teacher, unused))
    )
    found, (broken_gradient, _) = compiled()(broken, holed, given)
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-6)
    assert_trees_close(broken_gradient, gradient, rtol=1e-6, atol=1e-6)
    nothing, (zero, _) = compiled()(student, teacher, given | {"weights": np.zeros((B, N), np.float32)})
    assert nothing.total == 0
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(zero))


def test_rows_are_parts_that_add_up():
    student, teacher, given = case(5)
    whole, _ = compiled()(student, teacher, given)
    rows = []
    for row in (slice(0, 1), slice(1, 2)):
        ours, theirs = (
            np.asarray(student.values)[row],
            np.pad(np.asarray(teacher.values)[row], ((0, 0), (0, 2), (0, 0))),
        )
        of_row = {name: array[row] for name, array in given.items()}
        rows.append(compiled()(with_values(student, ours), with_values(teacher, theirs), of_row)[0].total)
    np.testing.assert_allclose(sum(rows), whole.total, rtol=1e-6)


def test_large_logits_and_bfloat16_are_finite_and_close():
    student, teacher, given = case(6)
    far = with_values(student, np.asarray(student.values) * np.float32(1e3))
    found, (gradient, _) = compiled()(far, teacher, given)
    np.testing.assert_allclose(found.total, exact_total(far, teacher, given, 1.0), rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    narrow = jax.tree.map(lambda leaf: np.asarray(leaf).astype(jnp.bfloat16), (student, teacher))
    wide = jax.tree.map(lambda leaf: leaf.astype(np.float32), narrow)
    assert jax.eval_shape(moved_head, narrow[1].head, mapped()).weight.dtype == jnp.bfloat16
    np.testing.assert_allclose(compiled()(*narrow, given)[0].total, compiled()(*wide, given)[0].total, rtol=1e-5)


def test_eight_devices_and_eager_evaluation_change_nothing():
    student, teacher, given = case(7)
    alone = compiled()(student, teacher, given)
    eager = loss(student, teacher, jax.tree.map(jnp.asarray, given))
    np.testing.assert_allclose(eager.total, alone[0].total, rtol=1e-6)
    with on_mesh(2, 2, 2):
        spread = compiled()(student, teacher, given)
    assert_equal(spread[0].total, alone[0].total)
    assert_equal(spread[1][0], alone[1][0], tolerance=5e-6)


def test_vmap_equals_the_rows(unchecked_shapes):
    student, teacher, given = case(8)

    def row(student_values, teacher_values, given):
        return loss(with_values(student, student_values), with_values(teacher, teacher_values), given).total

    rows = jax.jit(jax.vmap(row))(student.values, teacher.values, given)
    np.testing.assert_allclose(np.sum(rows), compiled()(student, teacher, given)[0].total, rtol=1e-6)


def test_stores_no_logits():
    tokens, vocabulary = 256 * 8, 256
    given = {
        "teacher_positions": jnp.zeros((1, tokens), jnp.int32),
        "labels": jnp.zeros((1, tokens), jnp.int32),
        "weights": jnp.ones((1, tokens)),
    }

    def side(width):
        def array(*shape):
            return jax.ShapeDtypeStruct(shape, jnp.float32)

        return Hiddens(
            values=array(1, tokens, width), head=Head(weight=array(vocabulary, width), vocab_size=vocabulary)
        )

    def total(student, teacher):
        moved = Hiddens(values=teacher.values, head=moved_head(teacher.head, jnp.zeros(vocabulary, jnp.int32)))
        return linear_minimum_edit(student, moved, divergence=ForwardKL(), **given).total

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxkd.kernels.chunks.token_chunk.CHUNK_ELEMENTS", 64 * vocabulary)
        sizes = {"tokens": tokens, "vocabulary": vocabulary, "sizes": (64, 4, 6)}
        assert_never_as_large_as_the_logits(total, side(4), side(6), **sizes)


def test_what_does_not_fit_is_refused(unchecked_shapes):
    student, teacher, given = case(9)
    moved = Hiddens(values=teacher.values, head=moved_head(teacher.head, mapped()))
    with pytest.raises(ValueError, match="teacher must be a head without soft-cap, got one of 30.0: it would give the"):
        moved_head(with_head(teacher, softcap=30.0).head, mapped())
    run = functools.partial(linear_minimum_edit, student, divergence=ForwardKL(), **given)
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        run(moved, temperature=0.0)
    with pytest.raises(ValueError, match=r"teacher.values must have the rows of student.values, \(2,\), got \(1,\)"):
        run(with_values(moved, moved.values[:1]))
    with pytest.raises(ValueError, match="the vocab_size of teacher must equal the student's 11, got 9"):
        run(teacher)
    with pytest.raises(ValueError, match=r"teacher_positions must have the leading shape of student.values, \(2, 4\)"):
        run(moved, teacher_positions=jnp.zeros((2, 3), jnp.int32))
    with pytest.raises(ValueError, match="divergence must have temperature 1 and its gradient to the student, got"):
        run(moved, divergence=ForwardKL(temperature=2.0))
