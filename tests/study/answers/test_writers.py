"""Answers by a checkpoint, a chat or a file: rounds of critique and revision, whole whatever interrupts them."""

import dataclasses
import json
import re

import pytest

from jaxkd.constitution import Critique, Revision, read_constitution
from jaxkd.data import FinalAnswer, FollowUp, Jsonl, PackedText
from jaxkd.evals import Chat, LocalModel
from jaxkd.runtime import configs
from jaxkd.sampling import Finish, Sampling, Text
from jaxkd.sharding import MeshShape
from jaxkd.study import Generate, RecordedAnswers, Study, run_study
from jaxkd.study.answers import writers

PROMPTS = ["How do I rest?", "How do I win?", "How do I cook?", "How do I sing?", "How do I dance?"]
STAGES = ("initial", "critique", "revision", "critique_2", "revision_2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scripted(Chat):
    """A program that answers by what was asked first and how often it was asked."""

    def __call__(self, conversations, *, max_new_tokens, temperature=0.0, received=None):
        return [self.reply(one) for one in conversations]

    def reply(self, conversation):
        turn = sum(role == "user" for role, _ in conversation) - 1
        return f"{STAGES[turn]}: {conversation[0][1]}"

    def provenance(self):
        return "a script"


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"key": text.split()[-1], "prompt": text}) + "\n" for text in PROMPTS))
    return PackedText(source=Jsonl(train=str(path), responses="optional"))


def stages(data, *, pairing="paired", rounds=1, constitution="eight-principles", model=None):
    """A round of three stages, or two rounds of five."""
    turns = [
        turn
        for seed in range(rounds)
        for turn in (
            Critique(constitution=constitution, seed=seed),
            Revision(constitution=constitution, seed=seed, pairing=pairing),
        )
    ]
    common = {"model": model or Scripted(), "rows": 2, "mesh": MeshShape(data=1)}
    found = [Generate(name="initial", data=data, **common)]
    for name, turn in zip(STAGES[1:], turns, strict=False):
        source = FollowUp(source=Jsonl(train=f"stage:{found[-1].name}"), turn=turn)
        found.append(Generate(name=name, data=dataclasses.replace(data, source=source), **common))
    return tuple(found)


def run(found, workdir):
    run_study(Study(name="t", title="t", description="t", stages=found), workdir)
    return [lines(workdir / stage.name / "answers.jsonl") for stage in found]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def said(role, text):
    return {"role": role, "content": text}


@pytest.mark.parametrize("pairing", ["paired", "independent"])
def test_three_stages_are_a_round_of_critique_and_revision(prompts, tmp_path, pairing):
    initial, critique, revision = run(stages(prompts, pairing=pairing), tmp_path / "study")
    by_id = {one.id: one for one in read_constitution("eight-principles").principles}
    for number, text in enumerate(PROMPTS):
        key = text.split()[-1]
        facts = {"key": key, "writer": "a script", "tokens": None, "finish": None}
        first = [said("user", text), said("assistant", f"initial: {text}")]
        assert initial[number] == facts | {"messages": first, "turn": None}
        asked = Critique().name(key)
        second = [*first, said("user", by_id[asked].critique), said("assistant", f"critique: {text}")]
        assert critique[number] == facts | {"messages": second, "turn": asked}
        asked = Revision(pairing=pairing).name(key)
        third = [*second, said("user", by_id[asked].revision), said("assistant", f"revision: {text}")]
        assert revision[number] == facts | {"messages": third, "turn": asked}
    learnt = FinalAnswer(source=Jsonl(train=str(tmp_path / "study/revision"))).examples("train")
    assert [(one.messages, one.response) for one in learnt] == [
        ((("user", text),), f"revision: {text}") for text in PROMPTS
    ]


def test_a_second_round_draws_by_the_same_keys_with_its_own_seed(prompts, tmp_path):
    *_, critique, revision = run(stages(prompts, rounds=2), tmp_path / "study")
    for text, before, row in zip(PROMPTS, critique, revision, strict=True):
        key = text.split()[-1]
        assert row["key"] == key
        assert before["turn"] == row["turn"] == Critique(seed=1).name(key)
        assert [one["content"] for one in row["messages"]][1::2] == [f"{stage}: {text}" for stage in STAGES]


def test_answers_that_are_dropped_or_added_move_no_draw(prompts, tmp_path, monkeypatch):
    whole = run(stages(prompts), tmp_path / "whole")
    # Without an answer to the second prompt, and with another prompt in front.
    reply = Scripted.reply
    monkeypatch.setattr(Scripted, "reply", lambda self, one: "" if one[0][1] == PROMPTS[1] else reply(self, one))
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"key": "new", "prompt": "Why?"}) + "\n" + path.read_text())
    fewer = run(stages(prompts), tmp_path / "fewer")
    for before, after in zip(whole[1:], fewer[1:], strict=True):
        assert after[1:] == [row for row in before if row["key"] != "win?"]


def test_an_interrupted_round_writes_the_same_bytes(prompts, tmp_path, monkeypatch):
    run(stages(prompts, rounds=2), tmp_path / "whole")
    calls, reply = [], Scripted.__call__

    def interrupted(self, conversations, **options):
        calls.append(len(conversations))
        if len(calls) % 4 == 0:
            raise KeyboardInterrupt
        return reply(self, conversations, **options)

    monkeypatch.setattr(Scripted, "__call__", interrupted)
    attempts = 0
    for _ in range(20):
        try:
            run(stages(prompts, rounds=2), tmp_path / "parts")
            break
        except KeyboardInterrupt:
            attempts += 1
    assert attempts == 4
    for stage in STAGES:
        for file in ("answers.jsonl", "train.jsonl"):
            assert (tmp_path / "parts" / stage / file).read_bytes() == (tmp_path / "whole" / stage / file).read_bytes()


def test_a_folder_of_another_constitution_is_named(prompts, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text('principles: [{id: a, critique: "Is it so?", revision: "Say what is so."}]')
    run(stages(prompts, constitution=str(path)), tmp_path / "study")
    run(stages(prompts, constitution=str(path)), tmp_path / "study")
    path.write_text(path.read_text().replace("Is it so?", "Is it?"))
    with pytest.raises(
        ValueError, match=r"data\.source\.turn\.constitution .*mine.yaml' must have the contents with wh"
    ):
        run(stages(prompts, constitution=str(path)), tmp_path / "study")
    with pytest.raises(ValueError, match=r"data\.source\.turn\.constitution: .*mine.yaml. -> .eight-principles"):
        run(stages(prompts), tmp_path / "study")


def test_a_constitution_that_cannot_be_read_is_refused_before_any_stage_starts(prompts, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text('principles: [{id: a, critique: "Is it {so}?", revision: "Say what is so."}]')
    with pytest.raises(ValueError, match="the critique of principle 'a' must hold no unfilled placeholder"):
        run(stages(prompts, constitution=str(path)), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_answers_in_a_file_go_in_by_their_keys(prompts, tmp_path):
    path = tmp_path / "answers.jsonl"
    rows = [{"key": text.split()[-1], "text": text.upper()} for text in reversed(PROMPTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorded = RecordedAnswers(path=str(path))
    (found,) = run(stages(prompts, model=recorded)[:1], tmp_path / "study")
    assert [row["messages"][-1]["content"] for row in found] == [text.upper() for text in PROMPTS]
    assert {row["writer"] for row in found} == {recorded.provenance()}
    assert re.fullmatch(r"recorded in .*answers\.jsonl, sha256 [0-9a-f]{8}", recorded.provenance())
    path.write_text(path.read_text().replace("REST", "LAST"))
    with pytest.raises(ValueError, match=r"model\.path .*answers\.jsonl' must have the contents with which the run in"):
        run(stages(prompts, model=recorded)[:1], tmp_path / "study")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("rest?", "a")],
            "must have an answer to each of the 5 keys of the train split, got none to 4, such as 'win?'",
        ),
        ([("rest?", "a"), ("rest?", "b")], "must have one answer to each key, got two to 'rest?'. Remove one"),
        ([("rest?", 1)], 'line 1: "text" must be a string, got a number'),
    ],
)
def test_recorded_answers_that_do_not_fit_the_data_are_refused(prompts, tmp_path, rows, message):
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"key": key, "text": text}) + "\n" for key, text in rows))
    with pytest.raises(ValueError, match=re.escape(message)):
        run(stages(prompts, model=RecordedAnswers(path=str(path)))[:1], tmp_path / "study")


def test_a_chat_that_leaves_a_conversation_out_is_refused(prompts, tmp_path, monkeypatch):
    monkeypatch.setattr(Scripted, "__call__", lambda self, conversations, **options: ["a"] * (len(conversations) - 1))
    with pytest.raises(ValueError, match="Scripted must return one reply per conversation, got 1 to 2"):
        run(stages(prompts)[:1], tmp_path / "study")


def test_answers_to_other_prompts_are_not_gone_on_with(prompts, tmp_path):
    (stage,) = stages(prompts)[:1]
    run([stage], tmp_path / "study")
    folder = tmp_path / "study/initial"
    (folder / "train.jsonl").unlink()
    # As a version that left prompts out would have written them.
    rows = (folder / "answers.jsonl").read_text().splitlines(keepends=True)
    (folder / "answers.jsonl").write_text("".join([rows[0], rows[2]]))
    with pytest.raises(ValueError, match="line 2, must answer the prompts of this run, got an answer to 'cook"):
        run([stage], tmp_path / "study")
    (folder / "answers.jsonl").write_text("".join([*rows, rows[0]]))
    with pytest.raises(ValueError, match="line 6, must answer the prompts of this run, got an answer to 'rest"):
        run([stage], tmp_path / "study")


def test_what_cannot_write_is_refused_first(prompts, tiny):
    stage = stages(prompts)[0]
    for model, changes, message in (
        (LocalModel(model=tiny.teacher), {}, "model must be the checkpoint itself, got a LocalModel"),
        (
            Scripted(),
            {"sampling": Sampling(top_k=3)},
            "sampling must have the temperature alone for a model that is no",
        ),
        (Scripted(), {"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(stage, model=model, **changes).validate()
    with pytest.raises(FileNotFoundError, match="RecordedAnswers.path must name an existing file, got 'nowhere'"):
        dataclasses.replace(stage, model=RecordedAnswers(path="nowhere")).validate()


def test_a_stage_is_a_config_and_older_ones_still_load(prompts, tiny, tmp_path):
    for stage in stages(prompts):
        assert configs.decode(configs.encode(stage)) == stage
        assert stage.provenance() == "answers: a script"
    stored = configs.encode(Generate(name="answers", model=tiny.teacher, data=tiny.text))
    # A source of older versions has no choice of responses.
    del stored["data"]["source"]["responses"]
    assert configs.decode(stored) == Generate(name="answers", model=tiny.teacher, data=tiny.text)


def test_a_checkpoint_writes_after_prompts_alone_and_goes_on(tiny, prompts, tmp_path, monkeypatch):
    """The sampler itself runs in `test_generate_stage.py`."""
    asked = []

    def echo(model, prompts, *, example_ids, **options):
        asked.extend(zip(example_ids, prompts, strict=True))
        return [
            Text(tokens=(5, 2), text=f"the {one}", finish=Finish.END_TOKEN, log_probs=(), sampling_log_probs=())
            for one in example_ids
        ]

    monkeypatch.setattr(writers, "generate", echo)
    monkeypatch.setattr(writers, "language_model", lambda checkpoint: None)
    first, second = (
        dataclasses.replace(stage, max_new_tokens=4)
        for stage in stages(dataclasses.replace(prompts, length=110), model=tiny.teacher)[:2]
    )
    source = dataclasses.replace(second.data.source, turn="Sure?")
    second = dataclasses.replace(second, data=dataclasses.replace(second.data, source=source))
    before, after = run((first, second), tmp_path / "study")
    answered = dataclasses.replace(source, source=Jsonl(train=str(tmp_path / "study/initial")))
    expected = dataclasses.replace(second.data, source=answered).prompts("train", tiny.teacher.tokenizer())
    assert sorted(asked[len(PROMPTS) :]) == [(one.index, one.tokens.tolist()) for one in expected]
    assert [one.prompt_length for one in expected] == [len(one.tokens) for one in expected]
    by_key = {row["key"]: row for row in after}
    assert by_key.keys() == {row["key"] for row in before} == {text.split()[-1] for text in PROMPTS}
    for one in expected:
        row = by_key[one.key]
        assert [message["content"] for message in row["messages"]][2:] == ["Sure?", f"the {one.index}"]
        assert (row["writer"], row["tokens"], row["finish"]) == (tiny.teacher.provenance(), 2, "END_TOKEN")
        assert row["turn"] is None


def test_a_conversation_that_outgrows_the_context_is_refused_before_the_weights_are_read(
    tiny, prompts, tmp_path, monkeypatch
):
    monkeypatch.setattr(writers, "language_model", None)
    stage = stages(dataclasses.replace(prompts, length=30), model=tiny.teacher)[0]
    with pytest.raises(
        ValueError, match=r"data.length=30 tokens for one more answer, got \d+ in 'dance\?', .* of 1 \(user"
    ):
        run([dataclasses.replace(stage, max_new_tokens=4)], tmp_path / "study")
