"""The Generate stage: a teacher's answers on disk, whole whatever interrupts it; a student learns from them."""

import dataclasses
import json

import jax
import pytest

from jaxkd.data import Jsonl
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.runtime import configs
from jaxkd.sampling import Sampling, generate
from jaxkd.sharding import MeshShape
from jaxkd.study import Study, generate_stage, run_study
from jaxkd.study.answers import writers


@pytest.fixture
def answer(tiny):
    text = dataclasses.replace(tiny.text, limit=6)
    return generate_stage.Generate(
        name="teacher_answers",
        model=tiny.teacher,
        data=text,
        max_new_tokens=8,
        rows=2,
        unfinished="keep",
        mesh=MeshShape(data=1),
    )


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_answers_are_what_the_teacher_writes_after_the_training_prompts(answer, tmp_path):
    answer.run(tmp_path, seed=0, stages={})
    model = language_model(answer.model)
    rows = {row["key"]: row for row in _lines(tmp_path / "answers.jsonl")}
    tokenized = answer.data.tokenized("train", model.tokenizer)
    assert set(rows) == {one.key for one in tokenized}
    expected = generate(
        model, [one.tokens[: one.prompt_length].tolist() for one in tokenized], max_new_tokens=8, rows=2
    )
    for one, text in zip(tokenized, expected, strict=True):
        row = rows[one.key]
        assert row["messages"][-1] == {"role": "assistant", "content": text.text}
        assert (row["tokens"], row["finish"]) == (len(text.tokens), text.finish.name)


def test_samples_follow_the_seed_of_the_draws_and_not_that_of_the_study(answer, tmp_path):
    sampled = dataclasses.replace(answer, sampling=Sampling(temperature=1.0))
    for name, stage, seed in (
        ("first", sampled, 0),
        ("again", sampled, 1),
        ("other", dataclasses.replace(sampled, sample_seed=1), 0),
    ):
        stage.run(tmp_path / name, seed=seed, stages={})
    texts = {name: (tmp_path / name / "train.jsonl").read_text() for name in ("first", "again", "other")}
    assert texts["first"] == texts["again"] != texts["other"]


def test_an_interrupted_stage_goes_on_and_cuts_off_a_torn_line(answer, tmp_path, monkeypatch):
    answer.run(tmp_path / "whole", seed=0, stages={})
    batches = []

    def two_batches(*args, **options):
        batches.append(args)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return generate(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(writers, "generate", two_batches)
        with pytest.raises(KeyboardInterrupt):
            answer.run(tmp_path / "parts", seed=0, stages={})
    written = tmp_path / "parts/answers.jsonl"
    assert len(_lines(written)) == 4
    with written.open("a") as file:
        file.write('{"messages": [{"ro')
    answer.run(tmp_path / "parts", seed=0, stages={})
    for name in ("answers.jsonl", "train.jsonl"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_a_finished_stage_is_left_alone(answer, tmp_path, monkeypatch):
    answer.run(tmp_path, seed=0, stages={})
    monkeypatch.setattr(writers, "generate", None)
    answer.run(tmp_path, seed=0, stages={})


def test_answers_that_do_not_end_are_dropped(tiny, answer, tmp_path):
    # The tiny teacher ends its answers by chance alone.
    sampling = Sampling(temperature=10.0)
    stage = dataclasses.replace(
        answer, data=tiny.text, rows=32, sampling=sampling, max_new_tokens=64, unfinished="drop"
    )
    stage.run(tmp_path, seed=0, stages={})
    rows, kept = _lines(tmp_path / "answers.jsonl"), _lines(tmp_path / "train.jsonl")
    assert 0 < len(kept) < len(rows)
    ended = [row for row in rows if row["finish"] == "END_TOKEN" and row["messages"][-1]["content"].strip()]
    assert kept == [{"key": row["key"], "messages": row["messages"]} for row in ended]


def test_no_answer_that_ends_is_refused(answer, tmp_path):
    stage = dataclasses.replace(answer, max_new_tokens=1, unfinished="drop")
    with pytest.raises(ValueError, match="one answer at least must end within max_new_tokens=1, got none of 6"):
        stage.run(tmp_path, seed=0, stages={})
    assert not (tmp_path / "train.jsonl").exists()


def test_sequence_level_distillation_is_a_study_of_two_stages(tiny, answer, tmp_path, caplog):
    source = Jsonl(train="stage:teacher_answers")
    data = dataclasses.replace(tiny.text, source=source, overlong="truncate")
    train = tiny.train(tiny.sft(data=data), name="seqkd", steps=2, validation=(), evaluators=(tiny.bits_per_byte(),))
    study = Study(name="t", title="t", description="t", stages=(answer, train))
    run_study(study, tmp_path)
    assert (tmp_path / "seqkd/0/evaluation.json").exists()
    assert not any("ignored the fields" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 10_000}, "max_new_tokens must be between 1 and"),
        ({"max_new_tokens": 0}, "max_new_tokens must be between 1 and"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
    ],
)
def test_what_cannot_work_is_refused_first(answer, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(answer, **changes).validate()


def test_more_than_one_process_is_refused(answer, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="a Generate stage must run in one process"):
        answer.validate()


def test_it_says_what_it_is(answer):
    assert configs.decode(configs.encode(answer)) == answer
    assert answer.provenance() == f"answers: {answer.model.provenance()}"
    assert answer.plan().description == "Generate"
