"""Signals: the first asks, the second insists, and handlers are put back."""

import os
import signal
import threading

import pytest

from jaxkd.runtime.interrupt import catch_interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_flag(number):
    before = signal.getsignal(number)
    with catch_interrupts() as interrupt:
        assert not interrupt
        os.kill(os.getpid(), number)
        assert interrupt
        assert interrupt.signal == number
    assert signal.getsignal(number) is before


def test_the_second_signal_acts_as_ever():
    with pytest.raises(KeyboardInterrupt), catch_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_other_threads_catch_nothing():
    seen = []

    def body():
        with catch_interrupts() as interrupt:
            seen.append(bool(interrupt))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [False]
