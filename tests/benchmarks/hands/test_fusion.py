"""Errors of the rules of fusion on hands whose truth is known."""

import dataclasses

import numpy as np

from benchmarks.hands import fusion
from jaxkd.study.cache_hands_stage import CacheHands
from tests.vision.tiny_hand_views import VIEWS, DottedHands, KnowingTeacher

DATA = DottedHands(train=2)


def stored(folder, split, **changes):
    teacher = KnowingTeacher(data=DATA, **changes)
    CacheHands(name="labels", model=teacher, data=DATA, split=split, rows=4).run(folder, seed=0, stages={})
    return folder


def test_errors_are_those_of_depths_and_triangulation_has_none(tmp_path):
    found = fusion.measure(
        DATA,
        stored(tmp_path / "validation", "validation", depth_error=0.5),
        stored(tmp_path / "test", "test", depth_error=0.5),
    )
    targets = [example.target for example in DATA.examples("test")]
    # Half of each joint's own depth, relative to the wrist.
    expected = np.array([np.abs(0.5 * target.points[:, 2]).mean() for target in targets]).reshape(2, 3)
    np.testing.assert_allclose(found.single, 1e3 * expected, rtol=1e-4)
    assert found.fused["triangulated"].max() < 5e-3
    for rule in ("mean", "weighted", "agreeing_pair"):
        assert (found.fused[rule] < found.single.max(axis=1)).all()
        assert (found.fused[rule] > 1).all()
    assert found.sure.all()


def test_rows_say_which_rule_wins_by_camera():
    single = np.array([[10.0, 12.0], [12.0, 20.0]])
    errors = fusion.FusionErrors(
        views=VIEWS[:2],
        single=single,
        sure=np.array([[True, False], [True, True]]),
        fused={
            "mean": np.array([9.0, 9.5]),
            "weighted": np.array([8.0, 9.0]),
            "agreeing_pair": np.array([7.0, 11.0]),
            "triangulated": np.array([9.5, 7.0]),
        },
    )
    rows = {row.figure: row for row in fusion.rows(errors, judged=True)}
    assert rows["teacher, left alone: error of the joints"].value == 11
    assert rows["left, the best view, - weighted"].value == 2.5
    judged = {figure: row.holds for figure, row in rows.items() if row.bar}
    assert judged == {
        "left, the best view, - weighted, lower end of the interval": True,
        "left, the best view, - agreeing pair, lower end of the interval": True,
    }
    assert (
        rows["frames in which the teacher is sure of left (11.0 mm alone): the best rule, triangulated"].value == 8.25
    )
    assert rows["frames in which the teacher is sure of middle (20.0 mm alone): the best rule, triangulated"].value == 7
    nowhere = dataclasses.replace(errors, fused=errors.fused | {"mean": np.array([np.nan, 9.5])})
    rows = {row.figure: row.value for row in fusion.rows(nowhere, judged=False)}
    assert rows["test frames in which the teacher is sure of a view"] == 0.5
    assert rows["teacher, weighted: error of the joints"] == 9
