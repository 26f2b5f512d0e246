"""The buffer of answers: what goes in comes out, and the oldest makes room."""

import jax
import numpy as np
import pytest

from jaxkd.data.text.chat import Answer
from jaxkd.on_policy import replay_buffer


def answers(*lengths):
    return [Answer(tokens=tuple(range(1, length + 1)), ended=bool(length % 2)) for length in lengths]


def test_what_goes_in_comes_out():
    buffer = replay_buffer.added(replay_buffer.empty(4, max_new_tokens=3), [7, 0], answers(3, 1))
    assert replay_buffer.size(buffer) == 2
    assert [replay_buffer.answer(buffer, place) for place in range(2)] == list(zip([7, 0], answers(3, 1), strict=True))


def test_the_oldest_makes_room_and_leaves_nothing_behind():
    buffer = replay_buffer.added(replay_buffer.empty(2, max_new_tokens=3), [0, 1, 2], answers(1, 2, 3))
    buffer = replay_buffer.added(buffer, [3], answers(1))
    assert replay_buffer.size(buffer) == 2
    assert [replay_buffer.answer(buffer, place)[0] for place in range(2)] == [2, 3]
    assert buffer["tokens"][1].tolist() == [1, 0, 0]


def test_a_buffer_is_not_changed_in_place():
    buffer = replay_buffer.empty(2, max_new_tokens=3)
    replay_buffer.added(buffer, [1], answers(3))
    assert all(not np.any(leaf) for leaf in buffer.values())


def test_an_answer_that_is_too_long_is_an_error():
    with pytest.raises(ValueError, match="could not broadcast"):
        replay_buffer.added(replay_buffer.empty(2, max_new_tokens=3), [1], answers(4))


def test_a_draw_takes_no_answer_twice_and_each_equally_often():
    buffer = replay_buffer.added(replay_buffer.empty(5, max_new_tokens=3), range(5), answers(1, 2, 3, 1, 2))
    counts = np.zeros(5)
    for seed in range(200):
        examples = [example for example, _ in replay_buffer.drawn(buffer, 3, jax.random.key(seed))]
        assert len(set(examples)) == 3
        counts[examples] += 1
    # 120 expected of each, with a standard deviation of 7.
    assert (abs(counts - 120) < 35).all()
