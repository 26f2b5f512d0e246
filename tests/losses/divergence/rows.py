"""Every divergence with its definition in float64 NumPy: one table for all tests that must hold for each of them."""

import dataclasses
import inspect
import math
from collections.abc import Callable

import numpy as np
import pytest

from jaxkd import losses
from jaxkd.kernels import Divergence, SeparableDivergence
from jaxkd.losses import divergence as divergences
from tests.losses.divergence.distributions import kl


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    function: Callable
    options: dict = dataclasses.field(default_factory=dict)
    oracle: Callable
    """(log q, log p) [n, v] in float64 to a value per position, from the definition."""
    mirror: Divergence | None = None
    """The divergence that gives the same value with the sides exchanged; None: one side alone splits head and tail."""
    bound: float = math.inf
    value_is_differentiated: bool = True
    """False where a factor of the value is gradient-stopped by definition: finite differences see it."""

    def dataclass(self, **options) -> Divergence:
        names = {name.lower(): kind for name, kind in vars(divergences).items() if inspect.isclass(kind)}
        return names[self.function.__name__.replace("_", "")](**self.options, **options)


def jensen_shannon(beta):
    def oracle(q, p):
        mixture = np.logaddexp(p + np.log(beta), q + np.log1p(-beta))
        return beta * kl(p, mixture) + (1 - beta) * kl(q, mixture)

    return oracle


def skewed(a, b, skew):
    return kl(a, np.logaddexp(a + np.log(skew), b + np.log1p(-skew)))


def alpha_beta(alpha, beta):
    def oracle(q, p):
        total = alpha + beta
        summands = alpha / total * np.exp(total * p) + beta / total * np.exp(total * q) - np.exp(alpha * p + beta * q)
        return summands.sum(-1) / (alpha * beta)

    return oracle


def adaptive(q, p):
    values = []
    for student, teacher in zip(q, p, strict=True):
        order = np.argsort(np.exp(teacher), kind="stable")
        tail = order[np.cumsum(np.exp(teacher)[order]) <= 0.5]
        gaps = np.abs(np.exp(teacher) - np.exp(student))
        tail_share = gaps[tail].sum() / gaps.sum() if gaps.any() else 0.5
        values.append((1 - tail_share) * kl(teacher, student) + tail_share * kl(student, teacher))
    return np.array(values)


ROWS = {
    "forward_kl": Row(function=losses.forward_kl, oracle=lambda q, p: kl(p, q), mirror=losses.ReverseKL()),
    "reverse_kl": Row(function=losses.reverse_kl, oracle=lambda q, p: kl(q, p), mirror=losses.ForwardKL()),
    "symmetric_kl": Row(
        function=losses.symmetric_kl, oracle=lambda q, p: (kl(p, q) + kl(q, p)) / 2, mirror=losses.SymmetricKL()
    ),
    "jensen_shannon": Row(
        function=losses.jensen_shannon,
        oracle=jensen_shannon(0.5),
        mirror=losses.JensenShannon(),
        bound=math.log(2),
    ),
    "jensen_shannon, beta 0.1": Row(
        function=losses.jensen_shannon,
        options={"beta": 0.1},
        oracle=jensen_shannon(0.1),
        mirror=losses.JensenShannon(beta=0.9),
        bound=-0.1 * math.log(0.1) - 0.9 * math.log(0.9),
    ),
    "skew_forward_kl": Row(
        function=losses.skew_forward_kl,
        oracle=lambda q, p: skewed(p, q, 0.1),
        mirror=losses.SkewReverseKL(),
        bound=math.log(10),
    ),
    "skew_reverse_kl": Row(
        function=losses.skew_reverse_kl,
        oracle=lambda q, p: skewed(q, p, 0.1),
        mirror=losses.SkewForwardKL(),
        bound=math.log(10),
    ),
    "total_variation": Row(
        function=losses.total_variation,
        oracle=lambda q, p: np.abs(np.exp(p) - np.exp(q)).sum(-1) / 2,
        mirror=losses.TotalVariation(),
        bound=1.0,
    ),
    "wasserstein_sorted": Row(
        function=losses.wasserstein_sorted,
        oracle=lambda q, p: np.abs(np.sort(np.exp(p), -1) - np.sort(np.exp(q), -1)).sum(-1),
        mirror=losses.WassersteinSorted(),
        bound=2.0,
    ),
    "alpha_beta": Row(
        function=losses.alpha_beta, oracle=alpha_beta(0.2, 0.7), mirror=losses.AlphaBeta(alpha=0.7, beta=0.2)
    ),
    "alpha_beta, 0.5 and 1.5": Row(
        function=losses.alpha_beta,
        options={"alpha": 0.5, "beta": 1.5},
        oracle=alpha_beta(0.5, 1.5),
        mirror=losses.AlphaBeta(alpha=1.5, beta=0.5),
        bound=1 / 0.75,
    ),
    "adaptive_kl": Row(function=losses.adaptive_kl, oracle=adaptive, value_is_differentiated=False),
}
SEPARABLE = {name: row for name, row in ROWS.items() if isinstance(row.dataclass(), SeparableDivergence)}
WHOLE = {name: row for name, row in ROWS.items() if name not in SEPARABLE}
"""Those that must see a position's whole distribution."""

every_divergence = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_separable_divergence = pytest.mark.parametrize("row", SEPARABLE.values(), ids=SEPARABLE)
