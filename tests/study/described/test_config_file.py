"""A config file returns the study that it was written from, in the format of this repository."""

import dataclasses
import subprocess

import pytest

from jaxkd import train
from jaxkd.models.transformer.lora import LoRA
from jaxkd.two_models.study import SMOKE_STEPS, TwoModels

COMMAND = r"python -m jaxkd.distill --student 'a\b c' --teacher \"d\" " + " ".join(
    f"--option-{n} {n}" for n in range(12)
)


@pytest.fixture
def one_vocabulary(tiny) -> TwoModels:
    return TwoModels(
        name="narrow_from_tiny",
        student=tiny.narrow,
        teacher=tiny.teacher,
        source=tiny.text.source,
        method="logit_kd",
        student_template="chat",
        teacher_template="chat",
        steps=40,
        rows=8,
        length=96,
        learning_rate=1e-3,
        precision="float32",
        lora=None,
        seeds=(0,),
    )


@pytest.fixture
def two_vocabularies(tiny, one_vocabulary) -> TwoModels:
    return dataclasses.replace(
        one_vocabulary,
        student=dataclasses.replace(tiny.foreign, layers=(1,)),
        method="dskdv2_eta",
        student_template="plain",
        precision="bfloat16",
        lora=LoRA(rank=4, alpha=8.0),
        seeds=(0, 1, 2),
    )


@pytest.mark.parametrize("models", ["one_vocabulary", "two_vocabularies"])
def test_a_config_file_returns_the_same_study(request, models, tmp_path):
    made = request.getfixturevalue(models)
    path = tmp_path / "mine.py"
    path.write_text(made.config_file(COMMAND))
    get_config = train.load_study(path)
    assert get_config("full") == made.study()
    assert get_config("smoke") == made.study(steps=SMOKE_STEPS)


@pytest.mark.parametrize("models", ["one_vocabulary", "two_vocabularies"])
def test_a_config_file_is_formatted_and_names_what_it_repeats(request, models, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(request.getfixturevalue(models).config_file(COMMAND))
    settings = ["--config", "pyproject.toml"]
    subprocess.run(["ruff", "format", "--check", *settings, str(path)], check=True)
    subprocess.run(["ruff", "check", *settings, "--ignore", "D", str(path)], check=True)
    text = path.read_text()
    assert text.count("Jsonl(") == 1
    assert "recipe=SFT(student=STUDENT, " in text
    assert "evaluators=EVALUATORS," in text
    assert "evaluate_every=cadence," in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_the_control_differs_by_the_teacher_alone(one_vocabulary, two_vocabularies):
    for made in (one_vocabulary, two_vocabularies):
        teacher, untouched, sft, kd = made.study().stages
        assert (teacher.model, untouched.model) == (made.teacher, made.student)
        assert sft.recipe.student == kd.recipe.student == made.student
        assert sft.recipe.lora == kd.recipe.lora == made.lora
        assert (sft.steps, sft.precision, sft.evaluators) == (kd.steps, kd.precision, kd.evaluators)
        assert untouched.evaluators == sft.evaluators
    assert kd.recipe.data.student == sft.recipe.data
    assert kd.recipe.data.teacher.template == teacher.evaluators[0].template == "chat"
