"""Replies in a file: what arrived before a failure is not requested again."""

import json

import pytest

from jaxkd.evals import Endpoint, RecordedChat
from jaxkd.evals.judges.chat import Chat
from tests.evals.judges.server import failing, said


def user(*texts):
    return [(("user", text),) for text in texts]


def test_a_reply_is_requested_once(server, tmp_path):
    chat = RecordedChat(chat=Endpoint(url=server.url, model="m"), path=str(tmp_path / "judge" / "replies.jsonl"))
    arrived = []
    assert chat(user("b", "ä", "b"), max_new_tokens=1) == ["b", "ä", "b"]
    assert len(server.requests) == 2
    assert chat(user("ä", "c"), max_new_tokens=1, received=lambda *reply: arrived.append(reply)) == ["ä", "c"]
    assert arrived == [(0, "ä"), (1, "c")]
    assert len(server.requests) == 3
    assert chat([], max_new_tokens=1) == []
    # Another length, and another model, are other requests.
    chat(user("c"), max_new_tokens=2)
    other = RecordedChat(chat=Endpoint(url=server.url, model="n"), path=chat.path)
    other(user("c"), max_new_tokens=1)
    assert len(server.requests) == 5
    assert other.provenance() == f"n at {server.url}"


def test_a_failure_after_some_replies_loses_none(server, waits, tmp_path):
    path = tmp_path / "replies.jsonl"
    chat = RecordedChat(chat=Endpoint(url=server.url, model="m", parallel=1), path=str(path))
    server.behaviour = lambda request: said(request.text.upper()) if request.number < 2 else failing(400)
    with pytest.raises(ValueError, match="2 of 4 replies were received"):
        chat(user(*"abcd"), max_new_tokens=1)
    server.behaviour = lambda request: said(request.text.upper())
    assert chat(user(*"abcd"), max_new_tokens=1) == list("ABCD")
    assert [request.text for request in server.requests] == ["a", "b", "c", "c", "d"]


def test_a_row_that_a_killed_process_left_incomplete_is_requested_again(server, tmp_path):
    path = tmp_path / "replies.jsonl"
    chat = RecordedChat(chat=Endpoint(url=server.url, model="m", parallel=1), path=str(path))
    chat(user("a", "b"), max_new_tokens=1)
    path.write_bytes(path.read_bytes()[:-5])
    assert chat(user("a", "b"), max_new_tokens=1) == ["a", "b"]
    assert [request.text for request in server.requests] == ["a", "b", "b"]
    assert [json.loads(line)["reply"] for line in path.read_text().splitlines()] == ["a", "b"]
    path.write_text('{"key": 1}\n')
    with pytest.raises(ValueError, match='line 1, must be a JSON object with "key" and "reply", got'):
        chat(user("a"), max_new_tokens=1)


def test_samples_are_not_recorded(tmp_path):
    chat = RecordedChat(chat=Endpoint(url="http://127.0.0.1:9/v1", model="m"), path=str(tmp_path / "replies.jsonl"))
    with pytest.raises(ValueError, match="temperature must be 0 for recorded replies"):
        chat(user("a"), max_new_tokens=1, temperature=0.7)


def test_a_chat_of_ones_own_may_return_its_replies_alone(tmp_path):
    class Own(Chat):
        def __call__(self, conversations, **_):
            return [messages[0][1] * 2 for messages in conversations]

        def provenance(self):
            return "own"

    path = tmp_path / "replies.jsonl"
    assert RecordedChat(chat=Own(), path=str(path))(user("a", "b"), max_new_tokens=1) == ["aa", "bb"]
    assert len(path.read_text().splitlines()) == 2
