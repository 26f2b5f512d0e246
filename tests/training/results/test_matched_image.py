import dataclasses

import numpy as np
import pytest

from jaxkd.metrics import average_precision
from jaxkd.training.results.matched_image import MatchedImage
from tests.metrics.detection_scenes import scenes


def test_matches_come_back_from_the_record():
    for scene in scenes(0, 20):
        matches = scene.matches()
        back = MatchedImage.from_matches(matches).matches()
        for field in dataclasses.fields(matches):
            ours, theirs = getattr(back, field.name), getattr(matches, field.name)
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype


def test_scores_in_float32_keep_their_order_and_their_ties():
    all_scenes = scenes(1, 12)
    close = np.float32(0.7) + np.float32(2**-24) * np.arange(4, dtype=np.float32)
    found = []
    for scene in all_scenes:
        picked = np.random.default_rng(len(scene.scores)).choice(close, len(scene.scores))
        found.append(dataclasses.replace(scene, scores=picked).matches())
    stored = [MatchedImage.from_matches(one) for one in found]
    assert max(len(str(score)) for one in stored for score in one.scores) <= 12
    assert average_precision([one.matches() for one in stored]).ap == average_precision(found).ap


def test_a_bit_has_its_place():
    record = MatchedImage(
        scores=(0.5,), classes=(2,), matched=(2**0 + 2**25,), ignored=(2**39,), truth_classes=(2,), counted=(2**2,)
    )
    matches = record.matches()
    assert np.argwhere(matches.matched).tolist() == [[0, 0, 0], [2, 5, 0]]
    assert np.argwhere(matches.ignored).tolist() == [[3, 9, 0]]
    assert np.argwhere(matches.counted).tolist() == [[2, 0]]
    assert MatchedImage.from_matches(matches) == record


def test_other_records_are_refused():
    record = MatchedImage(scores=(0.5,), classes=(2,), matched=(0,), ignored=(0,), truth_classes=(2,), counted=(1,))
    for changes in ({"scores": ()}, {"ignored": (0, 0)}, {"counted": ()}):
        with pytest.raises(ValueError, match="matches must have one value for each detection and each object, got"):
            dataclasses.replace(record, **changes)
    for changes, bits in (({"matched": (2**40,)}, 40), ({"ignored": (-1,)}, 40), ({"counted": (16,)}, 4)):
        with pytest.raises(ValueError, match=f"matches must have integers of {bits} bits, got one of "):
            dataclasses.replace(record, **changes)
