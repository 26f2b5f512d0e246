"""GOLD against float64 NumPy, a text and a group at a time."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.kernels import SharedTokens
from jaxkd.losses import AdaptiveKL, ForwardKL, JensenShannon, ReverseKL
from jaxkd.recipes import gold
from jaxkd.recipes.gold import GOLD
from jaxkd.runtime import configs
from jaxkd.tokenizers import vocabulary
from tests.memory import assert_never_as_large_as_the_logits
from tests.recipes import numpy_losses as oracle
from tests.recipes import paired_batches
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import loss_alone, loss_and_gradients


@pytest.fixture(scope="module")
def batch(tiny):
    """With groups of several tokens on either side."""
    return paired_batches.coarse(paired_batches.first(tiny))


def groups(batch):
    """(row, student's tokens, teacher's tokens), walking along both until they end at one byte."""
    sides = [jax.tree.map(np.asarray, spans) for spans in (batch.student_spans, batch.teacher_spans)]
    for row in range(len(sides[0].ends)):
        for segment in range(1, sides[0].segment_ids[row].max() + 1):
            ours, theirs = (list(np.flatnonzero(side.segment_ids[row] == segment)) for side in sides)
            held = [], []
            while ours and theirs:
                ends = sides[0].ends[row, ours[0]], sides[1].ends[row, theirs[0]]
                if ends[0] <= ends[1]:
                    held[0].append(ours.pop(0))
                if ends[1] <= ends[0]:
                    held[1].append(theirs.pop(0))
                if ends[0] == ends[1]:
                    yield row, *held
                    held = [], []


def merged(log_probs, labels, row, places):
    """P(first tokens) P(v | first tokens), as logs."""
    return sum(log_probs[row, place, labels[row, place]] for place in places[:-1]) + log_probs[row, places[-1]]


def exact_distance(log_q, log_p, relation, divergence):
    """Matched and unmatched of one group."""
    q, p = (np.exp(log) for log in (log_q, log_p))
    a, b = p[relation.teacher_ids], q[relation.student_ids]
    match divergence:
        case ReverseKL():
            summands = b * np.log(b / a)
        case JensenShannon(beta=beta):
            mixed = beta * a + (1 - beta) * b
            summands = beta * a * np.log(a / mixed) + (1 - beta) * b * np.log(b / mixed)
    rest = [np.sort(np.delete(q, relation.student_ids))[::-1], np.sort(np.delete(p, relation.teacher_ids))[::-1]]
    size = max(len(one) for one in rest)
    rest = [np.pad(one, (0, size - len(one))) for one in rest]
    return summands.sum(), np.abs(rest[0] - rest[1]).sum()


def build(tiny, **changes):
    """One recipe for all that does not depend on its options, so that it is compiled once."""
    return tiny.cross(GOLD, **{"kd_rate": 0.3, "top": None} | changes)


@pytest.mark.parametrize(
    ("divergence", "weights"),
    [(JensenShannon(), (None, None)), (ReverseKL(), (0.5, 2.0))],
    ids=["jensen_shannon", "reverse"],
)
def test_equals_float64_numpy(tiny, batch, divergence, weights):
    changes = {"divergence": divergence, "matched_weight": weights[0], "unmatched_weight": weights[1]}
    recipe = build(tiny, **changes)
    recipe.validate()
    value, output, _, variables = loss_and_gradients(recipe, batch)
    student = oracle.hiddens(recipe.student.config(), variables.params["student"], batch.student)
    teacher = oracle.hiddens(recipe.teacher.config(), variables.frozen["teacher"], batch.teacher)
    log_q, log_p = (oracle.log_softmax(oracle.logits(side)) for side in (student, teacher))
    labels, their_labels = np.asarray(batch.student.labels), np.asarray(batch.teacher.labels)
    relation = vocabulary.relation(recipe.student, recipe.teacher)
    parts, lengths = [], []
    for row, ours, theirs in groups(batch):
        lengths.append((len(ours), len(theirs)))
        measures = merged(log_q, labels, row, ours), merged(log_p, their_labels, row, theirs)
        parts.append(exact_distance(*measures, relation, divergence))
    assert max(ours for ours, _ in lengths) > 1 and max(theirs for _, theirs in lengths) > 1
    matched, unmatched = np.array(parts).T
    share = relation.shared / relation.teacher_size
    m, u = weights if weights[0] is not None else (share, 1 - share)
    nats = oracle.cross_entropy(oracle.logits(student), labels)[np.asarray(batch.student.loss_mask)]
    expected = (0.7 * nats.sum() + 0.3 * (m * matched + u * unmatched).sum()) / len(nats)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    found = {name: float(mean.value()) for name, mean in output.metrics.items()}
    np.testing.assert_allclose(found["matched"], matched.mean(), rtol=2e-6)
    np.testing.assert_allclose(found["unmatched"], unmatched.mean(), rtol=2e-6)
    np.testing.assert_allclose(found["groups"], len(parts) / len(nats), rtol=1e-6)
    assert found["tail_bound"] == 0


def test_a_bos_on_one_side_merges_nothing(tiny, batch):
    """It stands for no text: a merge by accumulated strings puts a whole answer into one group there."""
    spans = batch.teacher_spans
    shifted = jax.tree.map(lambda leaf: np.concatenate([leaf[:, :1], leaf[:, :-1]], axis=1), spans)
    shifted.starts[:, 0] = shifted.ends[:, 0] = 0
    with_bos = dataclasses.replace(batch, teacher_spans=shifted)
    recipe = build(tiny)
    one, other = (loss_and_gradients(recipe, given)[1].metrics["groups"].total for given in (batch, with_bos))
    assert one == other


def test_a_student_that_is_the_teacher_has_its_labels_alone(tiny):
    recipe = tiny.cross(GOLD, student=tiny.teacher, data=dataclasses.replace(tiny.paired, student=tiny.text))
    value, output, _ = loss_alone(recipe, next(iter(recipe.batches("train", 0))))
    np.testing.assert_allclose(output.metrics["matched"].value(), 0, atol=1e-6)
    np.testing.assert_allclose(output.metrics["unmatched"].value(), 0, atol=1e-6)
    np.testing.assert_allclose(value, 0.5 * output.metrics["cross_entropy"].value(), rtol=1e-6)


def test_answers_without_a_common_end_have_their_labels_alone(tiny, batch):
    recipe = build(tiny)
    value, output, (gradient, _), _ = loss_and_gradients(recipe, paired_batches.without_aligned_tokens(batch))
    np.testing.assert_allclose(value, 0.7 * output.metrics["cross_entropy"].value(), rtol=1e-6)
    learnt = {"cross_entropy", "accuracy"}
    assert all(mean.value() == 0 for name, mean in output.metrics.items() if name not in learnt)
    assert not all_zero(gradient["student"])


def test_stores_no_logits(tiny, batch, monkeypatch):
    """A chunk of 8,192 of 65,536 targets at a time; a quarter as many where ranks are sorted."""
    recipe, size = tiny.cross(GOLD), 4096
    tokens = SharedTokens(student_ids=np.arange(0, size, 2), teacher_ids=np.arange(1, size, 2))
    monkeypatch.setattr(gold, "_shared", lambda *_: tokens)
    loss = paired_batches.loss_of_hiddens(recipe, paired_batches.long(batch, 8, 8192), monkeypatch)
    sides = (paired_batches.described(8, 8192, width, size) for width in (8, 16))
    assert_never_as_large_as_the_logits(loss, *sides, tokens=8 * 8192, vocabulary=size, sizes=(8192, 8, 16))


def test_is_written_and_read_as_it_was(tiny):
    recipe = tiny.cross(GOLD, divergence=ReverseKL(), matched_weight=0.5, unmatched_weight=1.0, top=None)
    assert configs.decode(configs.encode(recipe)) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top": 0}, "top must be at least 1, or None for all ranks, got 0"),
        ({"matched_weight": 0.5}, "matched_weight and unmatched_weight must be given together, got 0.5 and None"),
        (
            {"matched_weight": -0.5, "unmatched_weight": 1.0},
            r"matched_weight and unmatched_weight must be at least 0, got -0\.5 and 1\.0",
        ),
        ({"divergence": AdaptiveKL()}, r"divergence must be a sum over the vocabulary and of temperature 1, got Adapt"),
        ({"divergence": ForwardKL(temperature=2.0)}, r"of temperature 1, got ForwardKL\(temperature=2\.0"),
    ],
)
def test_values_out_of_range_are_refused(tiny, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.cross(GOLD, **changes).validate()
