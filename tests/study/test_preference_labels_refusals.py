"""Refusals of the PreferenceLabels stage: other inputs, judges of no use, draws that do not belong together."""

import dataclasses
import json

import jax
import pytest

from jaxkd.data import Half, Jsonl
from jaxkd.evals import Chat, Judge, ModelJudge
from tests.study.labelled_draws import ASKED, labelling, lines, write


@pytest.fixture
def stage(tmp_path):
    return labelling(tmp_path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repeats(Chat):
    """A model that says the same whatever it is asked."""

    text: str

    def __call__(self, conversations, *, max_new_tokens, temperature=0.0, received=None):
        return [self.text] * len(conversations)

    def provenance(self):
        return "a parrot"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrong(Judge):
    """A judge that returns something else."""

    found: tuple[float, ...]

    def __call__(self, questions):
        raise NotImplementedError

    def probabilities(self, questions):
        return list(self.found)


def test_a_folder_that_was_begun_with_other_inputs_is_refused_by_name(stage, tmp_path):
    constitution = tmp_path / "mine.yaml"
    constitution.write_text("preferences: [{id: a, text: 'Which is longer?'}]")
    stage = dataclasses.replace(stage, constitution=str(constitution))
    stage.run(tmp_path / "out", seed=0, stages={})
    other = dataclasses.replace(stage, constitution="eight-principles")
    with pytest.raises(ValueError, match=r"another config .* constitution: \".*mine.yaml\" -> \"eight-principles\""):
        other.run(tmp_path / "out", seed=0, stages={})
    (tmp_path / "out/train.jsonl").unlink()
    constitution.write_text("preferences: [{id: a, text: 'Which is shorter?'}]")
    with pytest.raises(
        ValueError, match=r"principles.constitution '.*mine.yaml' must have the contents with which the"
    ):
        stage.run(tmp_path / "out", seed=0, stages={})
    constitution.write_text("preferences: [{id: a, text: 'Which is longer?'}]")
    write(tmp_path / "1.jsonl", ["is 7"] * 6)
    with pytest.raises(ValueError, match=r"second.train '.*1.jsonl' must have the contents with which the run"):
        stage.run(tmp_path / "out", seed=0, stages={})


def test_verdicts_on_other_pairs_are_refused(stage, tmp_path):
    stage.run(tmp_path / "out", seed=0, stages={})
    verdicts = tmp_path / "out/verdicts.jsonl"
    rows = lines(verdicts)
    (tmp_path / "out/train.jsonl").unlink()
    for changed in ([rows[1]], [*rows, rows[0]]):
        verdicts.write_text("".join(json.dumps(row) + "\n" for row in changed))
        message = rf"line {1 if len(changed) == 1 else 5}, must be about the pairs of this run, got a verdict on '"
        with pytest.raises(ValueError, match=message):
            stage.run(tmp_path / "out", seed=0, stages={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I'd rather not say.", r"no_verdict 2\. Of 4 readings by letter of a .* a parrot, 100\.0% have no verdict"),
        ("", r"no_verdict 2\. Of 4 readings"),
        ("A", r"undecided 2\. Of 4 .* 0\.0% have no .* 1\.00 for the answer read first, .* 0\.0% of 2 .* bias \+1\.00"),
        ("B, always.", r"undecided 2\. Of 4 .* 0\.00 for the answer read first, .* position bias -1\.00"),
    ],
)
def test_a_judge_without_a_usable_verdict_is_refused_with_its_figures(stage, tmp_path, text, message):
    first, second = (write(tmp_path / f"{side}.jsonl", [f"{side}"] * 2) for side in "ab")
    stage = dataclasses.replace(stage, first=first, second=second, judge=ModelJudge(chat=Repeats(text=text)))
    with pytest.raises(ValueError, match=rf"one pair at least must have a verdict for one .* got none of 2: {message}"):
        stage.run(tmp_path / "out", seed=0, stages={})
    assert len(lines(tmp_path / "out/dropped.jsonl")) == 2
    assert not (tmp_path / "out/train.jsonl").exists()


def test_nothing_to_judge_is_refused(stage, tmp_path):
    with pytest.raises(ValueError, match=r"got none of 6: empty 1, equal 5\. /"):
        dataclasses.replace(stage, second=stage.first).run(tmp_path / "out", seed=0, stages={})
    assert json.loads((tmp_path / "out/labels.json").read_text())["judged"] is None


def test_another_margin_uses_the_verdicts_that_are_there_until_pairs_are_written(stage, tmp_path):
    with pytest.raises(ValueError, match="a smaller margin or draws that differ more"):
        dataclasses.replace(stage, margin=0.5).run(tmp_path / "out", seed=0, stages={})
    ASKED.clear()
    stage.run(tmp_path / "out", seed=0, stages={})
    assert ASKED == []
    assert len(lines(tmp_path / "out/train.jsonl")) == 3


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ((0.5,), "Wrong must return one probability per question, got 1 for 4"),
        ((0.5, 1.5, 0.5, 0.5), r"Wrong must return probabilities in \[0, 1\], or None without a verdict, got 1.5"),
        ((0.5, float("nan"), 0.5, 0.5), "or None without a verdict, got nan"),
    ],
)
def test_a_judge_that_returns_something_else_is_refused(stage, tmp_path, found, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(stage, judge=Wrong(found=found)).run(tmp_path / "out", seed=0, stages={})


def test_draws_to_other_prompts_or_of_one_key_are_refused(stage, tmp_path):
    other = write(tmp_path / "other.jsonl", ["is 1"], prefix="q")
    with pytest.raises(
        ValueError, match=r"first and second must have answers to the same prompts .* got 6 and 1 without"
    ):
        dataclasses.replace(stage, second=other).run(tmp_path / "out", seed=0, stages={})
    # The same key, another prompt.
    other = write(tmp_path / "other.jsonl", ["is 1"], prompt="he {}")
    with pytest.raises(
        ValueError, match="under the same keys, got 6 and 1 without one in common. The first key is 'p0'"
    ):
        dataclasses.replace(stage, second=other).run(tmp_path / "out", seed=0, stages={})

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Twice(Jsonl):
        def examples(self, split):
            return super().examples(split) * 2

    with pytest.raises(ValueError, match="first must have one answer to each key, got several to 'p0'"):
        dataclasses.replace(stage, first=Twice(train=stage.first.train, responses="optional")).run(
            tmp_path / "out", seed=0, stages={}
        )


def test_prompts_that_are_learnt_too_are_refused_before_anything_is_judged(stage, tmp_path):
    learnt = write(tmp_path / "learnt.jsonl", ["-", "It is.", "It is."], prompt="The  {}", prefix="s")
    with pytest.raises(
        ValueError,
        match="first must have no prompt that learnt has, got 2 in both, the first of them in 'p1' and in 's1'",
    ):
        dataclasses.replace(stage, learnt=learnt).run(tmp_path / "out", seed=0, stages={})
    assert ASKED == []
    halves = {half: Half(source=stage.first, half=half) for half in ("first", "second")}
    disjoint = dataclasses.replace(stage, first=halves["first"], learnt=halves["second"])
    disjoint.run(tmp_path / "out", seed=0, stages={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0.6}, r"margin must be in \[0, 0.5\], got 0.6. It is a distance of probabilities"),
        ({"margin": float("nan")}, r"margin must be in \[0, 0.5\], got nan"),
        ({"clamp": 0.0}, r"clamp must be in \(0, 0.5\), or None to clip no probability, got 0.0"),
        ({"clamp": 0.5}, r"clamp must be in \(0, 0.5\), or None to clip no probability, got 0.5"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
    ],
)
def test_what_cannot_work_is_refused_first(stage, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(stage, **changes).validate()


def test_more_than_one_process_is_refused(stage, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="a PreferenceLabels stage must run in one process. Label the pairs first"):
        stage.validate()
