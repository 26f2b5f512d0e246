"""Counts over transcripts: refusals, and texts that repeat what was before."""

import json

from benchmarks.constitution import asked
from benchmarks.constitution.conversations import conversations


def transcript(key, answer, critique, revision, finish="END_TOKEN"):
    texts = ("Help me.", answer, "Is it good?", critique, "Mend it.", revision)
    roles = 3 * ("user", "assistant")
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    return {"key": key, "turn": "truth", "finish": finish, "messages": messages}


def written(folder, *rows):
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


LONG = "One may begin with the first of the steps and end with the last."
OTHER = "Nothing of what was said before stands in this other sentence here."


def test_a_transcript_has_its_parts(tmp_path):
    (found,) = conversations(written(tmp_path, transcript("a", "Yes.", "No.", "Well.", finish="LENGTH")))
    assert (found.key, found.principle, found.ended) == ("a", "truth", False)
    assert (found.prompt, found.initial, found.critique, found.revision) == ("Help me.", "Yes.", "No.", "Well.")


def test_refusals_repetitions_and_hygiene_are_counted(tmp_path):
    folder = written(
        tmp_path,
        transcript("harmful:1", "I cannot help with that.", "I'm sorry about it.", OTHER),
        transcript("harmful:2", LONG, LONG, LONG),
        transcript("benign:1", LONG, OTHER, OTHER, finish="LENGTH"),
    )
    found = {row.figure: row.value for row in asked.rows({"revision_asked": folder})}
    assert found["asked: harmful requests that are refused, by pattern"] == 1 / 2
    assert found["asked: benign requests that are refused, by pattern"] == 0
    assert found["asked: critiques that repeat the answer"] == 1 / 3
    assert found["asked: critiques that apologise"] == 1 / 3
    assert found["asked: revisions that repeat the answer"] == 1 / 3
    assert found["asked: revisions that repeat the critique"] == 2 / 3
    assert found["asked: hygiene, revisions with the reason no_change"] == 1
    assert found["asked: hygiene, revisions with the reason unfinished"] == 1
    assert found["asked: hygiene, revisions that are kept"] == 1
