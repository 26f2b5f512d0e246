"""How our models and those of transformers are compared.  Nothing is timed here, and neither runs."""

import itertools

import pytest

from benchmarks import side_by_side
from benchmarks.environment import Environment
from benchmarks.models import beside_transformers, models_forward, sampler
from benchmarks.models.sampler import Case
from benchmarks.row import Bar
from benchmarks.side_by_side import Sides

HERE = Environment(device="1 x cpu", machine="none", python="3", versions={})


def sides(**answers):
    """Two sides of which the other takes three times as long."""
    seconds = itertools.count(2)

    def side(slower):
        return lambda **request: {"seconds": slower * next(seconds), **answers}

    return Sides(ours=side(1), theirs=side(3), environment=HERE)


def test_a_row_for_each_side_and_their_ratio_within_a_round():
    bar = Bar(relation=">=", limit=0.9)
    ours, theirs, ratio = beside_transformers.speeds(sides(), "batch 8", {}, tokens=512, bar=bar)
    assert [row.figure for row in (ours, theirs, ratio)] == [
        "batch 8: jaxkd",
        "batch 8: transformers",
        "batch 8: jaxkd / transformers",
    ]
    assert ratio.samples == tuple(own / other for own, other in zip(ours.samples, theirs.samples, strict=True))
    assert (len(ratio.samples), str(ratio.bar), ratio.holds) == (5, ">= 0.9", True)
    assert ours.samples[0] == 512 / 4  # 2 calls were made before the first that counts


def test_sides_that_write_something_else_are_not_timed():
    same = [[1] * 64] * 8
    sampler.require_agreement("batch 8", same, [*same[:7], [1] * 40 + [2] * 24])
    with pytest.raises(ValueError, match=r"must write the same in 95% of the tokens .*, got 94% for batch 8\.$"):
        sampler.require_agreement("batch 8", same, [*same[:7], [1] * 32 + [2] * 32])


def test_sides_that_compute_something_else_are_not_timed():
    models_forward.require_agreement("8 x 128", [[1.0, 2.0]], [[1.0, 2.0005]])
    for logit in (2.002, float("nan")):
        with pytest.raises(
            ValueError, match=r"must compute logits within 0\.001 .* got a difference of .* for 8 x 128"
        ):
            models_forward.require_agreement("8 x 128", [[1.0, 2.0]], [[1.0, logit]])


def test_what_is_asked_and_counted():
    case, same = sampler.CASES[0], sides(tokens=[[1] * 64] * 8)
    assert sampler._rows(case, same, [[1] * 32] * 8)[0].samples[0] == 8 * 64 / 6
    forward = models_forward.CASES[0]
    ours, *_, ratio = models_forward._rows(forward, sides(logits=[[1.0]]), [1] * 1024)
    assert (ours.samples[0], ratio.bar) == (8 * 128 / 6, models_forward.FASTER)


def test_cases_say_what_they_are():
    assert Case(rows=8, temperature=0.7, top_p=0.9).label == "batch 8, temperature 0.7, top-p 0.9"
    assert [case.rows for case in sampler.CASES if case.bar is not None] == [8, 32]
    assert models_forward.CASES[0].label == "8 x 128 tokens"


def test_processes_are_kept_to_a_core(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    with pytest.raises(ValueError, match="a process must be kept to one core, which this system cannot, got none"):
        side_by_side._core()
