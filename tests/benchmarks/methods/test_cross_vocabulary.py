"""The benchmarks between two vocabularies at toy sizes.  Nothing is timed here."""

import dataclasses

import pytest

from benchmarks import environment
from benchmarks.environment import Environment
from benchmarks.losses import rank_worker
from benchmarks.losses.loss_inputs import Shape
from benchmarks.methods import cross_vocabulary_speed, dskd_memory, dskd_step

STUDENT = dataclasses.asdict(Shape(tokens=6, vocabulary=40, width=4, teacher_width=8))
TEACHER = STUDENT | {"vocabulary": 30}
TOY = dskd_step.Shape(tokens=512, vocabulary=640, width=4, teacher_vocabulary=768, teacher_width=8)


def test_dskd_memory_judges_what_is_asked_to_be_small(monkeypatch):
    monkeypatch.setattr(dskd_memory, "SHAPE", TOY)
    rows = dskd_memory.measure(quick=True).rows
    assert [row.bar for row in rows] == [None, None, dskd_memory.BAR, dskd_memory.BAR]
    assert rows[0].figure.startswith("t2s_ce + t2s_kd + s2t_kd by reference, 512 targets, vocabularies of 640 and 768")
    assert rows[0].value >= 2 * 512 * 768 * 4 / 2**30  # two float32 logits of the teacher's vocabulary
    assert all(row.value < rows[0].value for row in rows[2:])


def test_the_worker_says_where_it_runs_and_what_it_computed():
    assert Environment(**rank_worker.answer({"environment": True})) == environment.here()
    exact, truncated = (rank_worker.answer({"student": STUDENT, "teacher": TEACHER, "top": top}) for top in (None, 5))
    assert exact["seconds"] > 0
    assert len(exact["result"]) == 3
    assert exact["bounds"] == [0] * 6
    assert sum(exact["distances"]) / 6 == pytest.approx(exact["result"][0], rel=1e-6)
    for distance, found, bound in zip(*(exact["distances"], truncated["distances"], truncated["bounds"]), strict=True):
        assert found - 1e-6 <= distance <= found + bound + 1e-6


def side(distances, bounds=(0.0, 0.0), result=(1.0, 2.0, 3.0), seconds=1.0):
    answer = {"seconds": seconds, "result": list(result), "distances": list(distances), "bounds": list(bounds)}
    return lambda **request: answer


def ours(**request):
    return side([0.5, 1.0])() if request["top"] is None else side([0.4, 1.0], [0.2, 0.0], seconds=0.5)()


def test_speed_has_rows_for_times_ratios_and_errors():
    def theirs(**request):
        return side([], seconds={"groups": 4.0, "plain": 2.0}[request["way"]])()

    rows = {row.figure: row for row in cross_vocabulary_speed._rows(64, ours, theirs)}
    values = {figure.removeprefix("64 positions: "): row.value for figure, row in rows.items()}
    assert values["GOLD / all ranks"] == 4
    assert values["GOLD / 8,192 ranks"] == 8
    assert values["GOLD's plain sum / all ranks"] == 2
    assert values["GOLD's plain sum / 8,192 ranks"] == 4
    assert values["distance over all ranks"] == 0.75
    assert values["missing from it over 8,192 ranks"] == pytest.approx(0.05)
    assert values["what may be missing, as reported"] == pytest.approx(0.1)
    judged = [row.figure for row in rows.values() if row.bar is not None]
    assert judged == ["64 positions: GOLD / 8,192 ranks"]


def test_sides_that_do_not_agree_are_not_timed():
    with pytest.raises(ValueError, match="GOLD and all ranks must agree on the loss and the norms of its gradients"):
        cross_vocabulary_speed._rows(64, ours, side([], result=(1.0, 2.0, 3.1)))


def test_a_distance_outside_its_bound_is_refused():
    with pytest.raises(ValueError, match="exact distances must lie within the bound of the truncated ones, got"):
        cross_vocabulary_speed._errors("64", side([0.5, 1.0])(), side([0.4, 1.0], [0.05, 0.0])())
