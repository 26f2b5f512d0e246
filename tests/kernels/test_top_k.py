"""Teachers known by their likeliest tokens: the record, and the divergence over k + 1 events."""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import losses
from jaxkd.kernels import TokenChunk, head_logits, linear_divergence, top_k, top_k_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import TopK
from tests.kernels.cases import (
    assert_all_finite,
    assert_all_zero,
    assert_trees_close,
    cast,
    compiled,
    counted,
    exact_log_probs,
    filled,
    float32,
    hiddens,
    targets,
    unless,
)
from tests.kernels.test_mesh import assert_equal, on_mesh
from tests.losses.divergence.distributions import host_logits, log_probs
from tests.losses.divergence.rows import ROWS, every_divergence

V, K, T = 9, 3, 2.0
ONE_DEVICE = {"reference": "reference", "token_chunk": TokenChunk(chunk=4)}
every_taker = pytest.mark.parametrize("implementation", ONE_DEVICE.values(), ids=ONE_DEVICE)


def logits(seed, scale=3.0):
    return host_logits(seed, (4, V), scale)


def kept(log_probs, ids):
    return np.take_along_axis(log_probs, np.asarray(ids), -1)


def tail(log_probs, ids):
    """The log-probability of all tokens but `ids`, position by position."""
    others = np.array(log_probs)
    np.put_along_axis(others, np.asarray(ids), -np.inf, -1)
    return np.logaddexp.reduce(others, -1)


def events(log_probs, ids):
    return np.concatenate([kept(log_probs, ids), tail(log_probs, ids)[..., None]], -1)


def likeliest(log_probs, k):
    return np.argsort(-log_probs, -1, kind="stable")[..., :k].astype(np.int32)


def exact_record(log_probs, k, *, width, nowhere=-1, temperature=T):
    """The record of a teacher in NumPy; ids that are none make it `width` long, so that all have one program."""
    ids = likeliest(log_probs, k)
    padding = [(0, 0)] * (ids.ndim - 1) + [(0, width - k)]
    return TopK(
        ids=np.pad(ids, padding, constant_values=nowhere),
        log_probs=np.pad(kept(log_probs, ids), padding, constant_values=-np.inf).astype(np.float32),
        log_tail=tail(log_probs, ids).astype(np.float32),
        temperature=temperature,
        vocab_size=log_probs.shape[-1],
    )


def record_of(teacher, k=K, **options):
    return exact_record(log_probs(teacher, T), k, width=V, **options)


@functools.cache
def compiled_top_k(k=K, temperature=T):
    return jax.jit(functools.partial(top_k, k=k, temperature=temperature))


@functools.cache
def compiled_divergence(row):
    """A compiled function of student and record: the values, and the gradient of their sum to student and record."""
    divergence = row.dataclass(temperature=T, gradient_to="both")

    @jax.jit
    def run(student, record):
        def total(student, log_probs, log_tail):
            known = dataclasses.replace(record, log_probs=log_probs, log_tail=log_tail)
            values = top_k_divergence(divergence, student, known)
            return values.sum(), values

        given = student, record.log_probs, record.log_tail
        (_, values), gradient = jax.value_and_grad(total, (0, 1, 2), has_aux=True)(*given)
        return values, gradient

    return run


def run(row, student, record):
    """Values and the student's gradient."""
    values, (gradient, *_) = compiled_divergence(row)(student, record)
    return np.asarray(values), np.asarray(gradient)


def slopes(function, student):
    """The derivative of each position's value by its logits: central differences in float64."""
    steps = 1e-5 * np.eye(student.shape[-1])
    return np.stack([(function(student + step) - function(student - step)) / 2e-5 for step in steps], -1)


def exact_gradient(row, student, teacher):
    """Gradient of a divergence between whole distributions to the student's logits."""
    if row.value_is_differentiated:
        return slopes(lambda one: row.oracle(log_probs(one, T), log_probs(teacher, T)), np.float64(student))
    divergence = row.dataclass(temperature=T)
    gradient = jax.jit(jax.grad(lambda student, teacher: divergence(student, teacher).sum()))
    return np.asarray(gradient(np.float32(student), np.float32(teacher)))


def test_hand_values():
    teacher = np.log(np.float32([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]]))
    record = compiled_top_k(2, 1.0)(teacher)
    np.testing.assert_array_equal(record.ids, [[1, 2], [0, 2]])
    np.testing.assert_allclose(np.exp(record.log_probs), [[0.6, 0.3], [0.5, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(record.log_tail), [0.1, 0.2], rtol=1e-6)
    assert (record.temperature, record.vocab_size) == (1.0, 3)


def test_hand_values_of_the_divergence():
    """Among nine tokens the teacher's first has 0.6 at the temperature of 2, the student's 1/9."""
    teacher = np.tile(2 * np.log(np.float32([0.6, *[0.05] * 8])), (4, 1))
    student = np.zeros((4, V), np.float32)
    forward = 0.6 * np.log(0.6 / (1 / 9)) + 0.4 * np.log(0.4 / (8 / 9))
    for name, value in (("forward_kl", forward), ("total_variation", 0.6 - 1 / 9)):
        values, _ = run(ROWS[name], student, record_of(teacher, 1))
        np.testing.assert_allclose(values, value, rtol=1e-6)


@pytest.mark.parametrize(
    ("k", "temperature"),
    [
        pytest.param(k, temperature, marks=unless((k, temperature) in {(1, 0.5), (K, 2.0), (V, 1.0)}))
        for k in (1, K, V)
        for temperature in (0.5, 1.0, 2.0)
    ],
)
def test_the_record_equals_float64_numpy(k, temperature):
    teacher = logits(0)
    record = compiled_top_k(k, temperature)(teacher)
    exact = log_probs(teacher, temperature)
    np.testing.assert_array_equal(record.ids, likeliest(exact, k))
    np.testing.assert_allclose(record.log_probs, kept(exact, record.ids), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(record.log_tail, tail(exact, record.ids), rtol=2e-6, atol=2e-6)
    assert (record.temperature, record.vocab_size) == (temperature, V)


def test_probabilities_and_tail_add_up_to_one():
    for scale, shift in ((0.0, 0.0), (1.0, 0.0), (30.0, 0.0), (1.0, 1e4)):
        for seed in range(16):
            record = compiled_top_k()(logits(seed, scale) + np.float32(shift))
            total = np.exp(record.log_probs).sum(-1) + np.exp(record.log_tail)
            np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_a_record_that_was_stored_gives_the_same_bits():
    """In float32, as a file keeps it: no log-sum-exp is lost with the other logits."""
    student, teacher = logits(2), logits(3)
    record = compiled_top_k()(teacher)
    stored = {name: np.asarray(getattr(record, name)).tobytes() for name in ("ids", "log_probs", "log_tail")}
    rebuilt = TopK(
        ids=np.frombuffer(stored["ids"], np.int32).reshape(4, K),
        log_probs=np.frombuffer(stored["log_probs"], np.float32).reshape(4, K),
        log_tail=np.frombuffer(stored["log_tail"], np.float32),
        temperature=T,
        vocab_size=V,
    )
    np.testing.assert_array_equal(*(run(ROWS["forward_kl"], student, one)[0] for one in (rebuilt, record)))
    exact = log_probs(teacher, T)
    np.testing.assert_allclose(np.exp(rebuilt.log_probs), np.exp(kept(exact, record.ids)), rtol=1e-6)
    np.testing.assert_allclose(np.exp(rebuilt.log_tail), np.exp(tail(exact, record.ids)), rtol=1e-6)


@every_divergence
def test_equals_float64_numpy_over_the_events(row):
    student, teacher = logits(4), logits(5)
    record = record_of(teacher)
    values, _ = run(row, student, record)
    exact = row.oracle(*(events(log_probs(side, T), record.ids[:, :K]) for side in (student, teacher)))
    np.testing.assert_allclose(values, exact, rtol=1e-5, atol=1e-6)


@every_divergence
def test_all_tokens_are_the_whole_divergence_in_value_and_gradient(row):
    student, teacher = logits(6), logits(7)
    record = record_of(teacher, V)
    assert (record.log_tail == -np.inf).all()
    values, gradient = run(row, student, record)
    np.testing.assert_allclose(values, row.oracle(log_probs(student, T), log_probs(teacher, T)), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(gradient, exact_gradient(row, student, teacher), rtol=2e-5, atol=2e-6)


F_DIVERGENCES = [name for name in ROWS if name.split(",")[0] not in ("alpha_beta", "adaptive_kl", "wasserstein_sorted")]


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_merging_events_never_adds_to_an_f_divergence(name):
    row, sides = ROWS[name], [(logits(seed), logits(seed + 50)) for seed in range(16)]
    bounds = [
        np.stack([run(row, student, record_of(teacher, k))[0] for student, teacher in sides]) for k in (1, K, V - 1, V)
    ]
    for fewer, more in itertools.pairwise(bounds):
        assert (fewer <= more + 1e-6).all()
    exact = [row.oracle(log_probs(student, T), log_probs(teacher, T)) for student, teacher in sides]
    np.testing.assert_allclose(bounds[-1], exact, rtol=1e-5, atol=1e-6)
    assert (bounds[0] < bounds[-1] - 1e-3).any()


def test_what_forward_kl_leaves_out_is_what_the_tails_disagree_on():
    student, teacher = logits(10), logits(11)
    record = record_of(teacher)
    log_q, log_p = log_probs(student, T), log_probs(teacher, T)
    left_out = ROWS["forward_kl"].oracle(log_q, log_p) - run(ROWS["forward_kl"], student, record)[0]
    for position in range(4):
        others = np.delete(np.arange(V), record.ids[position, :K])
        p, q = (np.exp(side[position][others]) for side in (log_p, log_q))
        inside = (p / p.sum() * np.log(p / p.sum() / (q / q.sum()))).sum()
        np.testing.assert_allclose(left_out[position], p.sum() * inside, rtol=1e-4, atol=1e-6)


@every_divergence
def test_a_token_in_the_tail_gets_its_share_of_the_gradient(row):
    """With q_v = q_tail q(v | tail): dD/dz_v is the derivative by the bucket's logit, times q(v | tail)."""
    student, teacher = logits(12, scale=1.0), logits(13, scale=1.0)
    record = record_of(teacher)
    _, gradient = run(row, student, record)
    ids = record.ids[:, :K]
    log_q, log_p = log_probs(student, T), log_probs(teacher, T)
    # Logits of the events: log-probabilities times the temperature.
    of_buckets = exact_gradient(row, T * events(log_q, ids), T * events(log_p, ids))
    assert (np.abs(of_buckets[:, -1]) > 1e-4).all()
    expected = of_buckets[:, -1:] * np.exp(log_q - tail(log_q, ids)[:, None])
    np.put_along_axis(expected, ids, of_buckets[:, :-1], -1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    assert (np.abs(gradient) > 1e-6).sum() >= gradient.size - ids.size


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.value_is_differentiated])
def test_gradient_equals_finite_differences_and_none_reaches_the_record(name):
    row, student, teacher = ROWS[name], logits(14, scale=1.0), logits(15, scale=1.0)
    record = record_of(teacher)
    _, (gradient, *to_record) = compiled_divergence(row)(student, record)
    target = events(log_probs(teacher, T), record.ids[:, :K])
    exact = slopes(lambda one: row.oracle(events(log_probs(one, T), record.ids[:, :K]), target), np.float64(student))
    np.testing.assert_allclose(gradient, exact, rtol=1e-4, atol=1e-6)
    assert_all_zero(to_record)


@every_divergence
def test_what_is_no_id_pads_a_shorter_record(row):
    student, teacher = logits(16), logits(17)
    expected = run(row, student, record_of(teacher, 2))
    for nowhere in (V, 10**6):
        assert_trees_close(run(row, student, record_of(teacher, 2, nowhere=nowhere)), expected)


def test_a_record_that_nothing_pads_is_the_same():
    student, teacher = logits(16), logits(17)
    short = compiled_top_k()(teacher)
    row = ROWS["forward_kl"]
    assert_trees_close(run(row, student, record_of(teacher)), run(row, student, short))


def test_rows_that_are_no_tokens_are_in_no_tail():
    student, teacher = logits(18), logits(19)
    row, widths = ROWS["forward_kl"], ((0, 0), (0, 2))
    padded = [np.pad(side, widths, constant_values=-np.inf) for side in (student, teacher)]
    record, short = compiled_top_k()(padded[1]), compiled_top_k()(teacher)
    np.testing.assert_allclose(record.log_tail, short.log_tail, rtol=1e-6)
    values, gradient = run(row, padded[0], dataclasses.replace(record, vocab_size=V))
    expected, expected_gradient = run(row, student, short)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, np.pad(expected_gradient, widths), atol=1e-6)


@every_divergence
@pytest.mark.parametrize(("shift", "scale"), [(1e4, 1.0), (0.0, 1e4)])
def test_large_logits_equal_float64_numpy(row, shift, scale):
    student, teacher = logits(20) * np.float32(scale) + np.float32(shift), logits(21) * np.float32(scale) - shift
    record = record_of(teacher)
    values, gradient = run(row, student, record)
    assert_all_finite(gradient)
    exact = row.oracle(*(events(log_probs(side, T), record.ids[:, :K]) for side in (student, teacher)))
    np.testing.assert_allclose(values.sum(), exact.sum(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["forward_kl", "jensen_shannon"])
def test_uniform_and_one_token_distributions_have_a_finite_gradient(name):
    even, one = np.zeros((4, V), np.float32), np.full((4, V), -np.inf, np.float32)
    one[:, 4] = 3
    for student, teacher in ((even, even), (one, one), (even, one)):
        assert_all_finite(run(ROWS[name], student, pad(compiled_top_k()(teacher))))


def pad(record):
    """To the length that most tests compile."""
    ids, log_probs = (
        np.pad(array, [(0, 0), (0, V - K)], constant_values=nothing)
        for array, nothing in ((record.ids, -1), (record.log_probs, -np.inf))
    )
    return dataclasses.replace(record, ids=ids, log_probs=log_probs)


def test_bfloat16_is_compared_in_float32_and_float64_is_kept():
    row, student, teacher = ROWS["forward_kl"], *cast((logits(22), logits(23)), jnp.bfloat16)
    record = compiled_top_k()(teacher)
    assert record.log_probs.dtype == record.log_tail.dtype == jnp.float32
    values, _ = run(row, student, pad(record))
    assert values.dtype == jnp.float32
    wide = cast((student, teacher), np.float32)
    np.testing.assert_array_equal(values, run(row, wide[0], pad(compiled_top_k()(wide[1])))[0])
    with jax.enable_x64(True):
        student, teacher = cast((student, teacher), np.float64)
        record = compiled_top_k()(teacher)
        values, _ = run(row, student, record)
        assert record.log_tail.dtype == values.dtype == jnp.float64
        exact = row.oracle(*(events(log_probs(side, T), record.ids) for side in (student, teacher)))
        np.testing.assert_allclose(values, exact, rtol=1e-12)


@pytest.mark.usefixtures("unchecked_shapes")
def test_transforms_change_nothing():
    student, teacher = jax.device_put((logits(24), logits(25)))
    make = functools.partial(top_k, k=K, temperature=T)
    compare = functools.partial(top_k_divergence, ForwardKL(temperature=T))
    record = compiled_top_k()(teacher)
    for transformed in (make(teacher), jax.jit(jax.vmap(make))(teacher)):
        assert_trees_close(transformed, record, rtol=2e-6, atol=1e-6)
    eager, one = compare(student, record), jax.jit(compare)
    np.testing.assert_allclose(one(student, record), eager, rtol=2e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(compare))(student, record), eager, rtol=2e-6)
    loop = [one(*jax.tree.map(lambda leaf, row=row: np.asarray(leaf)[row], (student, record))) for row in range(4)]
    np.testing.assert_allclose(loop, eager, rtol=2e-6)


def linear_case(seed, k=K):
    student, teacher = hiddens(seed, 8, bias=True), hiddens(seed + 1, 6)
    log_p = exact_log_probs(teacher, T).reshape(3, 5, 13)
    return student, exact_record(log_p, k, width=k), targets(seed)


@functools.cache
def compiled_linear(implementation, divergence):
    """A compiled function of student, record and targets: the loss, and the gradient of its total to the student."""

    @jax.jit
    def run(student, record, given):
        def total(student):
            loss = linear_divergence(student, record, divergence=divergence, implementation=implementation, **given)
            return loss.total, counted(loss, given)

        (_, loss), gradient = jax.value_and_grad(total, has_aux=True)(student)
        return loss, gradient

    return run


@pytest.mark.parametrize(
    ("implementation", "name"),
    [
        pytest.param(ONE_DEVICE[implementation], name, id=f"{implementation}-{name}", marks=unless(name in fast))
        for implementation, fast in {
            "reference": ["forward_kl"],
            "token_chunk": ["adaptive_kl", "wasserstein_sorted"],
        }.items()
        for name in ("forward_kl", "adaptive_kl", "wasserstein_sorted")
    ],
)
def test_through_hidden_states_it_is_the_same(implementation, name):
    student, record, given = linear_case(26)
    divergence = ROWS[name].dataclass(temperature=T)

    @jax.jit
    def direct(student, record):
        def total(student):
            logits = head_logits(student)
            values = top_k_divergence(divergence, logits, record)
            nats = losses.cross_entropy(logits, given["labels"])
            return (given["weights"] * values + given["label_weights"] * nats).sum(), values

        return jax.value_and_grad(total, has_aux=True)(student)

    loss, gradient = compiled_linear(implementation, divergence)(student, record, given)
    (exact, values), exact_gradient = direct(student, record)
    np.testing.assert_allclose(loss.total, exact, rtol=2e-6)
    expected = np.where(np.asarray(given["weights"]) != 0, values, 0)
    np.testing.assert_allclose(loss.divergence, expected, rtol=1e-5, atol=1e-6)
    assert_trees_close(gradient, exact_gradient)


@every_taker
def test_all_tokens_through_hidden_states_are_the_whole_divergence(implementation):
    divergence = losses.SymmetricKL(temperature=T)
    student, record, given = linear_case(28, k=13)
    loss, gradient = compiled_linear(implementation, divergence)(student, record, given)
    expected, (to_student, _) = compiled("reference", divergence)(student, hiddens(29, 6), given)
    np.testing.assert_allclose(loss.total, expected.total, rtol=2e-6)
    assert_trees_close(gradient, to_student)


@every_taker
@pytest.mark.parametrize("junk", [1e3, np.nan])
def test_what_a_masked_position_holds_does_not_matter(implementation, junk):
    student, record, given = linear_case(30)
    masked = np.asarray(given["weights"]) == 0
    assert masked.any()
    given["label_weights"] = np.where(masked, 0, given["label_weights"])
    run = compiled_linear(implementation, ForwardKL(temperature=T))
    loss, gradient = run(student, record, given)
    others = dataclasses.replace(record, ids=np.where(masked[..., None], 0, record.ids))
    found, found_gradient = run(filled(student, masked, junk), others, given)
    np.testing.assert_allclose(found.total, loss.total, rtol=1e-6)
    assert_trees_close(found_gradient, gradient)
    assert_all_zero(np.asarray(found_gradient.values)[masked])


@pytest.mark.parametrize(
    ("implementation", "shape"),
    [
        pytest.param("reference", (2, 2, 2), marks=pytest.mark.slow),
        ("reference", (1, 1, 8)),
        ("token_chunk", (2, 2, 2)),
        ("token_chunk", (1, 1, 8)),
    ],
    ids=str,
)
def test_eight_devices_change_nothing(implementation, shape):
    """In float64, to what `tests/kernels/test_mesh.py` derives."""
    with jax.enable_x64(True):
        arguments = cast(linear_case(32), np.float64)
        divergence = ForwardKL(temperature=T)
        alone = compiled_linear("reference", divergence)(*arguments)
        with on_mesh(*shape):
            spread = compiled_linear(ONE_DEVICE[implementation], divergence)(*arguments)
    assert_equal(spread, alone, tolerance=1e-12)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared():
    teacher = jax.device_put(logits(30))
    for k in (0, V + 1):
        with pytest.raises(ValueError, match=rf"k must be in \[1, 9\], the size of the vocabulary, got {k}"):
            top_k(teacher, k)
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}"):
            top_k(teacher, K, temperature=temperature)
    record = compiled_top_k()(teacher)
    for refused in (
        lambda: top_k_divergence(ForwardKL(), teacher, record),
        lambda: linear_divergence(
            hiddens(31, 4, tokens=(4,), rows=V, vocabulary=V),
            record,
            weights=float32(np.ones(4)),
            divergence=ForwardKL(),
        ),
    ):
        with pytest.raises(
            ValueError, match=r"divergence.temperature must be the 2.0 .* got 1.0. Make the record again at that"
        ):
            refused()
    with pytest.raises(ValueError, match=r"student_logits must have the 9 tokens of the top-k record, got 8. A diverg"):
        top_k_divergence(ForwardKL(temperature=T), teacher[:, :8], record)
