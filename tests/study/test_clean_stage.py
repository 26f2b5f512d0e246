"""The Clean stage: rows to learn, the others with their reasons, and a report, whole whatever interrupts it."""

import dataclasses
import json
import logging

import jax
import pytest

from jaxkd.data import Hygiene, Jsonl
from jaxkd.data.text.hygiene import REASONS
from jaxkd.runtime import configs
from jaxkd.study import Clean, Study, clean_stage, run_study
from jaxkd.training.stage import refers_to_stage

CLOSER = "Have a great day! :)"
GOOD = [f"Planet {n} is made of rock, and its year has {7 * n} days." for n in range(20)]
BAD = {
    "meta_prefix": "Sure, here is a revised answer about planets.",
    "marker": "It is made of rock. RevisionRequest: say more.",
    "repetition": "It turns and turns and turns and turns",
    "emoji": "It is made of rock and sand 😀 😀",
    "length": "It is.",
}
FILES = ("train.jsonl", "dropped.jsonl", "hygiene.json")


def conversation(response, *before):
    turns = ["What is it made of?", *before, response]
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def lines(path):
    # Not `str.splitlines`, which also splits within texts.
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


@pytest.fixture
def stage(tmp_path):
    rows = [
        *(conversation(f"{text} {CLOSER}" if place % 4 == 0 else text) for place, text in enumerate(GOOD)),
        *map(conversation, BAD.values()),
        conversation(GOOD[1], GOOD[1].upper(), "Revise it."),
    ]
    return Clean(name="cleaned", source=Jsonl(train=write(tmp_path / "rows.jsonl", rows)))


def test_good_rows_are_kept_and_repaired_and_the_others_have_their_reasons(stage, tmp_path):
    stage.run(tmp_path / "out", seed=0, stages={})
    kept = Jsonl(train=str(tmp_path / "out")).examples("train")
    assert [example.response for example in kept] == GOOD
    assert {example.messages for example in kept} == {(("user", "What is it made of?"),)}
    dropped = {tuple(row["reasons"]): row for row in lines(tmp_path / "out/dropped.jsonl")}
    assert {reasons: row["messages"][-1]["content"] for reasons, row in dropped.items()} == {
        **{(reason,): text for reason, text in BAD.items()},
        ("no_change",): GOOD[1],
    }
    assert dropped["length",]["key"] == "rows.jsonl:25"
    assert json.loads((tmp_path / "out/hygiene.json").read_text()) == {
        "rows": 26,
        "kept": 20,
        "dropped": 6,
        "repaired": 5,
        "reasons": {
            **dict.fromkeys(REASONS, 0),
            **dict.fromkeys(BAD, 1),
            "no_change": 1,
            "shared_closer": 5,
        },
        "closers": [{"text": ":)", "share": 5 / 26}, {"text": "Have a great day!", "share": 5 / 26}],
    }


def test_rows_have_the_keys_of_their_examples(stage, tmp_path):
    stage.run(tmp_path / "out", seed=0, stages={})
    keys = [row["key"] for row in lines(tmp_path / "out/train.jsonl")]
    assert keys == [f"rows.jsonl:{n + 1}" for n in range(20)]


def test_a_line_is_logged_for_each_reason(stage, tmp_path, caplog):
    applied = dataclasses.replace(stage, hygiene=Hygiene(reasons=("emoji", "unfinished", "shared_closer")))
    with caplog.at_level(logging.INFO):
        applied.run(tmp_path / "out", seed=0, stages={})
    told = [record.getMessage().split(": ", 1)[1] for record in caplog.records if "rows" in record.getMessage()]
    expected = ["emoji: 1 of 26 rows", "unfinished: 0 of 26 rows", "shared_closer: 5 of 26 rows"]
    assert told == [*expected, "25 of 26 rows are kept"]


def test_two_runs_write_the_same_bytes(stage, tmp_path):
    for name in ("first", "second"):
        stage.run(tmp_path / name, seed=0, stages={})
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize("last", FILES)
def test_an_interrupted_stage_writes_the_same_bytes_when_it_runs_again(stage, tmp_path, monkeypatch, last):
    stage.run(tmp_path / "whole", seed=0, stages={})

    def interrupted(write):
        def until_last(path, content):
            if path.name == last:
                raise KeyboardInterrupt
            write(path, content)

        return until_last

    with monkeypatch.context() as patched:
        for name in ("write_text", "write_json"):
            patched.setattr(clean_stage, name, interrupted(getattr(clean_stage, name)))
        with pytest.raises(KeyboardInterrupt):
            stage.run(tmp_path / "parts", seed=0, stages={})
    assert not (tmp_path / "parts/train.jsonl").exists()
    stage.run(tmp_path / "parts", seed=0, stages={})
    for name in FILES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_stage_is_left_alone(stage, tmp_path, monkeypatch, caplog):
    stage.run(tmp_path / "out", seed=0, stages={})
    monkeypatch.setattr(clean_stage, "clean", None)
    with caplog.at_level(logging.INFO):
        stage.run(tmp_path / "out", seed=0, stages={})
    assert "is finished: nothing to do" in caplog.text
    with pytest.raises(ValueError, match="belongs to a run with another config"):
        dataclasses.replace(stage, hygiene=Hygiene(fewest_words=2)).run(tmp_path / "out", seed=0, stages={})


def test_all_rows_dropped_is_an_error_with_counts_and_the_file(stage, tmp_path):
    strict = dataclasses.replace(stage, hygiene=Hygiene(fewest_words=100, reasons=("length", "emoji")))
    message = r"one row at least must pass hygiene, got none of 26: emoji 6, length 26. .*dropped.jsonl has each"
    with pytest.raises(ValueError, match=message):
        strict.run(tmp_path / "out", seed=0, stages={})
    assert len(lines(tmp_path / "out/dropped.jsonl")) == 26
    assert not (tmp_path / "out/train.jsonl").exists()
    # Such a folder binds nobody.
    stage.run(tmp_path / "out", seed=0, stages={})
    assert len(lines(tmp_path / "out/train.jsonl")) == 20


def test_unfinished_answers_are_those_of_the_stage_that_wrote_them(tmp_path):
    (tmp_path / "written").mkdir()
    finishes = ["LENGTH" if n == 3 else None if n == 4 else "END_TOKEN" for n in range(20)]
    rows = [{"key": f"k{number}"} | conversation(text) for number, text in enumerate(GOOD)]
    answers = [row | {"finish": finish} for row, finish in zip(rows, finishes, strict=True)]
    write(tmp_path / "written/answers.jsonl", answers)
    write(tmp_path / "written/train.jsonl", [*rows, conversation("It was added later, by a person.")])
    source = Jsonl(train="stage:written")
    stage = Clean(name="cleaned", source=source, generated="stage:written")
    stage.run(tmp_path / "out", seed=0, stages={"written": tmp_path / "written"})
    (dropped,) = lines(tmp_path / "out/dropped.jsonl")
    assert (dropped["messages"][-1]["content"], dropped["reasons"]) == (GOOD[3], ["unfinished"])
    other = dataclasses.replace(stage, generated="stage:other")
    with pytest.raises(ValueError, match="generated must be the folder of a Generate stage with its answers, got"):
        other.run(tmp_path / "other_out", seed=0, stages={"written": tmp_path / "written", "other": tmp_path})
    write(tmp_path / "answers.jsonl", [{"key": "foreign", "finish": "LENGTH"}])
    with pytest.raises(ValueError, match="generated must be the folder of the stage that wrote the responses, got"):
        other.run(tmp_path / "other_out", seed=0, stages={"written": tmp_path / "written", "other": tmp_path})


def test_a_study_cleans_what_an_earlier_stage_wrote(stage, tmp_path):
    again = Clean(name="again", source=Jsonl(train="stage:cleaned"), hygiene=Hygiene(reasons=("length",)))
    assert refers_to_stage(again)
    run_study(Study(name="t", title="t", description="t", stages=(stage, again)), tmp_path / "study")
    texts = [row["messages"][-1]["content"] for row in lines(tmp_path / "study/again/train.jsonl")]
    assert texts == GOOD


def test_training_reads_the_cleaned_rows(tiny, stage, tmp_path):
    stage.run(tmp_path / "out", seed=0, stages={})
    data = dataclasses.replace(tiny.text, source=Jsonl(train=str(tmp_path / "out")), overlong="truncate")
    assert len(data.tokenized("train", tiny.student.tokenizer())) == 20


def test_a_missing_file_is_noticed_before_any_stage_runs(stage, tmp_path):
    missing = Clean(name="missing", source=Jsonl(train=str(tmp_path / "none.jsonl")))
    with pytest.raises(FileNotFoundError, match="Jsonl.train must name an existing file"):
        run_study(Study(name="t", title="t", description="t", stages=(stage, missing)), tmp_path / "study")
    assert not (tmp_path / "study/cleaned/train.jsonl").exists()


def test_more_than_one_process_is_refused(stage, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="a Clean stage must run in one process"):
        stage.validate()


def test_it_says_what_it_is(stage):
    stage.validate()
    assert configs.decode(configs.encode(stage)) == stage
    assert configs.encode(stage)["type"] == "jaxkd.study:Clean"
    assert stage.provenance() == "rows: Jsonl, cleaned"
    assert stage.plan().description == "Clean"
