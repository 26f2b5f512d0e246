"""Hand values of the systems that ship with jaxkd."""

import pytest

from jaxkd.dynamics import systems

SLOPES = {
    systems.DAMPED_OSCILLATOR: ((1, 2), (2, -1.4)),
    systems.VAN_DER_POL: ((2, 1), (1, -5)),
    systems.FITZHUGH_NAGUMO: ((1, 1), (1 / 6, 0.072)),
    systems.DUFFING: ((2, 1), (1, -6.3)),
    systems.LOTKA_VOLTERRA: ((1, 2), (-0.5, -4)),
    systems.LORENZ: ((1, 2, 3), (10, 23, -6)),
    systems.ROSSLER: ((1, 2, 3), (-5, 1.4, -13.9)),
}


@pytest.mark.parametrize("system", systems.SYSTEMS, ids=lambda system: system.name)
def test_equations_by_hand(system):
    state, slopes = SLOPES[system]
    at = dict(zip(system.equations.variables, state, strict=True))
    assert [float(one.subs(at)) for one in system.equations.expressions()] == pytest.approx(slopes, rel=1e-12)
