"""A model behind any server that speaks OpenAI's chat completions."""

import concurrent.futures
import dataclasses
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Sequence
from typing import Any

import jax

from jaxkd.data.examples import Messages
from jaxkd.evals.judges.chat import Chat, Received
from jaxkd.evals.judges.post import beginning, post
from jaxkd.runtime.progress import progress

_PATH = "/chat/completions"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint(Chat):
    """Model of an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, or a service.

    The key itself is in no config, log or error: it is read from the environment for each call.  Requests have
    `max_tokens` and `temperature`, which some hosted models that think refuse.

    Raises:
        ValueError: a URL that is not a base address, or a value outside its range.
    """

    url: str
    """Base of the API, to which "/chat/completions" is added: http://127.0.0.1:8000/v1."""
    model: str
    """Name of the model on the server."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the API key; if it is not set, none is sent."""
    seconds: float = 60.0
    """Longest wait for a reply."""
    attempts: int = 4
    """Number of times that a request is sent, if the server is busy, fails or takes too long."""
    parallel: int = 8
    """Number of requests at a time."""

    def __post_init__(self) -> None:
        if re.search("[@?#]", self.url):
            raise ValueError(
                "url must hold no user, password or query, got one, which is not repeated here. Put the key into "
                "the environment variable that key_variable names."
            )
        if not _is_base(self.url):
            raise ValueError(
                f"url must be the base of an API, such as 'http://127.0.0.1:8000/v1', to which {_PATH!r} is added, "
                f"got {self.url!r}."
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_variable):
            raise ValueError(
                "key_variable must be the name of an environment variable, such as 'OPENAI_API_KEY', got something "
                "else, which is not repeated here in case it is a key. Set the variable to the key, and give its name."
            )
        if not self.seconds > 0 or self.attempts < 1 or self.parallel < 1:
            raise ValueError(
                f"seconds must be above 0, and attempts and parallel at least 1, got {self.seconds}, {self.attempts} "
                f"and {self.parallel}."
            )

    def __call__(
        self,
        conversations: Sequence[Messages],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        received: Received | None = None,
    ) -> list[str]:
        """Request the replies.

        After a failure no further request is sent; replies to those that are under way are still received.

        Raises:
            ValueError: a request that failed for good, several processes, or a key that no header can hold.
        """
        if jax.process_count() > 1:
            raise ValueError(
                "an Endpoint must be called from one process, each of several would send every request. Evaluate the "
                "model in a process of its own."
            )
        if not conversations:
            return []
        key, stopped = self._key(), threading.Event()
        replies: dict[int, str] = {}
        failure: ValueError | None = None

        def reply(messages: Messages) -> str | None:
            if stopped.is_set():
                return None
            try:
                return self._reply(messages, max_new_tokens, temperature, key, stopped)
            except ValueError:
                stopped.set()
                raise

        with (
            progress(len(conversations), f"replies of {self.model}") as bar,
            concurrent.futures.ThreadPoolExecutor(self.parallel) as pool,
        ):
            indices = {pool.submit(reply, messages): index for index, messages in enumerate(conversations)}
            try:
                for future in concurrent.futures.as_completed(indices):
                    try:
                        text = future.result()
                    except ValueError as error:
                        failure = failure or error
                        continue
                    if text is not None:
                        replies[indices[future]] = text
                        if received is not None:
                            received(indices[future], text)
                        bar.update(len(replies))
            finally:
                # Ctrl-C, or a disk that is full: the threads have nothing left to do.
                stopped.set()
        if failure is not None:
            raise ValueError(f"{failure} {len(replies)} of {len(conversations)} replies were received.") from failure
        return [replies[index] for index in range(len(conversations))]

    def provenance(self) -> str:
        return f"{self.model} at {self.url}"

    def _key(self) -> str:
        key = os.environ.get(self.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            # The standard library's own error would show it.
            raise ValueError(
                f"{self.key_variable} must hold printable ASCII characters, got others. Copy the key anew."
            )
        return key

    def _reply(
        self, messages: Messages, max_new_tokens: int, temperature: float, key: str, stopped: threading.Event
    ) -> str:
        url = self.url.rstrip("/") + _PATH
        body = {
            "model": self.model,
            "messages": [{"role": role, "content": text} for role, text in messages],
            # Not max_completion_tokens, which few servers besides OpenAI's know.
            "max_tokens": max_new_tokens,
            "temperature": temperature,
        }
        answer = post(url, body, key=key, seconds=self.seconds, attempts=self.attempts, stopped=stopped)
        return _content(url, answer, key)


def _is_base(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0  # raises for what is no port
            and not parts.path.rstrip("/").endswith(_PATH)
        )
    except ValueError:
        return False


def _content(url: str, answer: Any, key: str) -> str:
    match answer:
        case {"choices": [{"message": {"content": str(text)}}, *_]}:
            return text
        case {"choices": [{"message": {"content": None}}, *_]}:
            return ""  # a refusal, or a model that thought until its tokens ran out
    raise ValueError(
        f"{url} must answer with choices[0].message.content, got {beginning(json.dumps(answer).encode(), key)}. Is it "
        "an OpenAI-compatible server?"
    )
