"""Scores of continuations: against a plain forward pass, shared and alone, on one device and on eight."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models import LanguageModel, Pretrained
from jaxkd.models.checkpoints.language_model import language_model as load
from jaxkd.models.transformer import decoder
from jaxkd.sampling import Continuation, continuation_log_probs
from jaxkd.sampling.context_trees import fill, grow
from jaxkd.sampling.continuations import tree_log_probs
from jaxkd.sharding import shard
from tests.models import tiny
from tests.sampling.cases import CONFIGS, language_model, log_softmax

WINDOWED = dataclasses.replace(tiny.LLAMA, windows=(3, 0), attention_softcap=5.0, logit_softcap=4.0)
MODELS = CONFIGS | {"windows and soft-caps": WINDOWED}


def question(context, *continuations):
    return [Continuation(context=tuple(context), continuation=tuple(one)) for one in continuations]


QUESTIONS = [
    *question([5, 9, 33], [7, 7, 21], [30], [7, 4], [12, 11, 10, 9, 8]),
    *question([12], [3], [4], [5]),
    *question([7, 7, 21, 30, 4, 11, 3], [1, 2]),
]


@functools.cache
def model(name):
    return language_model(MODELS[name])


def alone(model, context, continuation):
    """Log-probabilities by a plain forward pass over the whole text, the softmax in float64."""
    text = np.zeros((1, 15), np.int32)
    text[0, : len(context) + len(continuation)] = [*context, *continuation]
    found = log_softmax(np.asarray(tiny.logits(model.config, model.params, text), np.float64)[0])
    rows = range(len(context) - 1, len(context) + len(continuation) - 1)
    values = [found[row, token] for row, token in zip(rows, continuation, strict=True)]
    return values, all(found[row].argmax() == token for row, token in zip(rows, continuation, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_a_plain_forward_pass(name):
    for request, score in zip(QUESTIONS, continuation_log_probs(model(name), QUESTIONS), strict=True):
        expected, greedy = alone(model(name), request.context, request.continuation)
        np.testing.assert_allclose(score.log_probs, expected, atol=2e-5)
        assert score.log_prob == pytest.approx(sum(expected), abs=1e-4)
        assert (score.greedy, score.tokens) == (greedy, len(request.continuation))


def test_the_most_probable_tokens_are_greedy():
    likeliest, context = [], [5, 9, 33]
    for _ in range(3):
        scores = continuation_log_probs(model("llama"), question([*context, *likeliest], *([one] for one in range(40))))
        likeliest.append(int(np.argmax([score.log_prob for score in scores])))
        assert [token for token, score in enumerate(scores) if score.greedy] == likeliest[-1:]
    other = [*likeliest[:2], (likeliest[2] + 1) % 40]
    assert [one.greedy for one in continuation_log_probs(model("llama"), question(context, likeliest, other))] == [
        True,
        False,
    ]


def test_a_score_does_not_depend_on_the_other_requests():
    together = continuation_log_probs(model("llama"), QUESTIONS)
    backwards = continuation_log_probs(model("llama"), QUESTIONS[::-1], rows=1)[::-1]
    singly = [continuation_log_probs(model("llama"), [one])[0] for one in QUESTIONS]
    for first, *others in zip(together, backwards, singly, strict=True):
        for other in others:
            np.testing.assert_allclose(other.log_probs, first.log_probs, atol=1e-5)
            assert other.greedy == first.greedy
    assert continuation_log_probs(model("llama"), QUESTIONS) == together
    assert continuation_log_probs(model("llama"), []) == []


def test_the_same_request_twice_has_its_score_twice():
    first, second = continuation_log_probs(model("llama"), [QUESTIONS[0]] * 2)
    np.testing.assert_allclose(first.log_probs, second.log_probs, atol=1e-6)


def test_a_long_context_loses_its_first_tokens():
    context, continuation = (5, 9, 33, 2, 8, 1), (7, 4)
    (cut,) = continuation_log_probs(model("gpt2"), question(context, continuation), max_length=4)
    expected, _ = alone(model("gpt2"), context[3:], continuation)
    np.testing.assert_allclose(cut.log_probs, expected, atol=2e-5)
    (full,) = continuation_log_probs(model("gpt2"), question([3] * 100, continuation))
    (same,) = continuation_log_probs(model("gpt2"), question([3] * 63, continuation))
    np.testing.assert_allclose(full.log_probs, same.log_probs, atol=1e-6)
    (whole,) = continuation_log_probs(model("gpt2"), question(context, [1] * 4), max_length=4)
    expected, _ = alone(model("gpt2"), context[-1:], [1] * 4)
    np.testing.assert_allclose(whole.log_probs, expected, atol=2e-5)


def test_a_context_is_read_once_and_a_row_holds_many_trees():
    requests = [((number,) * 50, (branch,) * 11) for number in range(20) for branch in range(4)]
    trees = grow(requests)
    assert [tree.tokens for tree in trees] == [50 + 4 * 10] * 20
    assert [tree.indices for tree in trees[:2]] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    (batch,) = fill(trees, rows=8, parts=1)
    assert (batch.rows, batch.length, set(map(len, batch.trees))) == (20, 96, {1})
    arrays = batch.arrays()
    assert (arrays.trees > 0).sum() == 20 * 90
    assert arrays.mask.sum() == 20 * 44
    options = grow([((1,) * 60, (branch,)) for branch in range(26)])
    assert [tree.tokens for tree in options] == [60]


def test_rows_are_as_wide_as_costs_least():
    def shapes(*lengths, rows=8, parts=1):
        trees = grow([((number,) * length, (1,)) for number, length in enumerate(lengths)])
        return [(one.rows, one.length) for one in fill(trees, rows=rows, parts=parts)]

    assert shapes(18) == [(1, 32)]
    assert shapes(*[130] * 60) == [(20, 192)] * 3, "wider rows would have less padding and more attention"
    assert shapes(*[60] * 1000) == [(64, 64)] * 16, "at most 128 rows, in groups of one size"
    assert shapes(*[60] * 33) == [(36, 64)], "few sizes"
    assert shapes(*[60] * 9, parts=8) == [(16, 64)]
    assert shapes(600, 600, 600, rows=1) == [(1, 768)] * 3
    assert shapes(*[100] * 3, 1700) == [(1, 2048)], "short ones fill the row of a long one"


def test_many_long_continuations_of_a_context_become_several_trees():
    trees = grow([((1,) * 100, (branch,) * 101) for branch in range(10)])
    assert [len(tree.branches) for tree in trees] == [4, 4, 2]
    long = grow([((1,) * 1000, (branch,) * 501) for branch in range(3)])
    assert [len(tree.branches) for tree in long] == [2, 1]


def test_few_shapes_are_compiled():
    random = np.random.default_rng(0)
    requests = [
        ((number % 40, *random.integers(0, 40, random.integers(1, 20))), tuple(random.integers(0, 40, length)))
        for number in range(200)
        for length in random.integers(1, 10, 4)
    ]
    roomy = dataclasses.replace(tiny.LLAMA, max_positions=1024)
    before = tree_log_probs._cache_size()
    continuation_log_probs(
        language_model(roomy), [Continuation(context=one, continuation=two) for one, two in requests]
    )
    assert tree_log_probs._cache_size() - before <= 2
    long = [Continuation(context=(5,) * length, continuation=(3, 4)) for length in (700, 800, 900, 1000)]
    continuation_log_probs(language_model(roomy), long)
    assert tree_log_probs._cache_size() - before <= 4


@pytest.mark.parametrize("axes", [(8, 1, 1), (2, 2, 2)])
def test_eight_devices_give_the_scores_of_one(axes):
    requests = [*QUESTIONS, *(one for first in range(30) for one in question([first] * 60, [1, 2], [3, 4, 5]))]
    expected = continuation_log_probs(model("llama"), requests)
    mesh = jax.make_mesh(axes, ("data", "fsdp", "tensor"), (AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        sharded = language_model(tiny.LLAMA, place=lambda params: shard(params, decoder.logical_axes(tiny.LLAMA)))
        for found, one in zip(continuation_log_probs(sharded, requests), expected, strict=True):
            np.testing.assert_allclose(found.log_probs, one.log_probs, atol=1e-5)
            assert found.greedy == one.greedy


@pytest.mark.parametrize(
    ("context", "continuation", "options", "said"),
    [
        ([1], [], {}, "continuation must have at least one token, that of request 1 has none"),
        ([], [1], {}, "context must have at least one token, that of request 1 has none"),
        ([40], [1], {}, r"must be ids of the model's 40 tokens, got \[40\] in request 1"),
        ([1], [-1], {}, r"must be ids of the model's 40 tokens, got \[-1\] in request 1"),
        ([1], [2] * 65, {}, "continuation must have at most max_length=64 tokens, got 65 in request 1"),
        ([1], [2] * 5, {"max_length": 4}, "at most max_length=4 tokens, got 5 in request 1"),
        ([1], [2], {"max_length": 65}, "max_length must be between 1 and the model's 64 positions, got 65"),
        ([1], [2], {"max_length": 0}, "max_length must be between 1 and the model's 64 positions, got 0"),
        ([1], [2], {"rows": 0}, "rows must be at least 1, got 0"),
    ],
)
def test_requests_that_cannot_be_scored_are_refused(context, continuation, options, said):
    with pytest.raises(ValueError, match=said):
        continuation_log_probs(model("llama"), [QUESTIONS[1], *question(context, continuation)], **options)


@pytest.fixture(scope="module")
def smollm2(smollm2_folder) -> LanguageModel:
    return load(Pretrained(path=str(smollm2_folder)))


@pytest.mark.slow
def test_the_reference_sentence_of_smollm2(smollm2):
    """2.274143 nats a token, by NumPy in float64 and by transformers with torch."""
    ids = smollm2.tokenizer("The capital of France is Paris, and the city lies on the river Seine.\n")["input_ids"]
    assert len(ids) == 18
    (score,) = continuation_log_probs(smollm2, question(ids[:1], ids[1:]))
    assert -score.log_prob / score.tokens == pytest.approx(2.274143, abs=2e-5)
    parts = [question(ids[:cut], ids[cut:])[0] for cut in range(1, 18)]
    for cut, part in enumerate(continuation_log_probs(smollm2, parts), start=1):
        np.testing.assert_allclose(part.log_probs, score.log_probs[cut - 1 :], atol=1e-4)
