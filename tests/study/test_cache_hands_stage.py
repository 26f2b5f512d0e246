"""A teacher's predictions of hands are stored once, and a pass that was stopped goes on."""

import unittest.mock

import jax
import numpy as np
import pytest

from jaxkd.runtime.storage.array_cache import ArrayCache
from jaxkd.study import cache_hands_stage
from jaxkd.study.cache_hands_stage import CacheHands
from jaxkd.vision.hands.taught_examples import hand_identity
from tests.vision.tiny_hand_views import DottedHands, KnowingTeacher

DATA = DottedHands()
STAGE = CacheHands(name="labels", model=KnowingTeacher(), data=DATA, rows=4)


def stored(folder):
    cache = ArrayCache(folder, hand_identity(DATA, "train"))
    return [cache(index) for index in range(cache.examples)]


def test_stored_are_the_joints_and_the_cameras(tmp_path):
    STAGE.run(tmp_path, seed=0, stages={})
    rows = stored(tmp_path)
    assert len(rows) == 9
    for row, example in zip(rows, DATA.examples("train"), strict=True):
        target = example.target
        np.testing.assert_allclose(row["places"], (target.pixels + 0.5) / 32, rtol=1e-6)
        np.testing.assert_array_equal(row["points"], target.points)
        np.testing.assert_array_equal(row["rotation"], target.rotation)
        np.testing.assert_allclose(row["centre"], (target.centre + 0.5) / 32, rtol=1e-6)
        assert row["confidence"] == np.float32(0.9)
    assert STAGE.provenance() == "model: a teacher that knows"


def test_a_pass_that_was_stopped_goes_on(tmp_path):
    STAGE.run(tmp_path / "whole", seed=0, stages={})
    calls, found = [], cache_hands_stage._found

    def stopping(model, images, views, *, side):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return found(model, images, views, side=side)

    stage = CacheHands(name="labels", model=KnowingTeacher(), data=DATA, rows=4)
    with (
        unittest.mock.patch.object(cache_hands_stage, "FLUSH_EVERY", 1),
        unittest.mock.patch.object(jax, "jit", lambda function, **options: stopping),
        pytest.raises(KeyboardInterrupt),
    ):
        stage.run(tmp_path / "part", seed=0, stages={})
    assert len(calls) == 3
    stage.run(tmp_path / "part", seed=0, stages={})
    for one, other in zip(stored(tmp_path / "part"), stored(tmp_path / "whole"), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    with unittest.mock.patch.object(KnowingTeacher, "load_model") as load:
        stage.run(tmp_path / "part", seed=0, stages={})
    load.assert_not_called()


def test_refusals():
    with pytest.raises(ValueError, match=r"rows must be at least 1, got 0\."):
        CacheHands(name="labels", model=KnowingTeacher(), data=DATA, rows=0).validate()
    with (
        unittest.mock.patch.object(jax, "process_count", lambda: 2),
        pytest.raises(ValueError, match=r"a CacheHands stage must run in one process\."),
    ):
        STAGE.validate()
