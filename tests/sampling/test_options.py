import dataclasses
import math

import pytest

from jaxkd.runtime import configs
from jaxkd.sampling import GREEDY, Sampling


def test_equal_options_are_one_compilation_and_survive_a_file():
    sampling = Sampling(temperature=0.7, top_k=20, top_p=0.9, min_p=0.05, repetition_penalty=1.2, no_repeat_ngram=3)
    assert hash(sampling) == hash(dataclasses.replace(sampling))
    assert configs.decode(configs.encode(sampling)) == sampling
    assert Sampling() == GREEDY


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, r"temperature must be at least 0 and finite, got -0\.1\. 0 takes the most probable"),
        ({"temperature": math.inf}, "temperature must be at least 0 and finite, got inf"),
        ({"temperature": math.nan}, "temperature must be at least 0 and finite, got nan"),
        ({"repetition_penalty": 0.0}, r"repetition_penalty must be above 0 and finite, got 0\.0\. Above 1 discourages"),
        ({"repetition_penalty": math.inf}, "repetition_penalty must be above 0 and finite, got inf"),
        ({"no_repeat_ngram": 0}, r"no_repeat_ngram must be at least 1, got 0\. None switches it off"),
        ({"top_k": 0}, r"top_k must be at least 1, got 0\. None switches it off"),
        ({"top_p": 0.0}, r"top_p must be above 0 and at most 1, got 0\.0\. None switches it off"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1, got 1.1"),
        ({"min_p": -0.5}, "min_p must be above 0 and at most 1, got -0.5"),
        ({"min_p": math.nan}, "min_p must be above 0 and at most 1, got nan"),
    ],
)
def test_values_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)
