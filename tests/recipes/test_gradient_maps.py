"""Where gradients go between two vocabularies, leaf by leaf, against dense twins in float64.

A twin shares the models' forward passes with its recipe and nothing behind them: it takes whole logits, pairs tokens by
comparing all with all, and stops the gradient where the paper does.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.distillation import forward
from jaxkd.losses import ForwardKL, JensenShannon
from jaxkd.recipes.alm import ALM
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.gold import GOLD
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.uld import ULD
from jaxkd.tokenizers import vocabulary, vocabulary_mapping
from jaxkd.training.train_step import cast
from tests.recipes import paired_batches
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial, loss_and_gradients

stop = jax.lax.stop_gradient
RATE, TEMPERATURE = 0.3, 1.5


@pytest.fixture(scope="module")
def batch(tiny):
    return paired_batches.first(tiny)


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)[..., 0]


def forward_kl(student, teacher):
    """KL(teacher || student) at the temperature."""
    log_q, log_p = (jax.nn.log_softmax(logits / TEMPERATURE) for logits in (student, teacher))
    p = jnp.exp(log_p)
    return jnp.sum(jnp.where(p > 0, p * (jnp.maximum(log_p, -1e30) - log_q), 0), axis=-1)


def exact_pairs(batch):
    """(row, student's place, teacher's place) of all tokens of one segment and span, by comparing all with all."""
    ours, theirs = jax.tree.map(np.asarray, (batch.student_spans, batch.teacher_spans))
    equal = np.logical_and.reduce(
        [
            getattr(ours, name)[:, :, None] == getattr(theirs, name)[:, None]
            for name in ("starts", "ends", "segment_ids")
        ]
    )
    return np.nonzero(equal & ((ours.segment_ids > 0) & (ours.ends > ours.starts))[:, :, None])


def examples(batch):
    """(row, student's places, teacher's places) of each example."""
    for row, (ours, theirs) in enumerate(
        zip(np.asarray(batch.student_spans.segment_ids), np.asarray(batch.teacher_spans.segment_ids), strict=True)
    ):
        for segment in range(1, ours.max() + 1):
            yield row, np.flatnonzero(ours == segment), np.flatnonzero(theirs == segment)


def exact_token_alignment(recipe, variables, batch, student, teacher):
    row, i, j = exact_pairs(batch)
    h_s, h_t = student.values[row, i], stop(teacher.values)[row, j]
    w_s, w_t = student.head.weight.T, stop(teacher.head.weight).T
    t2s = h_t @ variables.params["projectors"]["t2s"]["weight"] @ stop(w_s)
    s2t = h_s @ stop(variables.derived["s2t"]["weight"]) @ w_t
    ids = jnp.asarray(vocabulary.relation(recipe.student, recipe.teacher).student_of_teacher)
    label = ids[jnp.argmax(h_t @ w_t, -1)]
    known, label = label >= 0, jnp.maximum(label, 0)
    agree = known & (jnp.argmax(t2s, -1) == label)
    terms = jnp.where(known, cross_entropy(t2s, label), 0) + jnp.where(agree, forward_kl(h_s @ w_s, stop(t2s)), 0)
    return jnp.sum(terms + forward_kl(s2t, h_t @ w_t))


def cross_model_attention(recipe, variables, batch, student, teacher):
    projectors = variables.params["projectors"]
    tables = variables.params["student"]["embedding"], variables.frozen["teacher"]["embedding"]
    w_s, w_t = student.head.weight.T, stop(teacher.head.weight).T

    def linear(name, values):
        return values @ projectors[name]["weight"] + projectors[name]["bias"][None]

    def embedded(side, table, row, places):
        inputs = side.tokens[row, side.target_positions[row, places]]
        return stop(table[inputs]), stop(table[side.labels[row, places]])

    total = 0.0
    for row, ours, theirs in examples(batch):
        h_s, h_t = student.values[row, ours], stop(teacher.values)[row, theirs]
        query = linear("query", jnp.concatenate(embedded(batch.student, tables[0], row, ours), -1))
        inputs, targets = embedded(batch.teacher, tables[1], row, theirs)
        keys = jnp.concatenate([inputs, targets], -1)
        scores = query @ (keys / jnp.std(keys, ddof=1)).T / np.sqrt(keys.shape[-1])
        values = linear("t2s", h_t / jnp.std(h_t, ddof=1) + targets / jnp.std(targets, ddof=1))
        t2s = jax.nn.softmax(scores) @ values @ stop(w_s)
        s2t = jax.nn.softmax(scores.T) @ linear("s2t", h_s) @ w_t
        labels = batch.student.labels[row, ours]
        correct = jnp.argmax(t2s, -1) == labels
        total += jnp.sum(cross_entropy(t2s, labels)) + jnp.sum(jnp.where(correct, forward_kl(h_s @ w_s, stop(t2s)), 0))
        total += jnp.sum(forward_kl(s2t, h_t @ w_t))
    return total


def rank_matching(recipe, variables, batch, student, teacher):
    pairs = [(row, i, j) for row, *places in examples(batch) for i, j in zip(*places, strict=False)]
    row, i, j = np.array(pairs).T
    q, p = (
        -jnp.sort(-jax.nn.softmax(values @ head.weight.T))
        for values, head in ((student.values[row, i], student.head), (stop(teacher.values)[row, j], stop(teacher.head)))
    )
    size = max(q.shape[-1], p.shape[-1])
    q, p = (jnp.pad(one, ((0, 0), (0, size - one.shape[-1]))) for one in (q, p))
    return jnp.sum(jnp.abs(p - q))


def minimum_edit_distance(recipe, variables, batch, student, teacher):
    nearest = jnp.asarray(vocabulary_mapping.mapping(recipe.student, recipe.teacher).teacher_of_student)
    positions, q = batch.teacher_positions, student.values @ student.head.weight.T
    values = jnp.take_along_axis(stop(teacher.values), jnp.maximum(positions, 0)[..., None], axis=1)
    p = (values @ stop(teacher.head.weight).T)[..., jnp.maximum(nearest, 0)]
    nats = forward_kl(q, jnp.where(nearest >= 0, p, -jnp.inf))
    nats = jnp.where(positions >= 0, nats, cross_entropy(q / TEMPERATURE, batch.student.labels))
    return jnp.sum(jnp.where(batch.student.loss_mask, nats, 0))


def common_chunks(batch):
    """(row, student's tokens, teacher's tokens) of each stretch between common ends, by sets."""
    our_ends, their_ends = np.asarray(batch.student_spans.ends), np.asarray(batch.teacher_spans.ends)
    for row, ours, theirs in examples(batch):
        before = 0
        for end in sorted({*our_ends[row, ours]} & {*their_ends[row, theirs]} - {0}):
            yield (
                row,
                ours[(before < our_ends[row, ours]) & (our_ends[row, ours] <= end)],
                theirs[(before < their_ends[row, theirs]) & (their_ends[row, theirs] <= end)],
            )
            before = end


def likelihood_matching(recipe, variables, batch, student, teacher):
    """Chunks as they are, and a boundary behind each but the last of a text."""
    log_q, log_p = (
        jax.nn.log_softmax(values @ head.weight.T)
        for values, head in ((student.values, student.head), (stop(teacher.values), stop(teacher.head)))
    )
    events = [paired_batches.starts_a_boundary(model) for model in (recipe.student, recipe.teacher)]
    parts = list(common_chunks(batch))
    q, p = [], []
    for (row, *sides), following in zip(parts, [*parts[1:], (None, None, None)], strict=True):
        texts = np.asarray(batch.student_spans.segment_ids)[row]
        last = following[0] != row or texts[following[1][0]] != texts[sides[0][0]]
        for found, log, labels, places, event in zip(
            (q, p), (log_q, log_p), (batch.student.labels, batch.teacher.labels), sides, events, strict=True
        ):
            boundary = 0 if last else jax.nn.logsumexp(log[row, places[-1] + 1][event])
            found.append(jnp.sum(log[row, places, labels[row, places]]) + boundary)
    b, a = (jnp.exp(jnp.stack(one) / TEMPERATURE) for one in (q, p))
    return TEMPERATURE * jnp.sum(a * jnp.log(a / b) + (1 - a) * jnp.log((1 - a) / (1 - b)))


def hybrid(recipe, variables, batch, student, teacher):
    log_q, log_p = (
        jax.nn.log_softmax(values @ head.weight.T)
        for values, head in ((student.values, student.head), (stop(teacher.values), stop(teacher.head)))
    )

    def measure(log, labels, row, places):
        return sum(log[row, place, labels[row, place]] for place in places[:-1]) + log[row, places[-1]]

    q, p = (
        jnp.exp(jnp.stack(side))
        for side in zip(
            *(
                (measure(log_q, batch.student.labels, row, ours), measure(log_p, batch.teacher.labels, row, theirs))
                for row, ours, theirs in common_chunks(batch)
            ),
            strict=True,
        )
    )
    shared = vocabulary.relation(recipe.student, recipe.teacher)
    b, a = q[:, shared.student_ids], p[:, shared.teacher_ids]
    mixed = (a + b) / 2
    nats = jnp.sum(a * jnp.log(a / mixed) + b * jnp.log(b / mixed)) / 2
    rest = [-jnp.sort(-jnp.delete(one, ids, axis=1)) for one, ids in ((q, shared.student_ids), (p, shared.teacher_ids))]
    size = max(one.shape[1] for one in rest)
    rest = [jnp.pad(one, ((0, 0), (0, size - one.shape[1]))) for one in rest]
    return 0.5 * nats + 2 * jnp.sum(jnp.abs(rest[0] - rest[1]))


def twin(of_teacher, recipe, variables, batch):
    """(1 - rate) * CE(label) + rate * what a method adds, over the student's targets."""
    student = forward.hiddens(recipe.student.config(), variables.params["student"], batch.student)
    teacher = forward.hiddens(recipe.teacher.config(), variables.frozen["teacher"], batch.teacher)
    gold = cross_entropy(student.values @ student.head.weight.T, batch.student.labels)
    gold = jnp.sum(jnp.where(batch.student.loss_mask, gold, 0))
    learnt = of_teacher(recipe, variables, batch, student, teacher)
    return ((1 - RATE) * gold + RATE * learnt) / jnp.sum(batch.student.loss_mask)


def in_float64(variables):
    trees = {name: cast(getattr(variables, name), jnp.dtype("float64")) for name in ("params", "state", "frozen")}
    return variables.replace(**trees)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options", "of_teacher"),
    [
        (DSKDv2ETA, {"divergence": ForwardKL(temperature=TEMPERATURE)}, exact_token_alignment),
        (DSKDCrossAttention, {"divergence": ForwardKL(temperature=TEMPERATURE)}, cross_model_attention),
        (ULD, {"top": None}, rank_matching),
        (MinED, {"temperature": TEMPERATURE}, minimum_edit_distance),
        (ALM, {"temperature": TEMPERATURE, "boundary_threshold": 0.0}, likelihood_matching),
        (
            GOLD,
            {"divergence": JensenShannon(), "matched_weight": 0.5, "unmatched_weight": 2.0, "top": None},
            hybrid,
        ),
    ],
)
def test_each_leaf_has_the_gradient_of_the_dense_twin(tiny, batch, method, options, of_teacher):
    # Twins are compiled example by example.
    batch = jax.tree.map(lambda leaf: leaf[:2], batch)
    if method in (ALM, GOLD):
        batch = paired_batches.coarse(batch)  # so that the student's groups have several tokens too
    recipe, batch = tiny.cross(method, kd_rate=RATE, **options), jax.device_put(batch)
    variables = initial(recipe)
    with jax.enable_x64(True):
        variables = in_float64(variables)
        variables = variables.replace(derived=stop(recipe.prepare(variables)))
        counts = recipe.counts(batch)

        def given(trained, teacher):
            return variables.replace(params=trained, frozen=variables.frozen | {"teacher": teacher})

        def loss(*leaves):
            return recipe.loss(given(*leaves), batch, counts, jax.random.key(1)).loss

        def dense(*leaves):
            return twin(of_teacher, recipe, given(*leaves), batch)

        leaves = variables.params, variables.frozen["teacher"]
        value, (found, to_teacher) = jax.jit(jax.value_and_grad(loss, (0, 1)))(*leaves)
        expected_value, (expected, twin_to_teacher) = jax.jit(jax.value_and_grad(dense, (0, 1)))(*leaves)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, expected_value, rtol=1e-9)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * float(jnp.abs(b).max())), found, expected
        )
        assert all_zero((to_teacher, twin_to_teacher)), "nothing of the teacher, its head included"
        assert not any(all_zero(leaf) for leaf in jax.tree.leaves(found)), "all of the student and its projectors"
        unread = np.setdiff1d(np.arange(recipe.student.config().vocab_size), np.asarray(batch.student.tokens))
        assert all_zero(found["student"]["embedding"][unread])


def test_the_teacher_s_space_moves_the_student_s_body_alone(tiny, batch):
    """The part of D(q_s2t, p), which is left of the teacher where its likeliest token is none of the student's."""
    recipe = tiny.cross(DSKDv2ETA, kd_rate=RATE)
    sure = paired_batches.sure_of_an_unknown_token(recipe, batch)
    apart = paired_batches.without_aligned_tokens(sure)
    (_, _, (both, _), _), (_, _, (labels, _), _) = (loss_and_gradients(recipe, one) for one in (sure, apart))
    added = jax.tree.map(lambda a, b: a - b, both, labels)
    assert all_zero(added["projectors"])
    assert all_zero(added["student"].pop("head"))
    assert not any(all_zero(leaf) for leaf in jax.tree.leaves(added["student"]))
