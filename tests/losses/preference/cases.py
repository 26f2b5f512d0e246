"""Every loss of a pair, as a function and as a dataclass, and the same written again in float64 NumPy."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from jaxkd.losses import preference
from tests.losses.compiled import compiled


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def dpo_loss(chosen, rejected, *, beta=0.1, label_smoothing=0.0):
    x = beta * (chosen - rejected)
    return -(1 - label_smoothing) * log_sigmoid(x) - label_smoothing * log_sigmoid(-x)


def robust_dpo_loss(chosen, rejected, *, beta=0.1, label_smoothing=0.1):
    x, e = beta * (chosen - rejected), label_smoothing
    return (-(1 - e) * log_sigmoid(x) + e * log_sigmoid(-x)) / (1 - 2 * e)


def hinge_loss(chosen, rejected, *, beta=0.1):
    return np.maximum(0, 1 - beta * (chosen - rejected))


def ipo_loss(chosen, rejected, *, beta=0.1):
    return (chosen - rejected - 1 / (2 * beta)) ** 2


def apo_zero_loss(chosen, rejected, *, beta=0.1):
    return 1 - sigmoid(beta * chosen) + sigmoid(beta * rejected)


def apo_down_loss(chosen, rejected, *, beta=0.1):
    return sigmoid(beta * chosen) + 1 - sigmoid(beta * (chosen - rejected))


def simpo_loss(chosen, rejected, *, beta=2.5, margin=1.25):
    return -log_sigmoid(beta * (chosen - rejected) - margin)


def orpo_loss(chosen, rejected, *, beta=0.1):
    better, worse = (np.exp(x) / (1 - np.exp(x)) for x in (chosen, rejected))
    return -chosen + beta * np.log1p(worse / better)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    function: Callable
    loss: type[preference.PreferenceLoss]
    exact: Callable
    options: dict = dataclasses.field(default_factory=dict)
    of_difference: bool = True
    """Whether only the difference of the scores counts."""
    always_falls: tuple[bool, bool] = (True, True)
    """Whether it falls, however far, as the better answer becomes likelier; and as the other becomes less likely."""

    def made(self):
        normalization = {"normalization": "sum"} if self.loss is preference.IPOLoss else {}
        return self.loss(**self.options, **normalization)

    @property
    def compiled(self):
        """(chosen, rejected), and a probability by name, to value and gradients."""
        return compiled(self.function, **self.options)

    def scores(self, seed=0, dtype=np.float32):
        """Two scores of each pair, of the kind that the loss is made for."""
        rng, shape = np.random.default_rng(seed), (8, 6)
        if self.loss.reads_reference:
            drawn = [rng.normal(0, 8, shape) for _ in range(2)]
        else:
            drawn = [-rng.uniform(0.05, 6, shape) for _ in range(2)]
        return tuple(one.astype(dtype) for one in drawn)


CASES = [
    Case(function=preference.dpo_loss, loss=preference.DPOLoss, exact=dpo_loss),
    Case(
        function=preference.dpo_loss,
        loss=preference.DPOLoss,
        exact=dpo_loss,
        options={"beta": 0.4, "label_smoothing": 0.2},
        always_falls=(False, False),
    ),
    Case(
        function=preference.robust_dpo_loss,
        loss=preference.RobustDPOLoss,
        exact=robust_dpo_loss,
        options={"beta": 0.2, "label_smoothing": 0.3},
    ),
    Case(function=preference.hinge_loss, loss=preference.HingeLoss, exact=hinge_loss, options={"beta": 0.15}),
    Case(
        function=preference.ipo_loss,
        loss=preference.IPOLoss,
        exact=ipo_loss,
        options={"beta": 0.3},
        always_falls=(False, False),
    ),
    Case(function=preference.apo_zero_loss, loss=preference.APOZeroLoss, exact=apo_zero_loss, of_difference=False),
    Case(
        function=preference.apo_down_loss,
        loss=preference.APODownLoss,
        exact=apo_down_loss,
        of_difference=False,
        always_falls=(False, True),
    ),
    Case(
        function=preference.simpo_loss,
        loss=preference.SimPOLoss,
        exact=simpo_loss,
        options={"beta": 2.0, "margin": 0.8},
    ),
    Case(
        function=preference.orpo_loss,
        loss=preference.ORPOLoss,
        exact=orpo_loss,
        options={"beta": 0.25},
        of_difference=False,
    ),
]
every_loss = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.function.__name__}-{case.options}")
