"""Smooth curves through noisy samples: a cubic plus sines, with a cut-off fitted to each channel's noise."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.dynamics.derivatives.triangular import back_substituted, triangulated
from jaxkd.dynamics.float64 import require_float64

POWERS = 4
"""Number of powers of time, 0 to 3.  They fit a record's ends up to second derivatives; a few sines cannot."""

ORDER = 4
"""Filter order: a sine of k half-waves retains 1 / (1 + (k / cutoff)^(2 ORDER)) of its amplitude."""

CUTOFFS = 60
"""Number of candidate cut-offs, evenly spaced in their logarithm."""

MOST_PARAMETERS = 0.8
"""Maximum ratio of effective parameters to samples for a candidate."""

MOST_SINES = 512
"""Default maximum number of sines."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class FourierFit:
    """Curves y(t), one per channel, with values and derivatives at any time of the record.

    `vmap` adds the `batch` axes.
    """

    start: Float[Array, "*batch"]
    end: Float[Array, "*batch"]
    polynomial: Float[Array, "*batch powers channels"]
    """Coefficients of the powers 0, 1, ... of 2 (t - start) / (end - start) - 1."""
    amplitudes: Float[Array, "*batch sines channels"]
    """Amplitudes of sin(pi k (t - start) / (end - start)), k = 1, 2, ..."""
    cutoff: Float[Array, "*batch channels"]
    """The k at which half the amplitude is retained."""
    parameters: Float[Array, "*batch channels"]
    """Effective number of parameters: the trace of the matrix that maps samples to the curve."""
    noise: Float[Array, "*batch channels"]
    """Estimated standard deviation of a sample about its curve, in the channel's unit."""

    def at(self, times: Float[Array, " times"], *, derivative: int = 0) -> Float[Array, "times channels"]:
        """Evaluate the curves or a derivative, in the channel's unit over the unit of time to that order.

        Args:
            times: within the record.  Outside it the sines continue, without meaning.
            derivative: order of the derivative, 0 or more.
        """
        span = self.end - self.start
        place = (times - self.start) / span
        powers = _powers(2 * place - 1, self.polynomial.shape[0], derivative) * (2 / span) ** derivative
        sines = _sines(place, self.amplitudes.shape[0], derivative) / span**derivative
        return powers @ self.polynomial + sines @ self.amplitudes


def fourier_fit(
    samples: Float[Array, "times channels"],
    times: Float[Array, " times"],
    *,
    mask: Bool[Array, " times"] | None = None,
    sines: int | None = None,
    inflation: float = 1.2,
) -> FourierFit:
    """Fit the curve c(t) = p(t) + sum_k a_k sin(pi k (t - start) / (end - start)) to noisy samples.

    p is a cubic, so that the sines, which extend a record to an odd function of twice its length, meet no jump, kink or
    bend at its ends.  The fit minimises

    `|y - c|^2 + (N - 1) / 2 sum_k (k / cutoff)^8 a_k^2`,

    which retains 1 / (1 + (k / cutoff)^8) of each sine if samples are evenly spaced.  Each channel's cut-off minimises
    the generalised cross-validation error, `|y - c|^2 / N / (1 - inflation parameters / N)^2`.

    Args:
        samples: measured states, float64; their gradient treats the chosen cut-off as constant.
        times: sample times, increasing; need not be evenly spaced.  No gradient reaches them.
        mask: True for samples that exist; None: all.  Lets one `vmap` fit records of different lengths.
        sines: maximum number of sines, slowest first.  None: as many as the samples allow, at most 512.
        inflation: weight of a parameter in the choice of the cut-off.  1 is plain cross-validation, which is
            occasionally far too rough.

    Returns:
        The fitted curves, float64.

    Raises:
        TypeError: an array is not float64.
        ValueError: fewer than eight samples, or mismatched shapes.

    Source: gradients from a Fourier series of the samples are those of FNODE (arXiv 2405.11542); its treatment of
    the ends and its cut-off are unknown to us.  Chord removal and odd extension are generalised to a cubic and to
    uneven times; GCV is Craven & Wahba 1979 (doi 10.1007/BF01404567), its inflation Kim & Gu 2004
    (doi 10.1046/j.1369-7412.2003.05316.x).  Deviation: inferred, as stated.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     times = jnp.linspace(0.0, 3.0, 61)
        ...     fit = fourier_fit(jnp.exp(-times)[:, None], times)
        ...     slope = float(fit.at(jnp.array([1.0]), derivative=1)[0, 0])
        >>> round(slope, 4)
        -0.3679
    """
    require_float64(samples=samples, times=times)
    _require_samples(samples, times)
    there = jnp.ones(times.shape, bool) if mask is None else mask
    times = jax.lax.stop_gradient(times)
    start = jnp.min(jnp.where(there, times, jnp.inf))
    end = jnp.max(jnp.where(there, times, -jnp.inf))
    count = jnp.sum(there)
    place = jnp.where(there, (times - start) / (end - start), 0.0)

    k = jnp.arange(1, 1 + (min(times.size - 2, MOST_SINES) if sines is None else sines), dtype=times.dtype)
    # Units that equalise the penalty of all sines; sines that too few samples cannot distinguish are left out.
    unit = jnp.where(k <= count - 2, k ** (-ORDER), 0.0)
    waves = jnp.where(there[:, None], _sines(place, k.size, 0) * unit[None], 0.0)
    powers = jnp.where(there[:, None], _powers(2 * place - 1, POWERS, 0), 0.0)
    values = jnp.where(there[:, None], samples, 0.0)

    # The cubic is unpenalised: amplitudes depend on the residuals of samples and sines after its projection.
    upper = triangulated(powers, POWERS)[:POWERS]
    basis = powers @ back_substituted(upper, jnp.eye(POWERS, dtype=times.dtype))
    left, singular, right = _singular(waves - basis @ (basis.T @ waves))
    rest = values - basis @ (basis.T @ values)
    seen = left.T @ rest

    ratio = jnp.log(1.5 * count) * jnp.linspace(0.0, 1.0, CUTOFFS)
    penalty = (count - 1) / 2 * jnp.exp(-2 * ORDER * ratio)
    kept = singular[None] ** 2 / (singular[None] ** 2 + penalty[:, None])
    parameters = POWERS + jnp.sum(kept, axis=1)
    squares = jnp.sum(rest**2, axis=0)[None] - (1 - (1 - kept) ** 2) @ seen**2
    squares = jnp.maximum(squares, jnp.finfo(times.dtype).eps * jnp.sum(values**2, axis=0)[None])
    free = 1 - inflation * parameters / count
    candidate = (parameters <= MOST_PARAMETERS * count) & (free > 0.01)
    score = jnp.where(candidate[:, None], squares / jnp.where(candidate, free, 1.0)[:, None] ** 2, jnp.inf)
    best = jnp.argmin(score, axis=0)

    inverse = jnp.where(singular > 0, 1 / jnp.where(singular > 0, singular, 1.0), 0.0)
    shrunk = kept[best] * inverse[None]
    amplitudes = right.T @ (shrunk.T * seen)
    polynomial = back_substituted(upper, basis.T @ (values - waves @ amplitudes))
    channel = jnp.arange(samples.shape[1])
    return FourierFit(
        start=start,
        end=end,
        polynomial=polynomial,
        amplitudes=unit[:, None] * amplitudes,
        cutoff=jnp.exp(ratio)[best],
        parameters=parameters[best],
        noise=jnp.sqrt(squares[best, channel] / (count - parameters[best])),
    )


def _powers(place: Float[Array, " times"], count: int, derivative: int) -> Float[Array, "times powers"]:
    """Return derivatives of 1, s, s^2, ... at s."""
    columns = [
        math.perm(power, derivative) * place ** (power - derivative) if power >= derivative else jnp.zeros_like(place)
        for power in range(count)
    ]
    return jnp.stack(columns, axis=1)


def _sines(place: Float[Array, " times"], count: int, derivative: int) -> Float[Array, "times sines"]:
    """Return derivatives of sin(pi s), sin(2 pi s), ... at s."""
    frequencies = jnp.pi * jnp.arange(1, count + 1, dtype=place.dtype)
    # The n-th derivative of sin(w s) is w^n sin(w s + n pi / 2).
    return frequencies[None] ** derivative * jnp.sin(place[:, None] * frequencies[None] + derivative * jnp.pi / 2)


@jax.custom_batching.custom_vmap
def _singular(matrix: Float[Array, "times sines"]) -> tuple[Array, Array, Array]:
    """Return the thin singular value decomposition."""
    return tuple(jnp.linalg.svd(matrix, full_matrices=False))


@_singular.def_vmap
def _(size: int, batched: list[bool], matrices: Float[Array, "batch times sines"]) -> tuple[tuple, tuple[bool, ...]]:
    """Decompose once if all records share their sample times: this is most of the cost of their curves.

    Otherwise decompose one after another: see `jaxkd.dynamics.derivatives.triangular`.
    """
    del batched

    def once() -> tuple[Array, Array, Array]:
        return jax.tree.map(lambda part: jnp.broadcast_to(part[None], (size, *part.shape)), _singular(matrices[0]))

    same = jnp.all(matrices == matrices[:1])
    return jax.lax.cond(same, once, lambda: jax.lax.map(_singular, matrices)), (True, True, True)


def _require_samples(samples: Float[Array, "times channels"], times: Float[Array, " times"]) -> None:
    if samples.ndim != 2 or times.shape != samples.shape[:1]:
        raise ValueError(
            f"samples must be [times, channels] and times as long, got {samples.shape} and {times.shape}. "
            "Use jax.vmap for several trajectories."
        )
    if times.size < 2 * POWERS:
        raise ValueError(
            f"samples must be at least {2 * POWERS}, got {times.size}. A shorter record determines no curve."
        )
