import dataclasses
import json
import re

import pytest

from jaxkd.evals.judges.rating import Rating, RatingJudge, Unparsed
from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.run import evaluate, read_result
from jaxkd.metrics import rouge
from tests.evals.suites import folders
from tests.evals.suites.respondents import Planted

KEY = {"France": "Paris", "Italy": "Rome"}


def _knows(prompt, continuations):
    """Place of the letter in front of the right option."""
    capital = next(value for country, value in KEY.items() if country in prompt)
    letter = re.search(rf"([A-Z])\. {capital}", prompt).group(1)
    return continuations.index(letter)


def _replies(prompt):
    return {
        "Water": "Yes, of course.",
        "Fire": "The answer is no.",
        "Spell": " tac\n",
        "What": "1,000 + 234 is 1,234.0, I think.",
        "Say": "hello world",
        "Write": "```python\ndef double(x):\n    return 2 * x\n```",
    }[prompt.split()[0]]


KNOWS = Planted(reply=_replies, likeliest=_knows, name="knows the key")


@pytest.fixture
def suite(tmp_path):
    return folder.read(folders.write(tmp_path / "small"))


def _values(result):
    return {f"{task.id}.{one.metric}": one.interval.estimate for task in result.tasks for one in task.metrics}


def test_a_model_that_knows_the_key_scores_100(suite):
    result = evaluate(suite, dataclasses.replace(KNOWS))
    values = _values(result)
    assert values.pop("capitals.accuracy_per_character") == 100
    assert values.pop("summaries.rouge_l") == pytest.approx(100)
    assert values == dict.fromkeys(
        (
            "capitals.accuracy",
            "facts.accuracy",
            "spelling.exact_match",
            "sums.exact_match",
            "programs.pass@1",
            "programs.pass@2",
        ),
        100.0,
    )
    capitals = result.tasks[0]
    assert (capitals.scored, capitals.replies) == (2, 6)
    assert not capitals.bias.found
    assert capitals.above_chance
    assert result.aggregates["MEAN"].value == 100
    assert result.aggregates["SUM"].missing == ("summaries.judge4",)


def test_a_model_that_always_answers_a_is_at_chance_and_its_bias_is_found(suite):
    result = evaluate(suite, Planted(reply=lambda prompt: "yes"))
    capitals = result.tasks[0]
    assert capitals.metrics[0].interval.estimate == pytest.approx(100 / 3)
    assert capitals.above_chance is False
    assert (capitals.bias.letter, capitals.bias.interval.low, capitals.bias.found) == ("A", 100.0, True)


def test_replies_that_say_nothing_are_wrong_and_counted(suite):
    result = evaluate(suite, Planted(reply=lambda prompt: "Who knows?"))
    found = {task.id: (task.unparsed, task.metrics[0].interval.estimate) for task in result.tasks}
    assert found["facts"] == (2, 0.0)
    assert found["sums"] == (1, 0.0)
    assert found["programs"] == (0, 0.0)


def test_rows_with_images_and_long_prompts_are_skipped_and_counted(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "map.png").write_bytes(b"png")
    france, italy = folders.ROWS["capitals.jsonl"]
    long = {"id": "long", "question": "Is this " + "very " * 80 + "long?", "answer": True}
    folders.write(
        tmp_path,
        capitals=[{**france, "images": ["images/map.png"]}, {**italy, "images": ["images/map.png"]}],
        facts=[*folders.ROWS["facts.jsonl"], long],
    )
    result = evaluate(folder.read(tmp_path), dataclasses.replace(KNOWS))
    capitals, facts, *_ = result.tasks
    assert (capitals.metrics, capitals.scored, capitals.skipped) == ((), 0, {"the model takes no images": 2})
    assert (facts.scored, facts.skipped) == (2, {"prompt longer than 64 tokens": 1})
    assert result.aggregates["MEAN"].missing == ("capitals.accuracy",)
    assert result.aggregates["MEAN"].value == 100


def test_a_model_that_takes_images_is_given_them_and_another_image_is_another_question(tmp_path):
    image = tmp_path / "small/images/map.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"one")
    yaml = folders.YAML.partition("tasks:\n")[0] + "tasks:\n  - {id: facts, file: facts.jsonl, type: truefalse}\n"
    rows = [{**row, "images": ["images/map.png"]} for row in folders.ROWS["facts.jsonl"][:1]]
    suite = folder.read(folders.write(tmp_path / "small", yaml=yaml, rows={"facts.jsonl": rows}))
    models = [dataclasses.replace(KNOWS, accepts_images=True, asked=[], images=[]) for _ in range(3)]
    assert evaluate(suite, models[0], folder=tmp_path / "out").tasks[0].metrics[0].interval.estimate == 100
    evaluate(suite, models[1], folder=tmp_path / "out")
    image.write_bytes(b"two")
    evaluate(folder.read(suite.folder), models[2], folder=tmp_path / "out")
    assert [model.images for model in models] == [[image], [], [image]]


def test_an_interrupted_evaluation_goes_on(suite, tmp_path):
    output = tmp_path / "out"
    first = dataclasses.replace(KNOWS, asked=[])
    result = evaluate(suite, first, folder=output)
    assert len(first.asked) == 6 + 2 + 1 + 1 + 1 + 3
    assert read_result(output) == result
    samples = output / "samples.jsonl"
    lines = samples.read_bytes().splitlines(keepends=True)
    samples.write_bytes(b"".join(lines[:9]) + lines[9][:20])
    again = dataclasses.replace(KNOWS, asked=[])
    assert evaluate(suite, again, folder=output) == result
    assert len(again.asked) == len(first.asked) - 9
    assert sorted(samples.read_bytes().splitlines()) == sorted(line.strip() for line in lines)
    other = dataclasses.replace(KNOWS, asked=[], name="another model")
    evaluate(suite, other, folder=output)
    assert len(other.asked) == len(first.asked)


def test_a_folder_that_changed_is_named_and_only_its_changes_are_asked(suite, tmp_path, caplog):
    output = tmp_path / "out"
    evaluate(suite, dataclasses.replace(KNOWS), folder=output)
    rows = [
        {**folders.ROWS["facts.jsonl"][0], "question": "Water is very wet."},
        {"id": 3, "question": "Fire is hot?", "answer": False},
    ]
    changed = folder.read(folders.write(tmp_path / "small", facts=rows))
    again = dataclasses.replace(KNOWS, asked=[])
    evaluate(changed, again, folder=output)
    assert len(again.asked) == 2
    assert "changed: facts/1; new: facts/3; gone: facts/2" in caplog.text
    other = dataclasses.replace(changed, name="other")
    with pytest.raises(ValueError, match="holds answers to the suite small, and cannot take those to other"):
        evaluate(other, again, folder=output)


def test_a_package_that_is_missing_is_named_before_anything_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(rouge, "find_spec", lambda name: None)
    rouge._jieba.cache_clear()
    yaml = folders.YAML.replace("tokens: word", "tokens: jieba")
    model = dataclasses.replace(KNOWS, asked=[])
    with pytest.raises(ModuleNotFoundError, match="needs jieba"):
        evaluate(folder.read(folders.write(tmp_path / "small", yaml=yaml)), model)
    assert model.asked == []


def test_every_answer_is_kept_with_its_score(suite, tmp_path):
    evaluate(suite, dataclasses.replace(KNOWS), folder=tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == 14
    assert [row["options"] for row in rows[:3]] == [
        ["Paris", "Lyon", "Nice"],
        ["Nice", "Paris", "Lyon"],
        ["Lyon", "Nice", "Paris"],
    ]
    assert [row["answer"] for row in rows[:3]] == [0, 1, 2] == [row["chosen"] for row in rows[:3]]
    assert rows[-1]["remark"] == "passed"


def test_a_folder_without_a_result(tmp_path):
    with pytest.raises(ValueError, match="a finished evaluation must hold result.json"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match="must be the result of an evaluation, got something else"):
        read_result(tmp_path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Judge(RatingJudge):
    """Judge that gives each of some ratings in turn."""

    ratings: tuple

    def __call__(self, questions):
        assert [question.references for question in questions] == [("Hello, world!",)] * len(self.ratings)
        return list(self.ratings)

    def provenance(self):
        return "a judge"


def test_a_judge_rates_and_its_garbage_is_counted(tmp_path):
    yaml = folders.YAML.replace("    type: generate\n", "    type: generate\n    replies: 2\n    temperature: 1.0\n")
    suite = folder.read(folders.write(tmp_path / "small", yaml=yaml))
    judge = _Judge(ratings=(Rating(score=70.0, aspects={}, text="{...}"), Unparsed(fault="no JSON", text="Good!")))
    result = evaluate(suite, dataclasses.replace(KNOWS), judge=judge, folder=tmp_path / "out")
    (summaries,) = [task for task in result.tasks if task.id == "summaries"]
    assert {one.metric: one.interval.estimate for one in summaries.metrics} == {"rouge_l": 100.0, "judge4": 70.0}
    assert (summaries.replies, summaries.unrated, result.judge) == (2, 1, "a judge")
    assert not result.aggregates["SUM"].partial
    rows = [json.loads(line) for line in (tmp_path / "out/scores.jsonl").read_text().splitlines()]
    assert [row["remark"] for row in rows if row["task"] == "summaries"] == ["{...}", "Good!"]
