import dataclasses

import pytest

from jaxkd.runtime.storage import inputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    train: str
    contents: str = dataclasses.field(default="", compare=False)

    def input_hashes(self):
        return {"train": self.contents}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    texts: tuple[Text, ...]
    rate: float = 0.1


def recipe(*contents):
    return Recipe(texts=tuple(Text(train=f"{number}.jsonl", contents=one) for number, one in enumerate(contents)))


def test_changed_contents_are_refused_and_named(tmp_path):
    inputs.store(tmp_path, recipe("a", "b"))
    inputs.require_unchanged(tmp_path, recipe("a", "b"))
    message = rf"^texts\.1\.train '1\.jsonl' must have the contents with which the run in {tmp_path} began, got others"
    with pytest.raises(ValueError, match=message):
        inputs.require_unchanged(tmp_path, recipe("a", "c"))


def test_a_run_of_an_older_version_stored_none(tmp_path):
    inputs.require_unchanged(tmp_path, recipe("a"))
    inputs.store(tmp_path, recipe())
    inputs.require_unchanged(tmp_path, recipe("a"))
