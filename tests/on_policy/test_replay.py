"""DistiLLM's schedule: how often the student's answers are learnt from, and how often they are new."""

import jax
import numpy as np
import pytest

from jaxkd.data.text.chat import Answer
from jaxkd.on_policy import Replay, replay_buffer


def sources(schedule, buffers, step):
    found = [schedule.source(buffers, step, jax.random.key(seed)) for seed in range(300)]
    return {name: found.count(name) / len(found) for name in ("data", "new", "replayed")}


def test_new_answers_give_way_to_kept_ones():
    schedule = Replay(start=0.6, steps=100, capacity=2)
    buffers = schedule.initial(3)
    assert sources(schedule, buffers, 50)["replayed"] == 0, "not before the buffer is full"
    full = replay_buffer.added(buffers, [0, 1], [Answer(tokens=(1,), ended=True)] * 2)
    assert set(full) == set(buffers)
    for step, share in ((0, 1.0), (50, 0.5), (100, 0.0)):
        shares = sources(schedule, full, step)
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
