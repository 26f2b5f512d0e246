"""The benchmark of symbolic networks, in miniature."""

import jax

from benchmarks.dynamics import symbolic_networks
from jaxkd.dynamics import Equations, systems


def test_terms_are_right_where_they_are_the_true_ones():
    truth = systems.VAN_DER_POL.equations
    x, v = truth.states
    coefficients = Equations.of([0.9 * v, v - x - 1.1 * v * x**2], (x, v))
    another = Equations.of([v, v - x - v * x**2 + 0.1 * x**3], (x, v))
    missing = Equations.of([v, v - x], (x, v))
    right = [symbolic_networks.same_terms(one, systems.VAN_DER_POL) for one in (coefficients, another, missing)]
    assert right == [True, False, False]


def test_rows(monkeypatch):
    truth = systems.DUFFING.equations
    wrong = systems.VAN_DER_POL.equations
    found = {"one way": lambda *_: truth, "another": lambda system, records, seed: truth if seed else wrong}
    monkeypatch.setattr(symbolic_networks, "FINDERS", found)
    with jax.enable_x64(True):
        first, second = symbolic_networks._rows(systems.DUFFING, 0.01, range(2))
    assert first.figure == "Duffing, 1% noise: right terms by one way"
    assert (first.value, second.value, first.unit) == (2, 1, "of 2")
