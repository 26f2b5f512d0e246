"""Requests of concurrent tasks, answered together by a function that blocks."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

Request = TypeVar("Request")
Answer = TypeVar("Answer")

PAUSE = 0.02
"""Seconds in which the requests that arrive together have all arrived."""


@dataclasses.dataclass(eq=False)
class _Waiting(Generic[Request, Answer]):
    request: Request
    answer: Answer | None = None
    error: Exception | None = None
    done: bool = False


class Gathering(Generic[Request, Answer]):
    """An awaitable function of one request, made of a function of many.

    The first of the tasks that wait runs the function in a thread, with the requests of all of them; those that arrive
    in the meantime wait for the next turn.  So one call runs at a time, with as many requests as there are.
    """

    def __init__(self, answer: Callable[[Sequence[Request]], Sequence[Answer]]) -> None:
        """Store the function.

        Args:
            answer: blocking function from requests to an answer each; its exception is raised for each of them.
        """
        self._answer = answer
        self._waiting: list[_Waiting[Request, Answer]] = []
        self._turn = anyio.Lock()

    async def __call__(self, request: Request) -> Answer:
        """Return the answer."""
        own = _Waiting[Request, Answer](request=request)
        self._waiting.append(own)
        try:
            async with self._turn:
                if not own.done:
                    await anyio.sleep(PAUSE)
                    gathered, self._waiting = self._waiting, []
                    # A task that is cancelled would else leave the others without an answer.
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(self._run, gathered)
        finally:
            if own in self._waiting:
                self._waiting.remove(own)
        if own.error is not None:
            raise own.error
        return own.answer  # pyright: ignore[reportReturnType] - done

    def _run(self, gathered: Sequence[_Waiting[Request, Answer]]) -> None:
        try:
            for waiting, answer in zip(gathered, self._answer([one.request for one in gathered]), strict=True):
                waiting.answer = answer
        except Exception as error:  # noqa: BLE001 - raised where it belongs
            for waiting in gathered:
                waiting.error = error
        for waiting in gathered:
            waiting.done = True
