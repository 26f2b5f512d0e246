"""Requests of the benchmark: encoded as the harness does, and compared before they are timed."""

import types

import pytest

from benchmarks.suites import continuations
from benchmarks.suites.choice_rows import Choice


def test_a_continuation_is_what_follows_the_tokens_of_its_context():
    tokenizer = types.SimpleNamespace(encode=lambda text: [len(word) for word in text.split(" ")])
    choices = [Choice(context="one four", continuations=(" a", " ab cde")), Choice(context="x", continuations=(" y",))]
    assert continuations._requests(choices, tokenizer) == [([3, 4], [1]), ([3, 4], [2, 3]), ([1], [1])]


def test_sides_that_disagree_are_not_timed():
    continuations._require_agreement("letters", [1.0, 2.0], [1.001, 2.0])
    with pytest.raises(ValueError, match=r"must compute scores within 0.002 .* got a difference of 0.01 for letters"):
        continuations._require_agreement("letters", [1.0, 2.0], [1.01, 2.0])
