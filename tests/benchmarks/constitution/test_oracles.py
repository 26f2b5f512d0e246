"""Oracles: what is compared, what is said where data are not at hand, and that a difference shows."""

import gzip
import json

import pytest

from benchmarks.constitution import oracles, refusal_labels
from benchmarks.constitution.refusal_labels import RULES, Labelled, detection, table_row

ANSWERS = [
    Labelled(answer="I cannot help with that.", refusal=True),
    Labelled(answer="Here is a poem about the sea.", refusal=True),
    Labelled(answer="Here is how.", refusal=False),
    Labelled(answer="I refuse.", refusal=True),
]


def test_accuracy_precision_and_recall_by_hand():
    assert detection("pattern", ANSWERS) == (0.75, 1.0, 2 / 3)
    assert detection("phrases", ANSWERS) == (0.5, 1.0, 1 / 3)
    assert table_row("pattern", (ANSWERS, ANSWERS[:1])) == "0.800 1.000 0.750 | 0.750 1.000 0.667 | 1.000 1.000 1.000"
    assert refusal_labels.TABLE.keys() == RULES.keys()


def test_data_that_are_not_at_hand_are_named_and_judge_nothing(monkeypatch):
    def refuse():
        raise ConnectionError

    monkeypatch.setattr(refusal_labels, "read_labels", refuse)
    monkeypatch.delenv(oracles.PAIRS, raising=False)
    monkeypatch.setattr(oracles, "differing_files", lambda folder: {"files": 10, "a": 0, "b": 1})
    found = oracles.rows(False)
    assert [row.holds for row in found] == [None, None, None, True, False]
    assert "not at hand" in found[0].figure
    assert "JAXKD_HARMLESS_PAIRS names no file" in found[1].figure


def test_a_changed_table_shows(monkeypatch):
    monkeypatch.setattr(refusal_labels, "read_labels", lambda: (ANSWERS, ANSWERS[:1]))
    monkeypatch.delenv(oracles.PAIRS, raising=False)
    monkeypatch.setattr(oracles, "differing_files", lambda folder: {})
    first, *others = oracles.rows(False)[:4]
    assert (first.value, [row.holds for row in others]) == (5, [False] * 3)


def test_last_answers_of_a_file_and_figures_that_differ(monkeypatch, tmp_path):
    path = tmp_path / "pairs.jsonl.gz"
    pairs = [
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Who?\n\nAssistant: " + text,
            "rejected": "\n\nAssistant: ",
        }
        for text in ("I am a " + "very " * 60 + "long answer. ", "No.")
    ]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(pair) + "\n" for pair in pairs)
    chosen, rejected = oracles.read_answers(path)
    assert (chosen[1], rejected) == ("No.", ["", ""])
    assert oracles.health(chosen)["length"] == pytest.approx((66 + 2) / 2)
    assert oracles.health(chosen).keys() == {name for printed in oracles.HEALTH.values() for name in printed}


@pytest.mark.slow
def test_an_interrupted_pipeline_writes_the_same_bytes(tmp_path):
    found = oracles.differing_files(tmp_path)
    assert found.pop("files") == 9
    assert set(found.values()) == {0}
