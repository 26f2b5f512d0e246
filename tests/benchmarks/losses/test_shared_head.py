"""The toy of two heads against one: known values, and its picture."""

import functools

import numpy as np
import pytest

from benchmarks.losses import plot_shared_head, shared_head
from benchmarks.losses.plot_losses_memory import save
from jaxkd.losses import ForwardKL, ReverseKL

# Distance before and after training, of the vectors from the teacher's, and of their structures: in NumPy, by hand.
KNOWN = {
    (ForwardKL(), "teacher"): (10.714, 1.0753, 3.866, 0.961),
    (ForwardKL(), "student"): (13.007, 0.1133, 1.664, 0.492),
    (ReverseKL(), "teacher"): (8.887, 2.1420, 5.270, 0.874),
    (ReverseKL(), "student"): (9.594, 1.0863, 3.627, 0.826),
}


@pytest.fixture(scope="module", autouse=True)
def trained_once():
    with pytest.MonkeyPatch.context() as patched:
        train = functools.cache(shared_head.train)
        patched.setattr(shared_head, "train", train)
        patched.setattr(plot_shared_head, "train", train)
        patched.setattr(shared_head, "SEEDS", (0, 1))
        yield


@pytest.mark.parametrize(("divergence", "head"), KNOWN, ids=str)
def test_equals_plain_numpy(divergence, head):
    found = shared_head.train(divergence, head, 0)
    expected = KNOWN[divergence, head]
    np.testing.assert_allclose((found.first, found.last, found.distance, found.structure), expected, rtol=6e-4)


def test_one_head_ends_nearer_and_more_alike():
    rows = {row.figure: row for row in shared_head.measure(quick=True).rows}
    judged = [row for row in rows.values() if row.bar is not None]
    assert len(judged) == 3
    assert all(row.holds and max(row.samples) < 1 for row in judged)


def test_the_picture_has_both_panels(tmp_path):
    save(plot_shared_head.draw(), tmp_path / "toy.svg")
    text = (tmp_path / "toy.svg").read_text()
    assert all(title in text for title in plot_shared_head.TITLES.values())
