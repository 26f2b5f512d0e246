"""The benchmarks of all methods, on tiny models: what they judge, and that their figures are what they say."""

import pytest

from benchmarks.methods import methods_memory
from benchmarks.models import rollout
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.on_policy import OnPolicy


def test_memory_is_a_share_of_all_logits(tiny, monkeypatch):
    recipes = [("one", tiny.logit_kd()), ("two", tiny.cross(DSKDv2ETA))]
    monkeypatch.setattr(methods_memory, "_methods", lambda _: iter(recipes))
    rows = methods_memory.measure(quick=True).rows
    assert [row.figure for row in rows] == ["one", "two"]
    # So few targets are one chunk: the loss stores both distributions, and some gradients.
    assert all(1 < row.value < 20 and row.bar == methods_memory.BAR for row in rows)


@pytest.mark.slow
def test_a_rollout_is_timed_beside_its_parts(tiny, monkeypatch):
    recipe = OnPolicy(recipe=tiny.logit_kd(), max_new_tokens=3)
    monkeypatch.setattr(rollout, "_recipes", lambda _: iter([("KD", recipe)]))
    monkeypatch.setattr(rollout, "_programs", lambda count: count)
    whole, cost, host, rounds, programs = rollout.measure(quick=True).rows
    assert whole.figure == "KD: a step"
    assert len(whole.samples) == len(cost.samples) == len(host.samples) == 5
    assert cost.bar == rollout.COST
    assert 0 < host.value < 1
    assert rounds.figure == "KD: a step in rounds of 4 / a step" and rounds.value > 0
    assert programs.figure == "programs compiled in 20 steps"
