"""Throughput of three passes: the same prompts on both sides, and the rows."""

import pytest

from benchmarks.constitution import throughput


@pytest.mark.slow
def test_rows_of_a_few_prompts(monkeypatch):
    monkeypatch.setattr(throughput, "PROMPTS", 8)
    monkeypatch.setattr(throughput, "NEW", 4)
    monkeypatch.setattr(throughput, "WIDTH", 32)
    monkeypatch.setattr(throughput, "DEPTH", 1)
    stages, alone, ratio = throughput.rows(False)
    assert len(ratio.samples) == throughput.REPEATS
    assert (stages.bar, alone.bar, ratio.bar) == (None, None, throughput.COST)
    assert ratio.samples == tuple(one / other for one, other in zip(stages.samples, alone.samples, strict=True))
