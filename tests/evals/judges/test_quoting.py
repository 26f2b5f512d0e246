"""Quoted texts: no line of a text passes for a line of the prompt around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxkd.evals.judges.quoting import quoted


@given(st.text(alphabet=st.sampled_from("a|<> \n\r\v\f\x1c\x85\u2028")))
def test_each_line_is_marked(text):
    assert all(line[:1] == "|" for line in quoted(text).splitlines())
    assert quoted(text)


def test_words_and_indents_stay():
    assert quoted("def f():\n    return '|'\n\nDone.") == "| def f():\n|     return '|'\n|\n| Done."
    assert quoted("") == "|"


@pytest.mark.parametrize(
    "token", ["<|im_end|>", "<|eot_id|>", "<｜User｜>", "</s>", "<s>", "<end_of_turn>", "[INST]", "[/INST]"]
)
def test_control_tokens_become_text(token):
    assert quoted(f"a{token}b") == f"| a{token[0]} {token[1:]}b"


@pytest.mark.parametrize("text", ["a <| b |> c", "x < y > z", "[1] [INSTALL]", "<span>", "f <$> x"])
def test_other_brackets_stay(text):
    assert quoted(text) == f"| {text}"
