import dataclasses
import json

import pytest

from jaxkd.models import Pretrained
from tests.models import tiny
from tests.sampling.cases import language_model


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, (2,)),
        ({}, (2,)),
        ({"eos_token_id": None}, (2,)),
        ({"eos_token_id": 7}, (2, 7)),
        ({"eos_token_id": [9, 2, 7]}, (2, 7, 9)),
    ],
)
def test_a_text_ends_at_the_tokenizers_end_and_at_those_that_the_checkpoint_names(settings, expected, tmp_path):
    if settings is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(settings))
    model = language_model(tiny.LLAMA, eos=2, place=lambda params: params)
    assert dataclasses.replace(model, source=Pretrained(path=str(tmp_path))).end_tokens == expected


def test_a_model_of_no_checkpoint_may_have_no_end():
    assert language_model(tiny.LLAMA, place=lambda params: params).end_tokens == ()
