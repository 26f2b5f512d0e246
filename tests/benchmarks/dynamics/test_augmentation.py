"""The benchmark of FNODE's rounds, in miniature."""

import dataclasses

import jax
import numpy as np
import pytest

from benchmarks.dynamics import augmentation


@pytest.mark.slow
def test_one_seed_by_a_few_steps():
    """Against errors that are known by themselves: of the curves' slopes, and of a field that is hardly trained."""
    with jax.enable_x64(True):
        tried = augmentation._tried(augmentation.SPARSE, 100, 0.0, 2)
    assert 0.05 < tried.first < 0.2
    assert tried.own > 0.5
    assert tried.longer_field > 0.3
    assert 0 <= tried.done <= augmentation.ROUNDS
    assert all(np.isfinite(value) for value in dataclasses.asdict(tried).values())


def test_rows(monkeypatch):
    made = augmentation.Tried(
        first=0.2, rounds=0.05, own=0.3, longer=0.25, first_field=0.2, longer_field=0.15, rounds_field=0.06, done=3
    )
    monkeypatch.setattr(augmentation, "_tried", lambda *_: made)
    ratio, *others = augmentation._rows(augmentation.SPARSE, 0.02, range(2), 1)
    assert ratio.value == 0.25
    assert ratio.bar == augmentation.HALVED
    assert ratio.figure == "sparse Lotka-Volterra, 2% noise: slopes after the rounds / before"
    assert all(row.bar is None for row in others)
