"""Endpoints: replies in order, retries, errors that name what is wrong, and keys that nobody sees."""

import datetime
import email.utils
import json
import logging
import threading

import jax
import pytest

from jaxkd.evals import Endpoint
from jaxkd.runtime import configs
from tests.evals.judges.server import Response, failing, said

KEY = "sk-a-secret-of-the-tests"


def user(*texts):
    return [(("user", text),) for text in texts]


def test_a_request_is_one_of_chat_completions(server):
    chat = Endpoint(url=server.url + "/", model="judge-7b")
    assert chat([(("system", "Be brief."), ("user", "Größe?"))], max_new_tokens=7, temperature=0.5) == ["Größe?"]
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.key is None
    assert request.body == {
        "model": "judge-7b",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Größe?"}],
        "max_tokens": 7,
        "temperature": 0.5,
    }
    assert chat.provenance() == f"judge-7b at {server.url}/"
    assert chat([], max_new_tokens=7) == []


def test_replies_come_in_order_from_parallel_requests(server):
    """The first four are answered once all four are there, the last of them first."""
    together = threading.Barrier(4, timeout=30)
    turns = [threading.Event() for _ in range(5)]
    turns[4].set()

    def behaviour(request):
        place = int(request.text)
        if place < 4:
            together.wait()
            assert turns[place + 1].wait(30)
            turns[place].set()
        return said(f"reply {place}")

    server.behaviour = behaviour
    arrived = []
    chat = Endpoint(url=server.url, model="m", parallel=4)
    replies = chat(user(*map(str, range(12))), max_new_tokens=1, received=lambda *reply: arrived.append(reply))
    assert replies == [f"reply {place}" for place in range(12)]
    assert sorted(arrived) == list(enumerate(replies))


def test_no_more_requests_than_parallel_are_under_way(server):
    under_way, most, lock = 0, 0, threading.Lock()

    def behaviour(request):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        threading.Event().wait(0.01)
        with lock:
            under_way -= 1
        return said("")

    server.behaviour = behaviour
    Endpoint(url=server.url, model="m", parallel=2)(user(*"abcdefgh"), max_new_tokens=1)
    assert most <= 2


def test_a_busy_server_says_when_to_come_back(server, waits, caplog):
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=300)
    busy = ("7", email.utils.format_datetime(later, usegmt=True), "soon")

    def behaviour(request):
        return failing(429, Retry_After=busy[request.number]) if request.number < 3 else said("4")

    server.behaviour = behaviour
    with caplog.at_level(logging.WARNING):
        assert Endpoint(url=server.url, model="m")(user("?"), max_new_tokens=1) == ["4"]
    # The third header is neither a number nor a date.
    assert waits == [7, pytest.approx(300, abs=30), 4]
    assert "status 429" in caplog.text
    assert "attempt 1 of 4; the next in 7 s" in caplog.text


def test_a_server_that_is_busy_until_tomorrow_is_not_waited_for(server, waits):
    server.behaviour = lambda request: failing(429, Retry_After="86400")
    with pytest.raises(
        ValueError, match=r"and a Retry-After of 86400 s at attempt 1\. Ask less in parallel, or run the same command"
    ):
        Endpoint(url=server.url, model="m")(user("?"), max_new_tokens=1)
    assert waits == []


def test_failures_that_pass_are_tried_again(server, waits):
    server.behaviour = lambda request: failing((500, 503)[request.number]) if request.number < 2 else said("yes")
    assert Endpoint(url=server.url, model="m")(user("?"), max_new_tokens=1) == ["yes"]
    assert waits == [1, 2]


def test_failures_that_stay_are_told_with_url_status_and_body(server, waits):
    server.behaviour = lambda request: failing(502)
    with pytest.raises(ValueError, match="got status 502"):
        Endpoint(url=server.url, model="m", attempts=9)(user("?"), max_new_tokens=1)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    waits.clear()
    server.behaviour = lambda request: failing(500, "out of memory " + "x" * 1000)
    with pytest.raises(ValueError, match="must answer with status 200, got status 500") as caught:
        Endpoint(url=server.url, model="m")(user("?"), max_new_tokens=1)
    message = str(caught.value)
    assert f"{server.url}/chat/completions must answer" in message
    assert "out of memory" in message
    assert "at attempt 4. See the server's log. 0 of 1 replies were received." in message
    assert len(message) < 600
    assert waits == [1, 2, 4]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "Correct what the server rejects"),
        (404, "Give the base of the API"),
        (302, "Give the base of the API"),
        (401, "Set the environment variable of the key"),
    ],
)
def test_failures_that_do_not_pass_are_told_at_once(server, waits, status, advice):
    server.behaviour = lambda request: failing(status, "no", Location="http://127.0.0.1:9/elsewhere")
    with pytest.raises(ValueError, match=rf"got status {status} .* at attempt 1\. {advice}"):
        Endpoint(url=server.url, model="m")(user("?"), max_new_tokens=1)
    assert len(server.requests) == 1
    assert waits == []


def test_a_server_that_takes_too_long_is_tried_again(server, waits):
    over = threading.Event()

    def behaviour(request):
        if request.number == 0:
            over.wait(30)
        return said("late")

    server.behaviour = behaviour
    assert Endpoint(url=server.url, model="m", seconds=0.5)(user("?"), max_new_tokens=1) == ["late"]
    assert waits[0] == 1
    server.behaviour = lambda request: said(str(over.wait(30)))
    chat = Endpoint(url=server.url, model="m", seconds=0.1, attempts=2)
    with pytest.raises(ValueError, match=r"got nothing within 0\.1 s at attempt 2\. Allow more seconds"):
        chat(user("?"), max_new_tokens=1)
    over.set()


def test_nobody_listens(server, waits):
    with pytest.raises(
        ValueError, match=r"got no answer \(ConnectionRefusedError.*at attempt 2\. Start the server, or correct"
    ):
        Endpoint(url="http://127.0.0.1:9/v1", model="m", attempts=2)(user("?"), max_new_tokens=1)


def test_an_answer_that_is_cut_off_is_requested_again(server, waits):
    cut = Response(body=b"", headers=(("Content-Length", "50"),))
    server.behaviour = lambda request: cut if request.number == 0 else said("whole")
    assert Endpoint(url=server.url, model="m")(user("?"), max_new_tokens=1) == ["whole"]


def test_answers_of_something_else_are_refused(server, waits, monkeypatch):
    chat = Endpoint(url=server.url, model="m")
    server.behaviour = lambda request: Response(body=b"<html>\n <title>Welcome</title>")
    with pytest.raises(ValueError, match=r"must answer with JSON, got status 200 and '<html> <title>Welcome</title>'"):
        chat(user("?"), max_new_tokens=1)
    for other in ({"error": {"message": "no such model"}}, {"choices": []}, [1]):
        server.behaviour = lambda request, other=other: Response(body=json.dumps(other).encode())
        with pytest.raises(ValueError, match=r"must answer with choices\[0\]\.message\.content, got") as caught:
            chat(user("?"), max_new_tokens=1)
        assert json.dumps(other) in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.behaviour = lambda request: Response(body=json.dumps({"error": KEY}).encode())
    with pytest.raises(ValueError, match=r'got \'{"error": "\[key\]"}'):
        chat(user("?"), max_new_tokens=1)
    server.behaviour = lambda request: said(None)
    assert chat(user("?"), max_new_tokens=1) == [""]


def test_a_failure_loses_no_reply(server, waits):
    """The second of forty fails while the first is under way, and most others are not sent."""
    failed = threading.Event()

    def behaviour(request):
        if request.text == "bad":
            failed.set()
            return failing(400, "too long")
        assert failed.wait(30)
        if request.text == "later":
            threading.Event().wait(0.1)
        return said("kept")

    server.behaviour = behaviour
    arrived = []
    chat = Endpoint(url=server.url, model="m", parallel=2)
    with pytest.raises(ValueError, match=r"too long.* of 40 replies were received") as caught:
        chat(user("good", "bad", *["later"] * 38), max_new_tokens=1, received=lambda *reply: arrived.append(reply))
    assert (0, "kept") in arrived
    assert f" {len(arrived)} of 40 replies" in str(caught.value)
    assert len(server.requests) == len(arrived) + 1 < 40


def test_a_caller_that_fails_ends_the_requests(server, waits):
    failed = threading.Event()

    def behaviour(request):
        if request.number > 0:
            assert failed.wait(30)
            threading.Event().wait(0.05)
        return said("")

    def full(index, text):
        failed.set()
        raise OSError("no space left")

    server.behaviour = behaviour
    with pytest.raises(OSError, match="no space left"):
        Endpoint(url=server.url, model="m", parallel=1)(user(*"abcdefgh" * 5), max_new_tokens=1, received=full)
    assert len(server.requests) < 40


def test_a_key_is_sent_and_shown_nowhere(server, waits, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    chat = Endpoint(url=server.url, model="m", key_variable="MY_KEY")
    assert chat(user("?"), max_new_tokens=1) == ["?"]
    assert server.requests[0].key == f"Bearer {KEY}"
    assert KEY not in json.dumps(configs.encode(chat)) + repr(chat) + chat.provenance()
    assert configs.decode(configs.encode(chat)) == chat
    server.behaviour = lambda request: failing((503, 401)[request.number - 1], f"Incorrect API key provided: {KEY}.")
    with caplog.at_level(logging.DEBUG), pytest.raises(ValueError, match=r"provided: \[key\]") as caught:
        chat(user("?"), max_new_tokens=1)
    assert "[key]" in caplog.text
    for shown in (caplog.text, str(caught.value), repr(caught.value.__cause__)):
        assert KEY not in shown
    monkeypatch.setenv("MY_KEY", f"{KEY}\nand more")
    with pytest.raises(ValueError, match="MY_KEY must hold printable ASCII characters") as caught:
        chat(user("?"), max_new_tokens=1)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "127.0.0.1:8000/v1"}, "url must be the base of an API"),
        ({"url": "http://127.0.0.1/v1/chat/completions"}, "url must be the base of an API"),
        ({"url": "http://127.0.0.1:99999/v1"}, "url must be the base of an API"),
        ({"url": "http://[::1/v1"}, "url must be the base of an API"),
        ({"url": f"http://me:{KEY}@127.0.0.1/v1"}, "url must hold no user, password or query"),
        ({"url": f"https://127.0.0.1/v1?key={KEY}"}, "url must hold no user, password or query"),
        ({"key_variable": KEY}, "key_variable must be the name of an environment variable"),
        ({"attempts": 0}, "seconds must be above 0, and attempts and parallel at least 1, got 60.0, 0 and 8"),
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"parallel": 0}, "seconds must be above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_showing_a_key(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        Endpoint(**({"url": "http://127.0.0.1:8000/v1", "model": "m"} | fields))
    assert KEY not in str(caught.value)


def test_several_processes_would_all_send(server, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="an Endpoint must be called from one process"):
        Endpoint(url=server.url, model="m")(user("?"), max_new_tokens=1)
    assert server.requests == []
