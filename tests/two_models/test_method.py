import pytest

from jaxkd.models.transformer.lora import LoRA
from jaxkd.two_models.method import PACKED, PAIRED, chosen, recipe


def test_one_vocabulary_compares_logits(tiny):
    name, why = chosen("auto", tiny.narrow, tiny.teacher)
    assert name == "logit_kd"
    assert why.startswith("method logit_kd, by the vocabularies: ")


def test_two_vocabularies_with_tokens_in_common_compare_aligned_tokens(tiny):
    assert chosen("auto", tiny.foreign, tiny.teacher)[0] == "dskdv2_eta"


def test_a_method_that_was_asked_for_is_taken(tiny):
    name, why = chosen("mined", tiny.foreign, tiny.teacher)
    assert name == "mined"
    assert why.startswith("method mined, as asked for. ")


@pytest.mark.parametrize("method", [*PACKED, *PAIRED])
def test_a_recipe_is_valid_for_its_models(tiny, method):
    student = tiny.narrow if method in PACKED else tiny.foreign
    made = recipe(
        method,
        student=student,
        teacher=tiny.teacher,
        data=tiny.text if method in PACKED else tiny.paired.student,
        teacher_data=tiny.text,
        lora=LoRA(rank=2),
    )
    made.validate()
    assert made.lora == LoRA(rank=2)
