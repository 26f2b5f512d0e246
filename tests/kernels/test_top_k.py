"""Teachers known by their likeliest tokens: the record, and the divergence over k + 1 events."""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.test_util import check_grads

from jaxkd import losses
from jaxkd.kernels import TokenChunk, head_logits, linear_divergence, top_k, top_k_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import TopK
from tests.kernels.cases import assert_trees_close, compiled, hiddens, targets, with_values
from tests.losses.divergence.distributions import log_probs, logits
from tests.losses.divergence.rows import ROWS, every_divergence

V, K = 9, 3
ONE_DEVICE = {"reference": "reference", "token_chunk": TokenChunk(chunk=4)}
every_taker = pytest.mark.parametrize("implementation", ONE_DEVICE.values(), ids=ONE_DEVICE)


def kept(log_probs, ids):
    return np.take_along_axis(log_probs, np.asarray(ids), -1)


def tail(log_probs, ids):
    """The log-probability of all tokens but `ids`, position by position."""
    others = np.ones(log_probs.shape, bool)
    np.put_along_axis(others, np.asarray(ids), False, -1)
    with np.errstate(divide="ignore"):
        return np.log(np.where(others, np.exp(log_probs), 0).sum(-1))


def events(log_probs, ids):
    return np.concatenate([kept(log_probs, ids), tail(log_probs, ids)[..., None]], -1)


def test_hand_values():
    record = top_k(jnp.log(jnp.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])), 2)
    np.testing.assert_array_equal(record.ids, [[1, 2], [0, 2]])
    np.testing.assert_allclose(jnp.exp(record.log_probs), [[0.6, 0.3], [0.5, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(jnp.exp(record.log_tail), [0.1, 0.2], rtol=1e-6)
    assert (record.temperature, record.vocab_size) == (1.0, 3)


def test_hand_values_of_the_divergence():
    """Of four tokens the teacher's first has 0.7, the student's 0.25."""
    teacher = top_k(jnp.log(jnp.array([0.7, 0.1, 0.1, 0.1])), 1)
    student = jnp.zeros(4)
    forward = 0.7 * np.log(0.7 / 0.25) + 0.3 * np.log(0.3 / 0.75)
    np.testing.assert_allclose(top_k_divergence(ForwardKL(), student, teacher), forward, rtol=1e-6)
    np.testing.assert_allclose(top_k_divergence(losses.TotalVariation(), student, teacher), 0.45, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("k", [1, K, V])
def test_the_record_equals_float64_numpy(k, temperature):
    teacher = logits(0, (2, 5, V))
    record = top_k(teacher, k, temperature=temperature)
    exact = log_probs(teacher, temperature)
    np.testing.assert_array_equal(record.ids, np.argsort(-exact, -1)[..., :k])
    np.testing.assert_allclose(record.log_probs, kept(exact, record.ids), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(record.log_tail, tail(exact, record.ids), rtol=2e-6, atol=2e-6)


def test_probabilities_and_tail_add_up_to_one():
    for scale, shift in ((0.0, 0.0), (1.0, 0.0), (30.0, 0.0), (1.0, 1e4)):
        record = top_k(logits(1, (64, V), scale=scale) + shift, K)
        total = jnp.exp(record.log_probs).sum(-1) + jnp.exp(record.log_tail)
        np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_a_record_that_was_stored_gives_the_same_bits():
    """In float32, as a file keeps it: no log-sum-exp is lost with the other logits."""
    student, teacher = logits(2), logits(3)
    record = top_k(teacher, K, temperature=2.0)
    stored = {name: np.asarray(getattr(record, name)).tobytes() for name in ("ids", "log_probs", "log_tail")}
    rebuilt = TopK(
        ids=jnp.asarray(np.frombuffer(stored["ids"], np.int32).reshape(4, K)),
        log_probs=jnp.asarray(np.frombuffer(stored["log_probs"], np.float32).reshape(4, K)),
        log_tail=jnp.asarray(np.frombuffer(stored["log_tail"], np.float32)),
        temperature=2.0,
        vocab_size=V,
    )
    divergence = ForwardKL(temperature=2.0)
    np.testing.assert_array_equal(
        top_k_divergence(divergence, student, rebuilt), top_k_divergence(divergence, student, record)
    )
    exact = log_probs(teacher, 2.0)
    np.testing.assert_allclose(np.exp(rebuilt.log_probs), np.exp(kept(exact, record.ids)), rtol=1e-6)
    np.testing.assert_allclose(np.exp(rebuilt.log_tail), np.exp(tail(exact, record.ids)), rtol=1e-6)


@every_divergence
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_equals_float64_numpy_over_the_events(row, temperature):
    student, teacher = logits(4), logits(5)
    record = top_k(teacher, K, temperature=temperature)
    value = top_k_divergence(row.dataclass(temperature=temperature), student, record)
    exact = row.oracle(*(events(log_probs(side, temperature), record.ids) for side in (student, teacher)))
    np.testing.assert_allclose(value, exact, rtol=1e-5, atol=1e-6)


@every_divergence
def test_all_tokens_are_the_whole_divergence_in_value_and_gradient(row):
    student, teacher = logits(6), logits(7)
    divergence, record = row.dataclass(temperature=2.0), top_k(teacher, V, temperature=2.0)
    assert (record.log_tail == -jnp.inf).all()
    found = jax.jit(jax.value_and_grad(lambda s: top_k_divergence(divergence, s, record).sum()))(student)
    expected = jax.jit(jax.value_and_grad(lambda s: divergence(s, teacher).sum()))(student)
    assert_trees_close(found, expected)


F_DIVERGENCES = [name for name in ROWS if name.split(",")[0] not in ("alpha_beta", "adaptive_kl", "wasserstein_sorted")]


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_merging_events_never_adds_to_an_f_divergence(name):
    student, teacher = logits(8, (64, V)), logits(9, (64, V))
    divergence = ROWS[name].dataclass()

    @jax.jit
    def every_k(student, teacher):
        return [top_k_divergence(divergence, student, top_k(teacher, k)) for k in (1, K, V - 1, V)]

    bounds = every_k(student, teacher)
    for fewer, more in itertools.pairwise(bounds):
        assert (fewer <= more + 1e-6).all()
    np.testing.assert_allclose(bounds[-1], divergence(student, teacher), rtol=1e-5, atol=1e-6)
    assert (bounds[0] < bounds[-1] - 1e-3).any()


def test_what_forward_kl_leaves_out_is_what_the_tails_disagree_on():
    student, teacher = logits(10), logits(11)
    record = top_k(teacher, K)
    log_q, log_p = log_probs(student), log_probs(teacher)
    left_out = ROWS["forward_kl"].oracle(log_q, log_p) - top_k_divergence(ForwardKL(), student, record)
    for position in range(4):
        others = np.delete(np.arange(V), np.asarray(record.ids[position]))
        p, q = (np.exp(side[position][others]) for side in (log_p, log_q))
        inside = (p / p.sum() * np.log(p / p.sum() / (q / q.sum()))).sum()
        np.testing.assert_allclose(left_out[position], p.sum() * inside, rtol=1e-4, atol=1e-6)


@every_divergence
def test_a_token_in_the_tail_gets_its_share_of_the_gradient(row):
    """With q_v = q_tail q(v | tail): dD/dz_v is the derivative by the bucket's logit, times q(v | tail)."""
    student, teacher = logits(12, scale=1.0), logits(13, scale=1.0)
    divergence, record = row.dataclass(), top_k(teacher, K)
    gradient = jax.jit(jax.grad(lambda s: top_k_divergence(divergence, s, record).sum()))(student)
    buckets = jnp.asarray(events(log_probs(student), record.ids), jnp.float32)
    target = jnp.concatenate([record.log_probs, record.log_tail[:, None]], -1)
    of_buckets = jax.jit(jax.grad(lambda b: divergence(b, target).sum()))(buckets)
    assert (jnp.abs(of_buckets[:, -1]) > 1e-4).all()
    for position in range(4):
        ids = np.asarray(record.ids[position])
        others = np.delete(np.arange(V), ids)
        q = np.exp(log_probs(student)[position][others])
        np.testing.assert_allclose(gradient[position, ids], of_buckets[position, :-1], rtol=1e-4, atol=1e-6)
        share = q / q.sum() * np.asarray(of_buckets[position, -1])
        np.testing.assert_allclose(gradient[position, others], share, rtol=1e-4, atol=1e-6)
        assert (np.abs(gradient[position, others]) > 1e-6).all()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.value_is_differentiated])
def test_gradient_equals_finite_differences_and_none_reaches_the_record(name):
    divergence = ROWS[name].dataclass(gradient_to="both")
    student, record = logits(14, scale=1.0), top_k(logits(15, scale=1.0), K)
    total = jax.jit(lambda s: top_k_divergence(divergence, s, record).sum())
    check_grads(total, (student,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2)

    def by_record(log_probs, log_tail):
        changed = dataclasses.replace(record, log_probs=log_probs, log_tail=log_tail)
        return top_k_divergence(divergence, student, changed).sum()

    for gradient in jax.jit(jax.grad(by_record, (0, 1)))(record.log_probs, record.log_tail):
        np.testing.assert_array_equal(gradient, 0)


@every_divergence
@pytest.mark.parametrize("nowhere", [-1, V, 10**6])
def test_what_is_no_id_pads_a_shorter_record(row, nowhere):
    student, teacher = logits(16), logits(17)
    divergence, short = row.dataclass(), top_k(teacher, 2)
    padding = ((0, 0), (1, 2))
    ragged = dataclasses.replace(
        short,
        ids=jnp.pad(short.ids, padding, constant_values=nowhere),
        log_probs=jnp.pad(short.log_probs, padding, constant_values=-jnp.inf),
    )
    value = jax.jit(jax.value_and_grad(lambda s, r: top_k_divergence(divergence, s, r).sum()))
    assert_trees_close(value(student, ragged), value(student, short))


def test_rows_that_are_no_tokens_are_in_no_tail():
    student, teacher = logits(18), logits(19)
    widths = ((0, 0), (0, 2))
    padded = [jnp.pad(side, widths, constant_values=-jnp.inf) for side in (student, teacher)]
    record, short = top_k(padded[1], K), top_k(teacher, K)
    np.testing.assert_allclose(record.log_tail, short.log_tail, rtol=1e-6)
    value = jax.value_and_grad(lambda s, r: top_k_divergence(ForwardKL(), s, r).sum())
    found, gradient = value(padded[0], dataclasses.replace(record, vocab_size=V))
    expected, expected_gradient = value(student, short)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, jnp.pad(expected_gradient, widths), atol=1e-6)


@every_divergence
@pytest.mark.parametrize(("shift", "scale"), [(1e4, 1.0), (0.0, 1e4)])
def test_large_logits_equal_float64_numpy(row, shift, scale):
    student, teacher = logits(20) * scale + shift, logits(21) * scale - shift
    record = top_k(teacher, K)
    value, gradient = jax.value_and_grad(lambda s: top_k_divergence(row.dataclass(), s, record).sum())(student)
    assert jnp.isfinite(gradient).all()
    exact = row.oracle(*(events(log_probs(side), record.ids) for side in (student, teacher)))
    if np.isfinite(exact).all():
        np.testing.assert_allclose(value, exact.sum(), rtol=1e-5, atol=1e-5)


def test_uniform_and_one_token_distributions_have_a_finite_gradient():
    one = jnp.full((2, V), -jnp.inf).at[:, 4].set(3.0)
    runs = [
        jax.jit(jax.value_and_grad(lambda s, r, d=divergence: top_k_divergence(d, s, r).sum()))
        for divergence in (ForwardKL(), losses.JensenShannon())
    ]
    for student, teacher in ((jnp.zeros((2, V)), jnp.zeros((2, V))), (one, one), (jnp.zeros((2, V)), one)):
        record = top_k(teacher, K)
        for run in runs:
            value, gradient = run(student, record)
            assert jnp.isfinite(value)
            assert jnp.isfinite(gradient).all()


def test_bfloat16_is_compared_in_float32_and_float64_is_kept():
    student, teacher = (logits(seed, (16, V)).astype(jnp.bfloat16) for seed in (22, 23))
    record = top_k(teacher, K)
    assert record.log_probs.dtype == record.log_tail.dtype == jnp.float32
    value = top_k_divergence(ForwardKL(), student, record)
    assert value.dtype == jnp.float32
    single = top_k_divergence(ForwardKL(), student.astype(jnp.float32), top_k(teacher.astype(jnp.float32), K))
    np.testing.assert_array_equal(value, single)
    with jax.enable_x64(True):
        student, teacher = (jnp.asarray(np.float64(side)) for side in (student, teacher))
        record = top_k(teacher, K)
        value = top_k_divergence(ForwardKL(), student, record)
        assert record.log_tail.dtype == value.dtype == jnp.float64
        exact = ROWS["forward_kl"].oracle(*(events(log_probs(side), record.ids) for side in (student, teacher)))
        np.testing.assert_allclose(value, exact, rtol=1e-12)


@pytest.mark.usefixtures("unchecked_shapes")
def test_transforms_change_nothing():
    student, teacher = logits(24, (2, 3, V)), logits(25, (2, 3, V))
    make = functools.partial(top_k, k=K, temperature=2.0)
    compare = functools.partial(top_k_divergence, ForwardKL(temperature=2.0))
    record = make(teacher)
    for transformed in (jax.jit(make)(teacher), jax.vmap(make)(teacher)):
        assert_trees_close(transformed, record, rtol=2e-6, atol=1e-6)
    eager = compare(student, record)
    np.testing.assert_allclose(jax.jit(compare)(student, record), eager, rtol=2e-6)
    np.testing.assert_allclose(jax.vmap(compare)(student, record), eager, rtol=2e-6)
    loop = [compare(student[row], jax.tree.map(lambda leaf, row=row: leaf[row], record)) for row in range(2)]
    np.testing.assert_allclose(jnp.stack(loop), eager, rtol=2e-6)


def linear_case(temperature=1.0, tokens=(3, 5)):
    student = hiddens(26, 8, tokens=tokens, rows=16, bias=True)
    record = top_k(head_logits(hiddens(27, 6, tokens=tokens, rows=16))[..., :13], K, temperature=temperature)
    return student, record, targets(26, tokens=tokens)


@every_taker
@pytest.mark.parametrize("name", ["forward_kl", "adaptive_kl", "wasserstein_sorted"])
def test_through_hidden_states_it_is_the_same(implementation, name):
    student, record, given = linear_case(temperature=2.0)
    divergence = ROWS[name].dataclass(temperature=2.0)

    def total(student):
        loss = linear_divergence(student, record, divergence=divergence, implementation=implementation, **given)
        return loss.total, loss

    def expected(student):
        logits = head_logits(student)
        values = top_k_divergence(divergence, logits, record)
        nats = losses.cross_entropy(logits, given["labels"])
        return (given["weights"] * values + given["label_weights"] * nats).sum(), values

    (value, loss), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(student)
    (exact, columns), exact_gradient = jax.jit(jax.value_and_grad(expected, has_aux=True))(student)
    np.testing.assert_allclose(value, exact, rtol=2e-6)
    used = given["weights"] != 0
    np.testing.assert_allclose(loss.divergence[used], columns[used], rtol=1e-5, atol=1e-6)
    assert_trees_close(gradient, exact_gradient)


@every_taker
def test_all_tokens_through_hidden_states_are_the_whole_divergence(implementation):
    student, teacher, given = hiddens(28, 8), hiddens(29, 6), targets(28)
    record = top_k(head_logits(teacher)[..., :13], 13)
    divergence = losses.SymmetricKL()

    def total(student):
        return linear_divergence(student, record, divergence=divergence, implementation=implementation, **given).total

    value, gradient = jax.jit(jax.value_and_grad(total))(student)
    loss, (to_student, _) = compiled("reference", divergence)(student, teacher, given)
    np.testing.assert_allclose(value, loss.total, rtol=2e-6)
    assert_trees_close(gradient, to_student)


@every_taker
@pytest.mark.parametrize("junk", [1e3, jnp.nan])
def test_what_a_masked_position_holds_does_not_matter(implementation, junk):
    student, record, given = linear_case()
    given["label_weights"] = jnp.where(given["weights"] == 0, 0.0, given["label_weights"])
    masked = given["weights"] == 0
    assert masked.any()

    def total(student, record):
        return linear_divergence(student, record, divergence=ForwardKL(), implementation=implementation, **given).total

    run = jax.jit(jax.value_and_grad(total))
    spoilt = with_values(student, jnp.where(masked[..., None], junk, student.values))
    others = dataclasses.replace(record, ids=jnp.where(masked[..., None], 0, record.ids))
    value, gradient = run(student, record)
    found, found_gradient = run(spoilt, others)
    np.testing.assert_allclose(found, value, rtol=1e-6)
    assert_trees_close(found_gradient, gradient)
    np.testing.assert_array_equal(found_gradient.values[masked], 0)


@every_taker
@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 1, 8)], ids=str)
def test_eight_devices_change_nothing(implementation, shape):
    """To 1e-6 of the largest element."""
    student, record, given = linear_case(tokens=(3, 7))

    def total(student):
        loss = linear_divergence(student, record, divergence=ForwardKL(), implementation=implementation, **given)
        return loss.total, loss.divergence

    run = jax.jit(jax.value_and_grad(total, has_aux=True))
    alone = run(student)
    mesh = jax.make_mesh(shape, ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        spread = run(student)
    for found, expected in zip(jax.tree.leaves(spread), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared():
    teacher = logits(30)
    for k in (0, V + 1):
        with pytest.raises(ValueError, match=rf"k must be in \[1, 9\], the size of the vocabulary, got {k}"):
            top_k(teacher, k)
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}"):
            top_k(teacher, K, temperature=temperature)
    record = top_k(teacher, K, temperature=2.0)
    for refused in (
        lambda: top_k_divergence(ForwardKL(), logits(31), record),
        lambda: linear_divergence(
            hiddens(31, 4, tokens=(4,), rows=V, vocabulary=V), record, weights=jnp.ones(4), divergence=ForwardKL()
        ),
    ):
        with pytest.raises(
            ValueError, match=r"divergence.temperature must be the 2.0 .* got 1.0. Make the record again at that"
        ):
            refused()
    with pytest.raises(ValueError, match=r"student_logits must have the 9 tokens of the top-k record, got 8. A diverg"):
        top_k_divergence(ForwardKL(temperature=2.0), logits(31, (4, 8)), record)
