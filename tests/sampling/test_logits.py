"""Each rule against its definition in NumPy, and against transformers' own."""

import functools

import jax
import numpy as np
import pytest

from jaxkd.sampling import Sampling, logits

ROWS, VOCAB, COLUMNS, PROMPT = 6, 12, 14, 5


def case(seed=0):
    """Logits, and columns with prompts of different lengths and three tokens of text; 0 pads and is a token too."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 3, (ROWS, VOCAB)).astype(np.float32)
    tokens = random.integers(0, 4, (ROWS, COLUMNS)).astype(np.int32)
    starts = random.integers(0, PROMPT, ROWS)
    end = PROMPT + 3
    columns = np.arange(COLUMNS)
    mask = (columns >= starts[:, None]) & (columns < end)
    return values, np.where(mask, tokens, 0), mask, end


adjusted = jax.jit(logits.adjusted, static_argnames="sampling")
no_repeat_ngram = jax.jit(logits.no_repeat_ngram, static_argnames="size")


def adjust(values, tokens, mask, end, sampling):
    return np.asarray(adjusted(values, tokens, mask, np.int32(end), sampling=sampling))


def histories(tokens, mask):
    return [row[seen].tolist() for row, seen in zip(tokens, mask, strict=True)]


def probabilities(values):
    exponentials = np.exp(values.astype(np.float64) - values.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("penalty", [1.5, 0.5])
def test_repetition_penalty(penalty):
    values, tokens, mask, _ = case()
    expected = values.copy()
    for row, seen in enumerate(histories(tokens, mask)):
        for token in set(seen):
            expected[row, token] *= penalty if expected[row, token] < 0 else 1 / penalty
    ours = jax.jit(functools.partial(logits.repetition_penalty, penalty=penalty))(values, tokens, mask)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9, 20])
def test_no_repeat_ngram(size):
    values, tokens, mask, end = case()
    expected, banned = values.copy(), 0
    for row, seen in enumerate(histories(tokens, mask)):
        there = {tuple(seen[start : start + size]) for start in range(len(seen) - size + 1)}
        for token in range(VOCAB):
            if tuple([*seen, token][-size:]) in there:
                expected[row, token] = -np.inf
                banned += 1
    ours = no_repeat_ngram(values, tokens, mask, np.int32(end), size=size)
    np.testing.assert_array_equal(ours, expected)
    assert (banned > 0) == (size < 4)


def test_a_row_that_would_lose_every_token_keeps_them():
    values, tokens, mask, _ = case()
    tokens[0], mask[0] = np.arange(COLUMNS) % VOCAB, True
    ours = no_repeat_ngram(values, tokens, mask, np.int32(COLUMNS), size=1)
    np.testing.assert_array_equal(ours[0], values[0])
    assert np.isneginf(ours[1:]).any(axis=1).all()


@pytest.mark.parametrize("k", [1, 3, 12, 50])
def test_top_k(k):
    values, *_ = case()
    kept = np.argsort(np.argsort(-values, axis=-1), axis=-1) < k
    np.testing.assert_array_equal(
        jax.jit(functools.partial(logits.top_k, k=k))(values), np.where(kept, values, -np.inf)
    )


@pytest.mark.parametrize("p", [1e-6, 0.3, 0.9, 0.999, 1.0])
def test_top_p(p):
    values, *_ = case()
    expected = np.full_like(values, -np.inf)
    for row, probs in enumerate(probabilities(values)):
        mass = 0.0
        for token in np.argsort(-probs):
            expected[row, token] = values[row, token]
            mass += probs[token]
            if mass >= p - 1e-12:
                break
    ours = jax.jit(functools.partial(logits.top_p, p=p))(values)
    if p == 1.0:  # rounding may let the last few parts in 1e7 go
        np.testing.assert_allclose(probabilities(np.asarray(ours)), probabilities(values), atol=1e-6)
    else:
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("p", [1e-6, 0.05, 0.5, 1.0])
def test_min_p(p):
    values, *_ = case()
    probs = probabilities(values)
    kept = probs >= p * probs.max(axis=-1, keepdims=True)
    np.testing.assert_array_equal(
        jax.jit(functools.partial(logits.min_p, p=p))(values), np.where(kept, values, -np.inf)
    )


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_mixed(share):
    (values, *_), (others, *_) = case(0), case(1)
    values[:, 3] = others[:, 3:5] = -np.inf
    expected = (1 - share) * probabilities(values) + share * probabilities(others)
    ours = np.asarray(jax.jit(functools.partial(logits.mixed, share=share))(values, others))
    np.testing.assert_allclose(np.exp(ours), expected, rtol=2e-6)
    np.testing.assert_array_equal(np.isneginf(ours), expected == 0)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_at_least_the_most_probable_token_stays_and_nothing_is_nan(scale):
    values = (np.random.default_rng(2).normal(size=(ROWS, VOCAB)) * scale).astype(np.float32)
    values[:, VOCAB - 3 :] = -np.inf
    tokens, mask = np.zeros((ROWS, COLUMNS), np.int32), np.zeros((ROWS, COLUMNS), bool)
    sampling = Sampling(temperature=0.5, top_k=5, top_p=1e-3, min_p=1.0, repetition_penalty=2.0, no_repeat_ngram=2)
    ours = adjust(values, tokens, mask, 3, sampling)
    np.testing.assert_array_equal(np.isfinite(ours).sum(axis=1), 1)
    np.testing.assert_array_equal(ours.argmax(axis=1), values.argmax(axis=1))


def test_the_order_is_that_of_the_fields():
    values, tokens, mask, end = case()
    sampling = Sampling(temperature=1.7, top_k=6, top_p=0.8, min_p=0.1, repetition_penalty=1.3, no_repeat_ngram=2)

    @jax.jit
    def in_order(values, tokens, mask, end):
        penalized = logits.repetition_penalty(values, tokens, mask, penalty=1.3)
        divided = logits.no_repeat_ngram(penalized, tokens, mask, end, size=2) / 1.7
        return logits.min_p(logits.top_p(logits.top_k(divided, k=6), p=0.8), p=0.1)

    expected = in_order(values, tokens, mask, np.int32(end))
    np.testing.assert_allclose(adjust(values, tokens, mask, end, sampling), expected, rtol=1e-6)


def test_at_temperature_0_only_what_looks_back_applies():
    values, *columns = case()
    np.testing.assert_array_equal(adjust(values, *columns, Sampling(top_k=1, top_p=0.1, min_p=0.9)), values)
    assert (adjust(values, *columns, Sampling(no_repeat_ngram=1)) != values).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampling", "processors"),
    [
        (Sampling(repetition_penalty=1.4), [("RepetitionPenaltyLogitsProcessor", 1.4)]),
        (Sampling(no_repeat_ngram=1), [("NoRepeatNGramLogitsProcessor", 1)]),
        (Sampling(no_repeat_ngram=2), [("NoRepeatNGramLogitsProcessor", 2)]),
        (Sampling(temperature=0.6), [("TemperatureLogitsWarper", 0.6)]),
        (Sampling(temperature=1.0, top_k=4), [("TopKLogitsWarper", 4)]),
        (Sampling(temperature=1.0, top_p=0.85), [("TopPLogitsWarper", 0.85)]),
        (Sampling(temperature=1.0, min_p=0.1), [("MinPLogitsWarper", 0.1)]),
        (
            Sampling(repetition_penalty=1.2, no_repeat_ngram=3, temperature=1.5, top_k=300, top_p=0.95, min_p=0.002),
            [
                ("RepetitionPenaltyLogitsProcessor", 1.2),
                ("NoRepeatNGramLogitsProcessor", 3),
                ("TemperatureLogitsWarper", 1.5),
                ("TopKLogitsWarper", 300),
                ("TopPLogitsWarper", 0.95),
                ("MinPLogitsWarper", 0.002),
            ],
        ),
    ],
    ids=str,
)
def test_equals_transformers(sampling, processors):
    torch = pytest.importorskip("torch")
    from transformers.generation import logits_process

    random = np.random.default_rng(3)
    values = random.normal(0, 2, (8, 1000)).astype(np.float32)
    tokens = random.integers(0, 6, (8, 30)).astype(np.int32)
    theirs = torch.from_numpy(values.copy())
    for name, argument in processors:
        theirs = getattr(logits_process, name)(argument)(torch.from_numpy(tokens).long(), theirs)
    columns = np.pad(tokens, ((0, 0), (4, 3)))
    mask = np.pad(np.ones_like(tokens, bool), ((0, 0), (4, 3)))
    np.testing.assert_allclose(adjust(values, columns, mask, 34, sampling), theirs.numpy(), rtol=1e-6)
