"""A server, and waits that take no time."""

import threading
from collections.abc import Iterator

import pytest

from jaxkd.evals.judges import post
from tests.evals.judges.server import Server, serving


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """A server that repeats what it is told; there is no key, and no proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as found:
        yield found


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds between attempts, which are not waited for."""
    found: list[float] = []

    def pause(seconds: float, stopped: threading.Event) -> bool:
        found.append(seconds)
        return stopped.is_set()

    monkeypatch.setattr(post, "_pause", pause)
    return found
