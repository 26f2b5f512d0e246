"""Prompts after a training are rendered as those in it."""

import dataclasses
import json

from jaxkd.data import Jsonl, PackedText
from jaxkd.data.examples import Example
from jaxkd.data.text.chat import prompt_tokens
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.recipes.dpo import DPO
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.several_teachers import SeveralTeachers
from jaxkd.recipes.uld import ULD
from jaxkd.study import prompt_style
from jaxkd.study.prompt_style import PromptStyle


def text_of(tiny, folder, *systems) -> PackedText:
    rows = [
        {"messages": [*([{"role": "system", "content": one}] if one else []), *turns]}
        for one in systems
        for turns in [[{"role": "user", "content": "the"}, {"role": "assistant", "content": "he"}]]
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return dataclasses.replace(tiny.text, source=Jsonl(train=str(folder / "rows.jsonl")))


def test_a_system_message_that_all_rows_share_is_taken(tiny, tmp_path):
    text = text_of(tiny, tmp_path, "Be brief.", "Be brief.")
    style = prompt_style.of_run(tiny.train(tiny.sft(data=text)))
    assert style == PromptStyle(template="chat", system="Be brief.")
    (row, _), tokenizer = text.source.examples("train"), tiny.student.tokenizer()
    later = Example(key="", group="", messages=style.messages("the"), response="")
    assert prompt_tokens(later, tokenizer, style.template) == prompt_tokens(row, tokenizer, text.template)


def test_a_run_on_pairs_of_answers_has_the_style_of_their_prompts(tiny, tiny_preferences):
    recipe = DPO(student=tiny.narrow, data=tiny_preferences)
    assert prompt_style.of_run(tiny.train(recipe)) == PromptStyle(template="chat", system=None)


def test_rows_without_one_or_with_several_give_none(tiny, tmp_path, caplog):
    caplog.set_level("INFO", logger="jaxkd")
    assert prompt_style.of_run(tiny.train(tiny.sft())).system is None
    assert not [message for message in caplog.messages if "system messages" in message]
    caplog.clear()  # the first to read these files in a process is told that its splits share rows
    mixed = text_of(tiny, tmp_path, "Be brief.", None)
    assert prompt_style.of_run(tiny.train(tiny.sft(data=mixed))).system is None
    assert caplog.messages == ["the training rows have 2 different system messages: none is added"]


def test_rows_that_are_gone_are_reported(tiny, tmp_path, caplog):
    text = text_of(tiny, tmp_path, "Be brief.")
    (tmp_path / "rows.jsonl").unlink()
    plain = dataclasses.replace(text, template="plain")
    assert prompt_style.of_run(tiny.train(tiny.sft(data=plain))) == PromptStyle(template="plain", system=None)
    assert prompt_style.of_run(tiny.train(tiny.sft(data=plain)), system="a").system == "a"
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the training rows cannot be read, so their system message is unknown: ")


def test_the_style_is_the_students_and_is_found_within_other_recipes(tiny):
    cross = tiny.cross(ULD)
    for recipe in (cross, OnPolicy(recipe=cross), SeveralTeachers(recipes=(cross,))):
        assert prompt_style.of_run(tiny.train(recipe)).template == "plain"


def test_a_checkpoint_has_its_own_template_or_plain_text(tiny):
    for checkpoint, template in ((tiny.teacher, "chat"), (tiny.foreign, "plain")):
        model = LanguageModel(config=checkpoint.config(), params={}, tokenizer=checkpoint.tokenizer())
        assert prompt_style.of_model(model) == PromptStyle(template=template, system=None)


def test_a_style_is_one_line():
    assert str(PromptStyle(template="plain", system=None)) == "prompts: plain text"
    assert str(PromptStyle(template="plain", system="a")) == "prompts: plain text, after the system message 'a'"
    assert str(PromptStyle(template="chat", system="a")) == "prompts: chat template, system message 'a'"
