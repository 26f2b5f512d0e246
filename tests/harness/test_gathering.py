"""Requests of concurrent tasks are answered together."""

import asyncio
import threading

import pytest

from jaxkd.harness.gathering import Gathering


class Doubler:
    """Doubles numbers, and remembers the calls; a negative number is an error."""

    def __init__(self):
        self.calls, self.running = [], 0

    def __call__(self, numbers):
        self.running += 1
        assert self.running == 1, "one call runs at a time"
        assert threading.current_thread() is not threading.main_thread()
        self.calls.append(list(numbers))
        self.running -= 1
        if min(numbers) < 0:
            raise ValueError(f"a negative number among {numbers}")
        return [2 * number for number in numbers]


async def together(gathering, numbers):
    return await asyncio.gather(*map(gathering, numbers), return_exceptions=True)


def test_requests_that_arrive_together_run_as_one_batch_in_their_order():
    doubler = Doubler()
    assert asyncio.run(together(Gathering(doubler), range(20))) == list(range(0, 40, 2))
    assert doubler.calls == [list(range(20))]


def test_requests_that_arrive_during_a_call_wait_for_the_next():
    started, release = threading.Event(), threading.Event()
    calls = []

    def slow(numbers):
        calls.append(list(numbers))
        started.set()
        release.wait()
        return numbers

    async def program():
        gathering = Gathering(slow)
        first = asyncio.ensure_future(gathering(0))
        while not started.is_set():
            await asyncio.sleep(0.001)
        later = [asyncio.ensure_future(gathering(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0.01)
        release.set()
        return await asyncio.gather(first, *later)

    assert asyncio.run(program()) == [0, 1, 2, 3]
    assert calls == [[0], [1, 2, 3]]


def test_an_error_reaches_each_request_of_its_call_and_no_other():
    doubler = Doubler()

    async def program():
        gathering = Gathering(doubler)
        return await together(gathering, [1, -1]), await together(gathering, [1, 2])

    wrong, right = asyncio.run(program())
    assert [type(one) for one in wrong] == [ValueError, ValueError]
    assert right == [2, 4]


def test_a_task_that_is_cancelled_leaves_the_others_their_answers():
    doubler = Doubler()

    async def program():
        gathering = Gathering(doubler)
        tasks = [asyncio.ensure_future(gathering(number)) for number in range(4)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third, fourth = asyncio.run(program())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(third, asyncio.CancelledError)
    assert (second, fourth) == (2, 6)
    assert doubler.calls == [[1, 3]]


@pytest.mark.parametrize("rounds", [2])
def test_a_gathering_outlives_an_event_loop(rounds):
    gathering = Gathering(Doubler())
    assert [asyncio.run(together(gathering, [1, 2])) for _ in range(rounds)] == [[2, 4]] * rounds
