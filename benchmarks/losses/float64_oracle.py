"""The losses and their gradients in float64, written from the formulas with NumPy: the reference for the library.

p is the teacher's distribution and q the student's.  The loss of one position has a slope u_v = q_v dD/dq_v per token,
and so the gradient dD/dz_v = u_v - q_v sum_w u_w with respect to the student's logits z.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from benchmarks.losses.loss_inputs import Inputs

ELEMENTS = 2**22
"""Number of logits of one side in memory at one time: 32 MiB."""

Formula = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Function from log q and log p [tokens, vocabulary] to the values [tokens] and the slopes u [tokens, vocabulary]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exact:
    """Weighted sum over the positions, and its gradient."""

    total: float
    values_gradient: np.ndarray
    """Gradient with respect to the student's hidden states."""
    weight_gradient: np.ndarray
    """Gradient with respect to the student's head weight."""


def divergence(name: str, inputs: Inputs, weights: np.ndarray) -> Exact:
    """Return the sum of a divergence, named as in `loss_step.DIVERGENCES` and with its default hyper-parameters."""
    formula = FORMULAS[name]
    return _sum(inputs, weights, lambda rows, log_q: formula(log_q, _teacher(inputs, rows)))


def cross_entropy(inputs: Inputs, weights: np.ndarray) -> Exact:
    """Return the sum of the cross entropy with the labels."""

    def formula(rows: slice, log_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels = inputs.labels[rows, None]
        slopes = np.zeros_like(log_q)
        np.put_along_axis(slopes, labels, -1.0, axis=-1)
        return -np.take_along_axis(log_q, labels, axis=-1)[:, 0], slopes

    return _sum(inputs, weights, formula)


def smooth(name: str, inputs: Inputs) -> np.ndarray:
    """Return the mask [tokens] of the positions away from the jumps of a divergence's gradient.

    At a jump, no float32 arithmetic can tell which of two gradients is right.
    """
    near = JUMPS.get(name)
    if near is None:
        return np.ones(len(inputs.labels), bool)
    parts = [~near(_student(inputs, rows), _teacher(inputs, rows)) for rows in _parts(inputs)]
    return np.concatenate(parts)


def _sum(
    inputs: Inputs, weights: np.ndarray, formula: Callable[[slice, np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> Exact:
    values, weight = _float64(inputs.student), _float64(inputs.student_weight)
    total, values_gradient, weight_gradient = 0.0, np.empty_like(values), np.zeros_like(weight)
    for rows in _parts(inputs):
        log_q = _student(inputs, rows)
        losses, slopes = formula(rows, log_q)
        scale = _float64(weights[rows])
        logits_gradient = scale[:, None] * (slopes - np.exp(log_q) * slopes.sum(-1, keepdims=True))
        total += float((scale * losses).sum())
        values_gradient[rows] = logits_gradient @ weight
        weight_gradient += logits_gradient.T @ values[rows]
    return Exact(total=total, values_gradient=values_gradient, weight_gradient=weight_gradient)


def _forward_kl(log_q: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = np.exp(log_p)
    return (p * (log_p - log_q)).sum(-1), -p


def _reverse_kl(log_q: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q, ratio = np.exp(log_q), log_q - log_p
    return (q * ratio).sum(-1), q * (ratio + 1)


def _mixed(log_q: np.ndarray, log_p: np.ndarray, share: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Return `share` of the forward KL and the rest of the reverse KL."""
    forward, reverse = _forward_kl(log_q, log_p), _reverse_kl(log_q, log_p)
    share = np.broadcast_to(share, forward[0].shape)
    value = share * forward[0] + (1 - share) * reverse[0]
    return value, share[:, None] * forward[1] + (1 - share[:, None]) * reverse[1]


def _symmetric_kl(log_q: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _mixed(log_q, log_p, 0.5)


def _jensen_shannon(log_q: np.ndarray, log_p: np.ndarray, beta: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    q, p = np.exp(log_q), np.exp(log_p)
    log_m = np.log(beta * p + (1 - beta) * q)
    student = q * (log_q - log_m)
    value = beta * (p * (log_p - log_m)).sum(-1) + (1 - beta) * student.sum(-1)
    # The mixture's own derivative adds the same multiple of q to every slope, which the softmax takes away.
    return value, (1 - beta) * student


def _skew_forward_kl(log_q: np.ndarray, log_p: np.ndarray, skew: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    q, p = np.exp(log_q), np.exp(log_p)
    mixture = skew * p + (1 - skew) * q
    return (p * (log_p - np.log(mixture))).sum(-1), -(1 - skew) * q * p / mixture


def _skew_reverse_kl(log_q: np.ndarray, log_p: np.ndarray, skew: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    q, p = np.exp(log_q), np.exp(log_p)
    mixture = (1 - skew) * p + skew * q
    ratio = log_q - np.log(mixture)
    return (q * ratio).sum(-1), q * (ratio + 1 - skew * q / mixture)


def _adaptive_kl(log_q: np.ndarray, log_p: np.ndarray, tail_mass: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    p = np.exp(log_p)
    gap = np.abs(p - np.exp(log_q))
    order = np.argsort(p, axis=-1, kind="stable")
    tail = np.cumsum(np.take_along_axis(p, order, axis=-1), axis=-1) <= tail_mass
    tail_gap = np.where(tail, np.take_along_axis(gap, order, axis=-1), 0.0).sum(-1)
    # The share is a constant of the gradient, by definition.
    return _mixed(log_q, log_p, 1 - tail_gap / gap.sum(-1))


def _alpha_beta(
    log_q: np.ndarray, log_p: np.ndarray, alpha: float = 0.2, beta: float = 0.7
) -> tuple[np.ndarray, np.ndarray]:
    both = alpha + beta
    student, product = np.exp(both * log_q), np.exp(alpha * log_p + beta * log_q)
    summands = alpha / both * np.exp(both * log_p) + beta / both * student - product
    return summands.sum(-1) / (alpha * beta), (student - product) / alpha


def _total_variation(log_q: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q, p = np.exp(log_q), np.exp(log_p)
    return np.abs(p - q).sum(-1) / 2, q * np.sign(q - p) / 2


def _sorted_wasserstein(log_q: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q, p = np.exp(log_q), np.sort(np.exp(log_p), axis=-1)
    order = np.argsort(q, axis=-1)
    difference = np.take_along_axis(q, order, axis=-1) - p
    slopes = np.empty_like(q)
    np.put_along_axis(slopes, order, np.sign(difference), axis=-1)
    return np.abs(difference).sum(-1), q * slopes


FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        "forward KL": _forward_kl,
        "reverse KL": _reverse_kl,
        "symmetric KL": _symmetric_kl,
        "Jensen-Shannon": _jensen_shannon,
        "skew forward KL": _skew_forward_kl,
        "skew reverse KL": _skew_reverse_kl,
        "adaptive KL": _adaptive_kl,
        "alpha-beta": _alpha_beta,
        "total variation": _total_variation,
        "sorted Wasserstein": _sorted_wasserstein,
    }
)


def _near_equal(log_q: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """Mask the positions where student and teacher agree on the probability of a token that matters."""
    # Float32 resolves log q - log p to some 4e-6, and a token of 1e-7 is too unlikely to show in a gradient.
    return np.any((np.abs(log_q - log_p) < 1e-5) & (log_q > np.log(1e-7)), axis=-1)


def _near_border(log_q: np.ndarray, log_p: np.ndarray, tail_mass: float = 0.5) -> np.ndarray:
    """Mask the positions where the teacher's least likely tokens fill the tail almost exactly."""
    sums = np.cumsum(np.sort(np.exp(log_p), axis=-1), axis=-1)
    # A float32 sum of that many terms is off by some 1e-5.
    return np.any(np.abs(sums - tail_mass) < 1e-4, axis=-1)


JUMPS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = MappingProxyType(
    {"total variation": _near_equal, "adaptive KL": _near_border}
)
"""Functions from log q and log p to the mask of the positions near a jump."""


def _parts(inputs: Inputs) -> list[slice]:
    step = max(1, ELEMENTS // len(inputs.student_weight))
    return [slice(start, start + step) for start in range(0, len(inputs.labels), step)]


def _student(inputs: Inputs, rows: slice) -> np.ndarray:
    return _log_softmax(_float64(inputs.student[rows]) @ _float64(inputs.student_weight).T)


def _teacher(inputs: Inputs, rows: slice) -> np.ndarray:
    return _log_softmax(_float64(inputs.teacher[rows]) @ _float64(inputs.teacher_weight).T)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _float64(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)
