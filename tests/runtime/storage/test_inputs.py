import dataclasses

import pytest

from jaxkd.runtime.storage import inputs
from jaxkd.runtime.storage.files import write_json
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    train: str
    contents: str = dataclasses.field(default="", compare=False)
    test: str = "test.jsonl"

    def input_hashes(self, split):
        return {split: self.contents}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    texts: tuple[Text, ...]
    rate: float = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    source: Text
    split: Split = "test"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    recipe: Recipe
    evaluators: tuple[Measure, ...] = ()


def run(*contents, measured="m", test="test.jsonl"):
    texts = tuple(Text(train=f"{number}.jsonl", contents=one) for number, one in enumerate(contents))
    measures = (Measure(source=Text(train="0.jsonl", test=test, contents=measured)),)
    return Run(recipe=Recipe(texts=texts), evaluators=measures)


def test_changed_contents_are_refused_and_named(tmp_path):
    inputs.store(tmp_path, run("a", "b"))
    inputs.require_unchanged(tmp_path, run("a", "b"))
    message = rf"^recipe\.texts\.1\.train '1\.jsonl' must have the contents with which the run in {tmp_path} began"
    with pytest.raises(ValueError, match=message):
        inputs.require_unchanged(tmp_path, run("a", "c"))


def test_an_evaluator_reads_the_file_of_its_split_and_may_read_another(tmp_path):
    inputs.store(tmp_path, run("a"), may_differ=["evaluators"])
    with pytest.raises(ValueError, match=r"^evaluators\.0\.source\.test 'test\.jsonl' must have the contents"):
        inputs.require_unchanged(tmp_path, run("a", measured="n"), may_differ=["evaluators"])
    inputs.require_unchanged(tmp_path, run("a", measured="n", test="other.jsonl"), may_differ=["evaluators"])


def test_a_file_that_moved_is_still_compared(tmp_path):
    inputs.store(tmp_path, run("a"))
    with pytest.raises(ValueError, match=r"^evaluators\.0\.source\.test 'moved\.jsonl' must have the contents"):
        inputs.require_unchanged(tmp_path, run("a", measured="n", test="moved.jsonl"))


def test_a_run_of_an_older_version_stored_those_of_the_recipe_or_none(tmp_path):
    inputs.require_unchanged(tmp_path, run("a"))
    write_json(tmp_path / inputs.FILE, {"texts.0.train": "a"})
    inputs.require_unchanged(tmp_path, run("a", "new"))
    with pytest.raises(ValueError, match=r"^recipe\.texts\.0\.train '0\.jsonl' must have"):
        inputs.require_unchanged(tmp_path, run("b"))
