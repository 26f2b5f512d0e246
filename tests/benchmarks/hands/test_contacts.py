"""Laws of contacts over time, on a hand of few vertices: they hold, and a metric that is off breaks them."""

import dataclasses

import numpy as np
import pytest

from benchmarks.hands import contacts
from jaxkd.data.images.hand_scenes.box_opening import draw_opening
from jaxkd.data.images.hand_scenes.hinged_box import HingedBox, box_mesh
from tests.data.images.hand_scenes.tiny_hand import tiny_hand


@pytest.fixture(scope="module")
def found():
    """Metrics of hands of 100 vertices and a coarse box."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contacts, "BOX", HingedBox(base_spacing=0.05, lid_spacing=0.005))
        patch.setattr(contacts, "load_hand", tiny_hand)
        return contacts.measure([("right", 0)])


def broken(found):
    """Figures whose bar does not hold."""
    return [row.figure.removeprefix("contacts, ") for row in contacts.judged(found) if row.holds is False]


def test_the_laws_hold(found):
    assert broken(found) == []
    assert sum(row.bar is not None for row in contacts.judged(found)) == 29


@pytest.mark.parametrize(
    ("metric", "law"),
    [
        ("CDev", "hand displaced: difference of CDev from 10 mm, at most that of the truth"),
        ("MDev", "truth: MDev"),
        ("ACC of the hand", "hand displaced: ACC of the hand"),
        ("ACC of the box", "hand late: ACC of the box"),
        ("AAE", "noise: difference of AAE over its expectation from 1"),
        ("MRRPE", "hand late: difference of MRRPE from the way of the wrist meanwhile"),
    ],
)
def test_a_metric_that_is_off_breaks_a_law(found, metric, law):
    off = {name: values | {metric: 1.3 * values[metric] + 0.1} for name, values in found.means.items()}
    assert law in broken(dataclasses.replace(found, means=off))


def test_noise_that_does_not_count_is_seen(found):
    name = contacts.noise_name(2)
    same = {**found.means, name: found.means[contacts.noise_name(8)]}
    steps = {f"noise: least increase of {metric} from one level to the next" for metric in contacts.UNITS}
    assert steps <= set(broken(dataclasses.replace(found, means=same)))


def test_a_late_hand_keeps_the_box_and_starts_where_it_did():
    assert contacts.late(6).tolist() == [0, 0, 0, 0, 1, 2]


def test_what_is_smoothed_has_less_noise():
    box = HingedBox(base_spacing=0.05, lid_spacing=0.01)
    hand, mesh = tiny_hand(), box_mesh(box)
    opening = draw_opening(np.random.default_rng(0), hand, box)
    truth = contacts.posed(hand, mesh, opening)
    noisy = contacts.noisy(hand, mesh, opening, 0.004, np.random.default_rng(1))
    # White noise after a quadratic fit to nine frames has sqrt(0.255) = 0.51 of its deviation in their middle.
    deviation = (noisy.box - truth.box)[4:-4, ~mesh.lid].std()
    left = (contacts.smoothed(noisy).box - truth.box)[4:-4, ~mesh.lid].std()
    assert deviation == pytest.approx(0.004, rel=0.2)
    assert left == pytest.approx(0.51 * deviation, rel=0.2)
