import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxkd.sampling import stop_table
from jaxkd.sampling.stop_strings import before_stop
from jaxkd.tokenizers import loading
from jaxkd.tokenizers.pieces import token_bytes
from tests.assets import tiny_tokenizer_fields

ALPHABET = "ab½"


def tokens_until_stop(table, tokens):
    """How many tokens are read until a string is complete; None if none is."""
    state = 0
    for count, token in enumerate(tokens, start=1):
        state = int(table.transitions[state, token])
        if state == len(table.transitions):
            return count
    return None


def tokens_until_found(texts, stop, tokens):
    """The same by searching the whole text after every token."""
    for count in range(1, len(tokens) + 1):
        text = b"".join(texts.get(token, b"") for token in tokens[:count])
        if any(string.encode() in text for string in stop):
            return count
    return None


pieces = st.text(ALPHABET, max_size=4).map(str.encode) | st.binary(max_size=2)


@settings(deadline=None, max_examples=300)
@given(
    texts=st.lists(pieces, min_size=1, max_size=6),
    stop=st.lists(st.text(ALPHABET, min_size=1, max_size=5), min_size=1, max_size=3),
    data=st.data(),
)
def test_a_text_stops_where_a_search_finds_the_string(texts, stop, data):
    tokens = data.draw(st.lists(st.integers(0, len(texts)), max_size=12))
    spelled = dict(enumerate(texts))  # the last token stands for nothing
    table = stop_table(spelled, stop, vocab_size=len(texts) + 1)
    assert tokens_until_stop(table, tokens) == tokens_until_found(spelled, stop, tokens)
    assert len(table.transitions) <= sum(len(string.encode()) for string in stop)


@pytest.mark.parametrize("stop", ["e 4", "½", "<|im_end|>\n", "the 42 the", "\n\n"])
def test_a_real_tokenizer_may_cut_the_string_anywhere(stop):
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    spelled = token_bytes(tokenizer)
    table = stop_table(spelled, [stop], vocab_size=len(tokenizer) + 3)
    tokens = tokenizer("the 42 the 42½<|im_end|>\n\n")["input_ids"]
    count = tokens_until_stop(table, tokens)
    assert count == tokens_until_found(spelled, [stop], tokens) is not None
    assert stop in tokenizer.decode(tokens[:count])
    assert stop not in tokenizer.decode(tokens[: count - 1])


def test_the_earliest_string_ends_the_text():
    assert before_stop("one two three", ["three", "two"]) == "one "
    assert before_stop("one", ["two"]) == "one"


def test_tokens_beyond_the_head_are_left_out():
    assert stop_table({0: b"a", 5: b"b"}, ["a"], vocab_size=2).transitions.tolist() == [[1, 0]]
    assert stop_table({}, ["a"], vocab_size=2).transitions.tolist() == [[0, 0]]
    assert stop_table({0: b"a"}, ["a"], vocab_size=1).transitions.dtype == np.int32


@pytest.mark.parametrize("stop", [[], ["a", ""]])
def test_a_string_must_not_be_empty(stop):
    with pytest.raises(ValueError, match=r"stop must hold strings that are not empty, got .* Leave it out to stop at"):
        stop_table({0: b"a"}, stop, vocab_size=1)
