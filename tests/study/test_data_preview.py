"""Data of a study, read before anything trains, and the first examples as a student reads them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxkd.data import Jsonl
from jaxkd.data.images import ImageExample, ImageSource
from jaxkd.evals import BitsPerByte
from jaxkd.recipes.dpo import DPO
from jaxkd.study import Generate, Study, run_study
from jaxkd.study.data_preview import preview, require_sources
from jaxkd.study.plans import print_plans


def with_test_file(train, source, path):
    """The stage, measured at its end on the test split of another file."""
    (evaluator,) = (one for one in train.evaluators if isinstance(one, BitsPerByte))
    changed = dataclasses.replace(evaluator, source=dataclasses.replace(source, test=str(path)))
    return dataclasses.replace(train, evaluators=(changed,))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, r"Jsonl\.test must name an existing file"),
        ('{"prompt"', ValueError, r"line 1: a row must"),
    ],
)
def test_a_bad_test_file_is_noticed_before_training(tiny, tmp_path, content, error, message):
    path = tmp_path / "test.jsonl"
    if content is not None:
        path.write_text(content)
    train = with_test_file(tiny.train(tiny.sft()), tiny.text.source, path)
    study = Study(name="tiny", title="", description="", stages=(train,))
    with pytest.raises(error, match=message):
        run_study(study, tmp_path / "run")
    if content is not None:
        with pytest.raises(error, match=message):
            print_plans(study, tmp_path / "run")
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").rglob("metrics.jsonl"))


def test_a_best_step_is_not_tested_on_what_chose_it(tiny, tmp_path):
    path = tmp_path / "test.jsonl"
    shared = Path(tiny.text.source.validation).read_text().splitlines()[0]
    path.write_text(f'{{"prompt": "Another", "response": "answer"}}\n{shared}\n')
    train = with_test_file(tiny.train(tiny.sft()), tiny.text.source, path)
    require_sources([train])
    chosen = dataclasses.replace(train, keep_best="bits_per_byte", evaluate_every=1, save_every=1)
    with pytest.raises(ValueError, match=r"must share no answer .* got 1, such as 'rows.jsonl:1' and 'test.jsonl:2'"):
        require_sources([chosen])
    path.write_text(path.read_text().replace("Another", "A third").replace(shared, ""))
    require_sources([chosen])


def test_answers_that_a_stage_will_write_are_not_read(tiny):
    later = Jsonl(train="stage:generate", validation=tiny.text.source.validation)
    recipe = tiny.sft(data=dataclasses.replace(tiny.text, source=later))
    train = tiny.train(recipe, name="sft")
    require_sources([Generate(name="generate", model=tiny.teacher, data=tiny.text), train])
    assert preview(train) == ""


def test_the_preview_shows_the_targets(tiny, tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"the {n}", "response": f"he {n}\nhe"} for n in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = dataclasses.replace(tiny.text, source=Jsonl(train=str(path)))
    lines = preview(tiny.train(tiny.sft(data=text))).splitlines()
    assert len(lines) == 3
    for n, line in enumerate(lines):
        assert line.startswith(f"example {n + 1}: ")
        prompt, _, targets = line.partition("[[")
        assert f"the {n}" in prompt
        assert targets.startswith(f"he {n}\\nhe")
        assert targets.endswith("]]")


def test_the_preview_of_pairs_shows_both_answers(tiny, tiny_preferences):
    lines = preview(tiny.train(DPO(student=tiny.narrow, data=tiny_preferences))).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"example {number} {side}" for number in (1, 2, 3) for side in ("chosen", "rejected")
    ]
    assert "[[the he 0" in lines[0]


def test_a_stage_without_training_has_no_preview(tiny):
    assert preview(tiny.evaluate()) == ""


def test_a_plan_needs_no_files_and_says_which_are_missing(tiny, tmp_path, capsys):
    """As that of a published pair of models, on a machine that has neither."""
    train = with_test_file(tiny.train(tiny.sft()), tiny.text.source, tmp_path / "test.jsonl")
    print_plans(Study(name="tiny", title="", description="", stages=(train,)), tmp_path / "run")
    printed = capsys.readouterr().out
    assert "Train, SFT" in printed
    assert "data: Jsonl.test must name an existing file" in printed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures(ImageSource):
    """Groups of the images of each split."""

    train: tuple[str, ...] = ("a",)
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    damaged: bool = False

    @property
    def size(self):
        return 2, 2

    def examples(self, split):
        pixels = np.zeros((2, 2, 3), np.uint8)
        return [
            ImageExample(key=group, group=group, image=pixels, target=pixels[..., 0]) for group in getattr(self, split)
        ]

    def validate(self):
        if self.damaged:
            raise ValueError("a.png cannot be read")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """Stands for a stage, or for an evaluator with a split of its own."""

    source: Any
    split: str = "train"
    evaluators: tuple = ()


def test_images_are_checked_before_training():
    good = Pictures(validation=("b",))
    require_sources([Seen(source=good, evaluators=(Seen(source=good, split="validation"),))])
    with pytest.raises(ValueError, match=r"a\.png cannot be read"):
        require_sources([Seen(source=Pictures(damaged=True))])
    with pytest.raises(ValueError, match=r"the group 'a' must be in one split of Pictures"):
        require_sources([Seen(source=Pictures(test=("a",)))])


def test_a_split_without_images_is_refused_where_it_is_used():
    source = Pictures()
    require_sources([Seen(source=source)])
    with pytest.raises(
        ValueError, match=r"Pictures must have images in its validation split, which a stage uses, got none\. Add"
    ):
        require_sources([Seen(source=source, evaluators=(Seen(source=source, split="validation"),))])
