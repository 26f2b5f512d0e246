"""Graceful stop of a run: the first signal asks, the second one insists."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils


class Interrupted(BaseException):
    """A run or a program that ended on request, to go on by the same command.

    Not an `Exception`, as `KeyboardInterrupt` is none: it may be raised anywhere, and no handler of errors may keep it.
    """

    def __init__(self, by: signal.Signals | None, saved: str = ""):
        name = by.name if by else "a request"
        super().__init__(f"stopped by {name}{saved}. Run the same command to go on.")


class Interrupt:
    """Request to stop the run, and the signal that made it."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def agreed(self) -> bool:
        """Whether any process was asked to stop; all processes must call this, and get the same answer.

        A scheduler's signals arrive at different times: processes that acted on their own would leave the loop at
        different steps, and the next collective operation would wait forever.
        """
        if jax.process_count() == 1:
            return bool(self)
        return bool(multihost_utils.process_allgather(np.array(bool(self))).any())


@contextlib.contextmanager
def catch_interrupts() -> Iterator[Interrupt]:
    """Turn SIGINT and SIGTERM into a flag that the loop reads between steps.

    A second signal of the same kind has its usual effect.  Outside the main thread, where Python
    delivers no signals, nothing is caught.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        interrupt.signal = signal.Signals(number)
        signal.signal(number, previous[interrupt.signal])

    for number in previous:
        signal.signal(number, ask)
    try:
        yield interrupt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def raise_on_termination() -> Iterator[None]:
    """Turn SIGTERM into `Interrupted`, where no loop catches it first; outside the main thread nothing is caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise Interrupted(signal.Signals(number))

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
