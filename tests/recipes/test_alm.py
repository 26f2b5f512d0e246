"""ALM against float64 NumPy, a text and a chunk at a time, and its gradient against a dense twin."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.losses import AdaptiveKL, ForwardKL, ReverseKL
from jaxkd.models import Pretrained
from jaxkd.recipes import alm
from jaxkd.recipes.alm import ALM
from jaxkd.runtime import configs
from tests.memory import assert_never_as_large_as_the_logits
from tests.recipes import numpy_losses as oracle
from tests.recipes import paired_batches
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import loss_and_gradients

SOME = 0.036
"""A threshold that joins some of the tiny text's chunks; 0.9 joins those of a text to one."""


@pytest.fixture(scope="module")
def batch(tiny):
    """With chunks of several tokens on either side."""
    return paired_batches.coarse(paired_batches.first(tiny))


def texts(batch):
    """(row, student's places, teacher's places) of each text."""
    ours, theirs = np.asarray(batch.student_spans.segment_ids), np.asarray(batch.teacher_spans.segment_ids)
    for row in range(len(ours)):
        for segment in range(1, ours[row].max() + 1):
            yield row, np.flatnonzero(ours[row] == segment), np.flatnonzero(theirs[row] == segment)


def chunks_of(batch, row, ours, theirs):
    """The tokens between common ends, on both sides."""
    our_ends, their_ends = (
        np.asarray(batch.student_spans.ends)[row, ours],
        np.asarray(batch.teacher_spans.ends)[row, theirs],
    )
    before = 0
    for end in sorted(set(our_ends) & set(their_ends) - {0}):
        yield [places[(before < ends) & (ends <= end)] for places, ends in ((ours, our_ends), (theirs, their_ends))]
        before = end


def joined_chunks(batch, boundary, threshold):
    """(row, [student's tokens, teacher's tokens], whether a boundary follows) of each chunk that is compared."""
    for row, ours, theirs in texts(batch):
        parts = list(chunks_of(batch, row, ours, theirs))
        held = [np.zeros(0, int), np.zeros(0, int)]
        for number, part in enumerate(parts):
            held = [np.concatenate(pair) for pair in zip(held, part, strict=True)]
            last = number == len(parts) - 1
            if threshold is None or last or boundary[row, part[1][-1] + 1] > threshold:
                yield row, held, threshold is not None and not last
                held = [np.zeros(0, int), np.zeros(0, int)]


def binary(divergence, log_b, log_a):
    """In float64, D of two outcomes."""
    b, a = np.exp(log_b), np.exp(log_a)
    if isinstance(divergence, ReverseKL):
        a, b = b, a
    return a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))


def milder(tiny, threshold, divergence=ForwardKL()):
    """A recipe of a temperature at which the divergence is large."""
    return tiny.cross(ALM, kd_rate=0.3, boundary_threshold=threshold, divergence=divergence, temperature=20.0)


@pytest.mark.parametrize(
    ("threshold", "divergence"),
    [(None, ForwardKL()), (SOME, ForwardKL()), (0.9, ForwardKL()), (SOME, ReverseKL())],
    ids=["no boundaries", "some joined", "all joined", "reverse"],
)
def test_equals_float64_numpy(tiny, batch, threshold, divergence):
    recipe = milder(tiny, threshold, divergence)
    recipe.validate()
    value, output, _, variables = loss_and_gradients(recipe, batch)
    sides = (
        (recipe.student, oracle.hiddens(recipe.student.config(), variables.params["student"], batch.student)),
        (recipe.teacher, oracle.hiddens(recipe.teacher.config(), variables.frozen["teacher"], batch.teacher)),
    )
    logs = [oracle.log_softmax(oracle.logits(hiddens)) for _, hiddens in sides]
    behind = [
        np.exp(log)[..., paired_batches.starts_a_boundary(model)].sum(-1)
        for log, (model, _) in zip(logs, sides, strict=True)
    ]
    labels = [
        np.take_along_axis(log, np.asarray(side.labels)[..., None], -1)[..., 0]
        for log, side in zip(logs, (batch.student, batch.teacher), strict=True)
    ]
    total, compared = 0.0, 0
    for row, places, boundary in joined_chunks(batch, behind[1], threshold):
        q, p = (
            label[row, own].sum() + (np.log(after[row, own[-1] + 1]) if boundary else 0)
            for label, after, own in zip(labels, behind, places, strict=True)
        )
        total += 20.0 * binary(divergence, q / 20.0, p / 20.0)
        compared += 1
    count = int(batch.student.loss_mask.sum())
    gold = -labels[0][np.asarray(batch.student.loss_mask)].sum()
    np.testing.assert_allclose(value, (0.7 * gold + 0.3 * total) / count, rtol=2e-6)
    np.testing.assert_allclose(output.metrics["chunks"].value(), compared / count, rtol=1e-6)
    np.testing.assert_allclose(output.metrics["chunk_divergence"].value(), total / compared, rtol=1e-5)
    assert output.metrics["in_chunks"].value() > 0.9


def test_a_threshold_joins_chunks(tiny, batch):
    """The one between all and none is among those of the oracle."""
    some, all_of_them = (
        loss_and_gradients(milder(tiny, threshold), batch)[1].metrics["chunks"].total for threshold in (SOME, 0.9)
    )
    chunks = sum(len(list(chunks_of(batch, *text))) for text in texts(batch))
    assert chunks > some > all_of_them == len(list(texts(batch)))


def test_a_student_that_is_the_teacher_has_its_labels_alone(tiny):
    """One tokenizer, one model: every probability is equal."""
    recipe = tiny.cross(ALM, student=tiny.teacher, data=dataclasses.replace(tiny.paired, student=tiny.text))
    batch = next(iter(recipe.batches("train", 0)))
    value, output, (gradient, _), _ = loss_and_gradients(recipe, batch)
    np.testing.assert_allclose(output.metrics["chunk_divergence"].value(), 0, atol=2e-5)
    np.testing.assert_allclose(value, 0.5 * output.metrics["cross_entropy"].value(), rtol=1e-5)
    _, _, (alone, _), _ = loss_and_gradients(tiny.sft(student=tiny.teacher), batch.student)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b / 2, rtol=1e-3, atol=2e-5), gradient, alone)


@pytest.mark.parametrize("threshold", [None, SOME])
def test_answers_without_a_common_end_have_their_labels_alone(tiny, batch, threshold):
    recipe = milder(tiny, threshold)
    value, output, (gradient, _), _ = loss_and_gradients(recipe, paired_batches.without_aligned_tokens(batch))
    np.testing.assert_allclose(value, 0.7 * output.metrics["cross_entropy"].value(), rtol=1e-6)
    assert all(output.metrics[name].value() == 0 for name in ("in_chunks", "chunks", "chunk_divergence"))
    assert not all_zero(gradient["student"])


def test_a_cut_side_is_compared_up_to_the_last_common_end(tiny, batch):
    """Nothing behind it counts, on either side, and no chunk is joined with one of the next text."""
    cut = dataclasses.replace(
        batch, teacher_spans=dataclasses.replace(batch.teacher_spans, ends=np.minimum(batch.teacher_spans.ends, 8))
    )
    for threshold in (None, SOME):
        output = loss_and_gradients(milder(tiny, threshold), cut)[1]
        assert np.isfinite(output.loss)
        assert 0 < output.metrics["in_chunks"].value() < 0.9


def test_stores_no_logits(tiny, batch, monkeypatch):
    """A chunk of 8,192 of 65,536 targets at a time."""
    recipe, vocabulary = tiny.cross(ALM), 4096
    monkeypatch.setattr(alm, "_boundary_tokens", lambda _, rows: np.arange(rows) % 3 == 0)
    loss = paired_batches.loss_of_hiddens(recipe, paired_batches.long(batch, 8, 8192), monkeypatch)
    sides = (paired_batches.described(8, 8192, width, vocabulary) for width in (8, 16))
    assert_never_as_large_as_the_logits(loss, *sides, tokens=8 * 8192, vocabulary=vocabulary, sizes=(8192, 8, 16))


def test_is_written_and_read_as_it_was(tiny):
    recipe = tiny.cross(ALM, divergence=ReverseKL(), boundary_threshold=None, temperature=10.0)
    assert configs.decode(configs.encode(recipe)) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be > 0, got 0\.0"),
        ({"boundary_threshold": 1.0}, r"boundary_threshold must be in \[0, 1\), or None for chunks as they are, got 1"),
        ({"divergence": AdaptiveKL()}, r"divergence must be a sum over the vocabulary and of temperature 1, got Adapt"),
        ({"divergence": ForwardKL(temperature=2.0)}, r"of temperature 1, got ForwardKL\(temperature=2\.0"),
    ],
)
def test_values_out_of_range_are_refused(tiny, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.cross(ALM, **changes).validate()


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_a_soft_cap_is_refused_where_boundaries_are_asked_for(tiny, monkeypatch, name):
    recipe = tiny.cross(ALM)
    capped, config_of = getattr(recipe, name), Pretrained.config

    def config(model):
        return dataclasses.replace(config_of(model), logit_softcap=30.0 if model == capped else None)

    monkeypatch.setattr(Pretrained, "config", config)
    with pytest.raises(ValueError, match=rf"{name} must be without a soft-cap of its logits, got {capped.path}"):
        recipe.validate()
    dataclasses.replace(recipe, boundary_threshold=None).validate()
