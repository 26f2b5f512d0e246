"""How two samplers are compared.  Nothing is timed here, and neither runs."""

import itertools

import pytest

from benchmarks import sampler
from benchmarks.sampler import Case


def test_a_row_for_each_side_and_their_ratio_within_a_round():
    seconds = itertools.count(2)

    def side(slower):
        return lambda: {"seconds": slower * next(seconds), "tokens": [[1, 2]]}

    ours, theirs, ratio = sampler._rows(sampler.CASES[0], side(1), side(3))
    assert [row.figure for row in (ours, theirs, ratio)] == [
        "batch 8, greedy: jaxkd",
        "batch 8, greedy: transformers",
        "batch 8, greedy: jaxkd / transformers",
    ]
    assert ratio.samples == tuple(own / other for own, other in zip(ours.samples, theirs.samples, strict=True))
    assert (len(ratio.samples), str(ratio.bar), ratio.holds) == (5, ">= 1.15", True)
    # 8 rows of 64 tokens; 4 calls were made before the first that counts.
    assert ours.samples[0] == 8 * 64 / 6


def test_sides_that_write_something_else_are_not_timed():
    same = [[1] * 64] * 8
    sampler.require_agreement("batch 8", same, [*same[:7], [1] * 40 + [2] * 24])
    with pytest.raises(ValueError, match=r"must write the same in 95% of the tokens .*, got 94% for batch 8\.$"):
        sampler.require_agreement("batch 8", same, [*same[:7], [1] * 32 + [2] * 32])


def test_cases_say_what_they_are():
    assert Case(rows=8, temperature=0.7, top_p=0.9).label == "batch 8, temperature 0.7, top-p 0.9"
    assert [case.rows for case in sampler.CASES if case.bar is not None] == [8, 32]


def test_processes_are_kept_to_a_core(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    with pytest.raises(ValueError, match="sampler must run where a process can be kept to one core, got none"):
        sampler._cores()
