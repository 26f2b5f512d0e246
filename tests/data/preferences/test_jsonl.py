"""Pairs of answers, one JSON object a line."""

import json
import logging

import pytest

from jaxkd.data import Chosen, Preference, PreferenceJsonl


@pytest.fixture
def read(tmp_path):
    """Write rows and read them back."""

    def write_and_read(*rows):
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return PreferenceJsonl(train=str(path)).pairs("train")

    return write_and_read


def message(role, text):
    return {"role": role, "content": text}


GOOD = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
ASKED = (("user", "2 + 2?"),)


def test_texts_with_a_prompt(read):
    (pair,) = read(GOOD | {"source": "arithmetic"})
    assert pair == Preference(key="pairs.jsonl:1", group="pairs.jsonl:1", messages=ASKED, chosen="4", rejected="5")
    (soft,) = read(GOOD | {"pref_prob": 0.75, "weight": 2})
    assert (soft.probability, soft.weight) == (0.75, 2.0)


def test_messages_with_a_prompt(read):
    asked, right, wrong = message("user", "2 + 2?"), message("assistant", "4"), message("assistant", "5")
    for prompt in ("2 + 2?", [asked]):
        (pair,) = read({"prompt": prompt, "chosen": [right], "rejected": [wrong]})
        assert (pair.messages, pair.chosen, pair.rejected) == (ASKED, "4", "5")


def test_the_prompt_of_two_conversations_is_what_they_have_in_common(read, caplog):
    start = [message("user", "Hi"), message("assistant", "Hi"), message("user", "2 + 2?")]
    right, wrong = message("assistant", "4"), message("assistant", "5")
    caplog.set_level(logging.INFO)
    pairs = read(
        {"chosen": [*start, right], "rejected": [*start, wrong]},
        {"chosen": [*start, right], "rejected": [*start, right]},
        {"chosen": [*start, right], "rejected": [message("user", "2 + 2?"), wrong]},
        {"chosen": [*start[:2], right], "rejected": [*start, wrong]},
    )
    assert [(len(pair.messages), pair.chosen, pair.rejected) for pair in pairs] == [(3, "4", "5"), (3, "4", "4")]
    assert pairs[0].messages[-1] == ("user", "2 + 2?")
    assert "left out 2 of 4 rows, whose prompts differ" in caplog.text


def test_transcripts_are_parted_before_the_last_answer(read):
    start = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: 2 + 2?\n\nAssistant:"
    (pair,) = read(
        {"chosen": start + " 4", "rejected": start + " 5"},
        {"chosen": start + " 4", "rejected": "\n\nHuman: 2 + 2?\n\nAssistant: 5"},
    )
    assert pair.messages == (("user", "Hi"), ("assistant", "Hello"), ("user", "2 + 2?"))
    assert (pair.rendered, pair.chosen, pair.rejected) == (start, "4", "5")


def test_the_chosen_answers_are_text_to_learn(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(GOOD))
    (example,) = Chosen(source=PreferenceJsonl(test=str(path))).examples("test")
    assert (example.messages, example.response, example.key) == (ASKED, "4", "pairs.jsonl:1")


def test_ignored_fields_and_shared_pairs_are_logged(tmp_path, caplog):
    path, other = tmp_path / "pairs.jsonl", tmp_path / "test.jsonl"
    for file, key in ((path, "id"), (other, "number")):
        file.write_text(json.dumps(GOOD | {key: 1, "weight": 1.0}))
    PreferenceJsonl(train=str(path), test=str(other)).pairs("train")
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: ignored the fields id",
        f"train and test share 1 rows, in {path} and {other}",
    ]


MALFORMED = [
    ({"prompt": "2 + 2?", "chosen": "4"}, r'a row must have "chosen" and "rejected", got the fields'),
    (GOOD | {"chosen": 4}, r'"chosen" must be a string, got a number\.'),
    (GOOD | {"prompt": []}, r'"prompt" must be a list of at least one message, got 0\.'),
    (GOOD | {"chosen": [message("user", "4")]}, r"the last message of \"chosen\" must be the assistant's, got 'user'"),
    (
        GOOD | {"chosen": [message("user", "?"), message("assistant", "4")]},
        r'"chosen" must be one message beside a "prompt", got 2\.',
    ),
    ({"chosen": "4", "rejected": "5"}, r'"chosen" must come with a "prompt", or hold a transcript with '),
    ({"chosen": "Hi\n\nAssistant: 4", "rejected": "Hi\n\nAssistant: 5"}, r"a transcript must begin with "),
    (GOOD | {"prompt": [message("narrator", "?")]}, r'"prompt"\[0\]\["role"\] must be one of system, user, assistant,'),
    (GOOD | {"rejected": "\ud800"}, r'"rejected" must be Unicode text, got half of a surrogate pair'),
    (GOOD | {"pref_prob": "high"}, r'"pref_prob" must be a number, got a string\.'),
    (GOOD | {"pref_prob": 1.5}, r"probability must be in \[0, 1\], got 1\.5 in 'pairs\.jsonl:2'"),
    (GOOD | {"weight": 0}, r"weight must be > 0 and finite, got 0\.0 in 'pairs\.jsonl:2'\. Leave the pair out"),
]


@pytest.mark.parametrize(("row", "message"), MALFORMED)
def test_malformed_rows_are_refused_with_file_and_line(read, row, message):
    with pytest.raises(ValueError, match=rf"pairs\.jsonl, line 2: {message}"):
        read(GOOD, row)


def test_a_file_without_a_pair_and_a_missing_file_are_refused(read, tmp_path):
    with pytest.raises(ValueError, match=r"must hold at least one pair, got 1 rows whose prompts all differ"):
        read({"chosen": [message("user", "a"), message("assistant", "b")], "rejected": [message("user", "c")] * 2})
    with pytest.raises(ValueError, match=r"PreferenceJsonl\.test must name a file, got None"):
        PreferenceJsonl().pairs("test")
    with pytest.raises(FileNotFoundError, match=r"PreferenceJsonl\.train must name an existing file"):
        PreferenceJsonl(train=str(tmp_path / "none.jsonl")).pairs("train")


def test_a_row_has_its_own_key_and_the_facts_of_its_label_are_no_unknown_fields(read, caplog):
    facts = {"order_disagreement": 0.25, "principle": "honesty", "judge": "a person", "seed": 0}
    (pair,) = read(GOOD | facts | {"key": "sum", "pref_prob": 0.75})
    assert (pair.key, pair.group, pair.probability) == ("sum", "sum", 0.75)
    assert "ignored the fields" not in caplog.text
    read(GOOD | facts | {"judged": True})
    assert "ignored the fields judged" in caplog.text


def test_a_key_is_a_name_of_its_own(read):
    with pytest.raises(ValueError, match=r'pairs\.jsonl, lines 1, 3: "key" must be a name of its own .* \'sum\' 2 tim'):
        read(GOOD | {"key": "sum"}, GOOD, GOOD | {"key": "sum"})
    with pytest.raises(ValueError, match='line 1: "key" must be a string, got a number'):
        read(GOOD | {"key": 1})
