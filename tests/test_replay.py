"""The buffer of answers: what goes in comes out, and the oldest makes room."""

import jax
import numpy as np
import pytest

from jaxkd import replay
from jaxkd.data.chat import Answer
from jaxkd.replay import Replay


def answers(*lengths):
    return [Answer(tokens=tuple(range(1, length + 1)), ended=bool(length % 2)) for length in lengths]


def test_what_goes_in_comes_out():
    buffer = replay.added(replay.empty(4, max_new_tokens=3), [7, 0], answers(3, 1))
    assert replay.size(buffer) == 2
    assert [replay.answer(buffer, place) for place in range(2)] == list(zip([7, 0], answers(3, 1), strict=True))


def test_the_oldest_makes_room_and_leaves_nothing_behind():
    buffer = replay.added(replay.empty(2, max_new_tokens=3), [0, 1, 2], answers(1, 2, 3))
    buffer = replay.added(buffer, [3], answers(1))
    assert replay.size(buffer) == 2
    assert [replay.answer(buffer, place)[0] for place in range(2)] == [2, 3]
    assert buffer["tokens"][1].tolist() == [1, 0, 0]


def test_a_buffer_is_not_changed_in_place():
    buffer = replay.empty(2, max_new_tokens=3)
    replay.added(buffer, [1], answers(3))
    assert all(not np.any(leaf) for leaf in buffer.values())


def test_an_answer_that_is_too_long_is_an_error():
    with pytest.raises(ValueError, match="could not broadcast"):
        replay.added(replay.empty(2, max_new_tokens=3), [1], answers(4))


def test_a_draw_takes_no_answer_twice_and_each_equally_often():
    buffer = replay.added(replay.empty(5, max_new_tokens=3), range(5), answers(1, 2, 3, 1, 2))
    counts = np.zeros(5)
    for seed in range(200):
        examples = [example for example, _ in replay.drawn(buffer, 3, jax.random.key(seed))]
        assert len(set(examples)) == 3
        counts[examples] += 1
    # 120 expected of each, with a standard deviation of 7.
    assert (abs(counts - 120) < 35).all()


def origins(schedule, buffers, step):
    found = [schedule.origin(buffers, step, jax.random.key(seed)) for seed in range(300)]
    return {name: found.count(name) / len(found) for name in ("data", "new", "kept")}


def test_new_answers_give_way_to_kept_ones():
    schedule = Replay(start=0.6, steps=100, capacity=2)
    buffers = schedule.initial(3)
    assert origins(schedule, buffers, 50)["kept"] == 0, "not before the buffer is full"
    full = replay.added(buffers, [0, 1], answers(1, 2))
    assert set(full) == set(buffers)
    for step, share in ((0, 1.0), (50, 0.5), (100, 0.0)):
        shares = origins(schedule, full, step)
        np.testing.assert_allclose(shares["data"], 0.4, atol=0.08)
        np.testing.assert_allclose(shares["new"], 0.6 * share, atol=0.08)


def test_a_worse_validation_asks_for_more_answers_of_the_student():
    schedule = Replay(start=0.25, steps=10, capacity=2, increase=0.5, metric="loss", tolerance=0.1)
    buffers, shares = schedule.initial(3), []
    for loss in (2.0, 2.05, 2.2, 1.0, 3.0):
        buffers = schedule.validated(buffers, {"loss": loss})
        shares.append(float(buffers["phi"]))
    assert shares == [0.25, 0.25, 0.75, 0.75, 1.0]
    with pytest.raises(ValueError, match="replay.metric must be one of the validation's, other, got 'loss'"):
        schedule.validated(buffers, {"other": 1.0})
    with pytest.raises(ValueError, match="of the validation's, of which there is none, got 'loss'"):
        schedule.validated(buffers, {})
