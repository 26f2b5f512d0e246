"""Each literal is what its model's config.json says, in the size that the model is known for."""

import dataclasses

import pytest

from jaxkd.models import DecoderConfig
from jaxkd.models.checkpoints import published
from jaxkd.models.checkpoints.config import from_hugging_face, to_hugging_face
from jaxkd.models.transformer import decoder
from tests.models.families.published import PUBLISHED

TOKENS = {"Qwen1.5": 151_646, "Qwen2.5": 151_665}
"""Number of tokens of the tokenizers that have fewer than the head has rows."""

CASES = {
    "gpt2": published.GPT2,
    "gpt2-xl": published.GPT2_XL,
    "Llama-2-7b": published.LLAMA2_7B,
    "TinyLlama-1.1B": published.TINYLLAMA_1_1B,
    "Mistral-7B-v0.1": published.MISTRAL_7B,
    "Llama-3.2-1B": published.LLAMA3_2_1B,
    "Qwen1.5-1.8B": published.QWEN1_5_1_8B,
    "Qwen2.5-1.5B": published.QWEN2_5_1_5B,
    "Qwen2.5-7B": published.QWEN2_5_7B,
    "Qwen2.5-7B-Instruct": published.QWEN2_5_7B_INSTRUCT,
    "Qwen2.5-Math-7B": published.QWEN2_5_MATH_7B,
}


def test_every_literal_is_tested():
    literals = {name for name, value in vars(published).items() if isinstance(value, DecoderConfig)}
    assert len(literals) == len(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_literal_is_what_the_file_says(name):
    mapping, parameters = PUBLISHED[name]
    expected = dataclasses.replace(from_hugging_face(mapping), tokens=TOKENS.get(name.split("-")[0]))
    assert CASES[name] == expected
    assert decoder.parameter_count(CASES[name]) == parameters


@pytest.mark.parametrize("name", CASES)
def test_a_trained_one_that_was_exported_passes_for_the_literal(name):
    found = from_hugging_face(to_hugging_face(CASES[name]))
    assert dataclasses.replace(found, tokens=CASES[name].tokens, dropout=CASES[name].dropout) == CASES[name]
