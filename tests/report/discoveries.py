"""Made-up searches for equations as a report sees them: oscillations, whose forecasts are a little off."""

import numpy as np

from jaxkd.dynamics import Check
from jaxkd.dynamics.validation.discovered import Discovered, FoundTerm, Shown, SparsityPath

NAMES = ("prey", "predators", "x", "y", "z", "a state with quite a long name", "seventh", "eighth")


def discovered(*, states=2, samples=60, units=True, size=1.0, noise=0.1, states_named=NAMES, **changes):
    """Equations found for so many states, whose values are about `size`."""
    generator = np.random.default_rng(0)
    names = states_named[:states]
    times = np.linspace(0, 20, samples)
    phases = np.arange(states) * np.pi / 2

    def curves(level, rate=1.0):
        return size * (3 + level * np.sin(rate * times[:, None] + phases))

    measured = curves(1.0) + size * noise * generator.normal(size=(samples, states))
    slopes = size * np.cos(times[:, None] + phases)
    rough = slopes + size * 0.05 * generator.normal(size=slopes.shape)
    forecast = curves(1.0, 1.01)
    width = size * (0.02 + 0.01 * times[:, None])
    table = {
        "title": "Prey and predators",
        "verdict": ("Equations found for all.", "All 2 checks hold."),
        "missing": (),
        "facts": {"measured": "3 files", "samples": f"{samples} each"},
        "time": "t",
        "states": names,
        "units": {"t": "s"} | dict.fromkeys(names, "kg") if units else {},
        "equations": "\n".join(f"d{name}/dt = 1.234 {name} - 0.5 x y" for name in names),
        "latex": r"\dot{prey} &= 1.234 \, prey",
        "python": "import math\n\n\ndef vector_field(prey, predators):\n    return [1.2341 * prey]\n",
        "terms": tuple(
            term
            for name in names
            for term in (
                FoundTerm(
                    state=name,
                    term=name,
                    coefficient=1.23412,
                    low=1.2,
                    high=1.3,
                    inclusion=0.98,
                    unit="1/s" if units else "",
                ),
                FoundTerm(state=name, term="x y", coefficient=-0.5, low=-0.5, high=-0.5, inclusion=None, unit=""),
            )
        ),
        "coverage": 0.87,
        "simulations": 10,
        "checks": (
            Check(
                question="Do they forecast?",
                found="off by 0.04 of the standard deviation",
                bar="at most 0.1",
                holds=True,
            ),
            Check(question="Is what is left noise?", found="autocorrelation 0.1", bar="at most 0.2", holds=True),
        ),
        "warnings": (),
        "shown": Shown(
            source="run-4.csv",
            unseen=True,
            times=times,
            measured=measured,
            slopes=rough,
            left_hand_sides=rough,
            right_hand_sides=slopes,
            forecast=forecast,
            low=forecast - width,
            high=forecast + width,
        ),
        "training": tuple(curves(level) for level in (0.6, 1.2, 1.8)),
        "remainder": size * noise * generator.normal(size=(4, samples, states)),
        "noise": np.full(states, size * noise),
        "paths": tuple(
            SparsityPath(
                state=name,
                terms=np.arange(1, 9),
                errors=np.array([0.9, 0.4, 0.02, 0.011, 0.0105, 0.0104, 0.0104, 0.0106]),
                deviations=np.array([0.1, 0.05, 0.004, 0.001, 0.001, 0.001, 0.001, 0.001]),
                chosen=3,
            )
            for name in names
        ),
        "command": "python -m jaxkd.discover runs/*.csv",
    }
    return Discovered(**(table | changes))
