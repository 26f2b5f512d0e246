"""Verdicts from a file, which asks for those that are missing."""

import json

import pytest

from jaxkd.evals import RecordedJudge
from jaxkd.evals.judges.pairwise import Question
from jaxkd.runtime import configs


def test_verdicts_are_read_from_a_file_which_asks_for_those_that_are_missing(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    judge = RecordedJudge(path=str(path))
    questions = [Question(prompt="p", first=first, second=second) for first, second in ("ab", "ba", "ab")]
    with pytest.raises(ValueError, match=r"for each of the 3 questions, got none for 2, of which 2 were added now"):
        judge(questions)
    with pytest.raises(ValueError, match=r"got none for 2, of which 0 were added now"):
        judge(questions)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["verdict"] for row in rows] == [None, None]
    rows[0]["verdict"], rows[1]["verdict"] = "first", "tie"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge(questions) == ["first", "tie", "first"]
    path.write_text(json.dumps(rows[0] | {"verdict": "A"}) + "\n")
    with pytest.raises(
        ValueError, match=r"line 1: \"verdict\" must be one of 'first', 'second', 'tie' or null, got 'A'"
    ):
        judge(questions)
    assert configs.decode(configs.encode(judge)) == judge


def test_a_principle_is_a_part_of_the_question(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    judge = RecordedJudge(path=str(path))
    plain = Question(prompt="p", first="a", second="b")
    truer = Question(prompt="p", first="a", second="b", principle="Which is truer?")
    with pytest.raises(ValueError, match=r"got none for 2, of which 2 were added now"):
        judge([plain, truer])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [
        {"prompt": "p", "first": "a", "second": "b", "verdict": None},
        {"prompt": "p", "first": "a", "second": "b", "principle": "Which is truer?", "verdict": None},
    ]
    rows[0]["verdict"], rows[1]["verdict"] = "first", "second"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge.probabilities([truer, plain]) == [0.0, 1.0]
    assert judge.provenance() == f"verdicts recorded in {path}"
