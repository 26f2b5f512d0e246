"""Methods of choosing terms, each a path of candidates from the fewest terms to the most.

A path is a function of one channel's least-squares problem; `sparse_fit` chooses the candidate.  Position i of a path
means the same for all data, a number of terms or a threshold, so that cross-validation can compare it over folds.
"""

import abc
import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxkd.dynamics.derivatives.triangular import back_substituted, triangulated
from jaxkd.dynamics.identification.least_squares import DEPENDENT, independent, subset_fit


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparsePath(abc.ABC):
    """Method of choosing terms."""

    @abc.abstractmethod
    def __call__(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"]
    ) -> Bool[Array, "candidates terms"]:
        """Subsets of the terms, the sparsest first.

        Args:
            factor: columns of length 1, but for those of zeros.
            target: values of the channel, in its own unit.
        """

    def refined(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"], subset: Bool[Array, " terms"]
    ) -> Bool[Array, " terms"]:
        """Exchange terms of a candidate where that explains more.  The default returns it unchanged.

        Args:
            factor: as in `__call__`.
            target: as in `__call__`.
            subset: mask of the candidate's terms.
        """
        del factor, target
        return subset


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackwardElimination(SparsePath):
    """Path that, starting from all terms, drops the one without which the residual grows least.

    Candidate i has i terms.  A term that was dropped early may matter most among few: as long as exchanging a term of a
    candidate for another reduces the residual, the best exchange is made.

    Source: Efroymson 1960; the exchanges are sequential replacement, Miller, Subset Selection in Regression, section
    3.3; with an error over folds as the stop, SSR of Boninsegna et al. 2018 (doi 10.1063/1.5018409).  Deviation: they
    drop the smallest coefficient.
    """

    exchanges: int = 3
    """Maximum number of exchanges."""
    most: int = 10
    """Most terms of a candidate that exchanges are tried in: the cost grows with them, and equations have few."""

    def __call__(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"]
    ) -> Bool[Array, "candidates terms"]:
        usable = independent(factor)

        def dropped(subset: Bool[Array, " terms"], most: Array) -> tuple[Array, Array]:
            fit, inverse = subset_fit(factor, target, subset)
            # Increase of the squared residual without the term.
            growth = jnp.where(subset, fit**2 / jnp.where(subset, inverse, 1.0), jnp.inf)
            without = subset & (jnp.arange(subset.size) != jnp.argmin(growth))
            subset = jnp.where(jnp.sum(subset) > most, without, subset)
            return subset, subset

        _, subsets = jax.lax.scan(dropped, usable, jnp.arange(usable.size, -1, -1))
        return subsets[::-1]

    def refined(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"], subset: Bool[Array, " terms"]
    ) -> Bool[Array, " terms"]:
        usable, few = independent(factor), jnp.sum(subset) <= self.most

        def exchanged(subset: Bool[Array, " terms"], _: None) -> tuple[Array, None]:
            members = jnp.nonzero(subset, size=min(self.most, subset.size), fill_value=subset.size)[0]

            def without(member: Array) -> tuple[Array, Array]:
                left, gains = _remainders(factor, target, members, member)
                gains = jnp.where(usable & ~subset, gains, -jnp.inf)
                return jnp.where(member < subset.size, left - jnp.max(gains), jnp.inf), jnp.argmax(gains)

            lefts, instead = jax.vmap(without)(members)
            best = jnp.argmin(lefts)
            now = _remainders(factor, target, members, jnp.int32(subset.size))[0]
            places = jnp.arange(subset.size)
            other = (subset & (places != members[best])) | (places == instead[best])
            return jnp.where(few & (lefts[best] < (1 - _ROUNDING) * now), other, subset), None

        return jax.lax.scan(exchanged, subset, length=self.exchanges)[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequentialThresholding(SparsePath):
    """Least squares, repeated without the terms that are a small share of the target until none is dropped.

    One candidate per threshold.

    Source: STLSQ of Brunton, Proctor & Kutz 2016 (doi 10.1073/pnas.1517384113).  Deviation: the threshold is on
    `|c_j| |f_j| / |y|`, so that it has no unit, where theirs is on `|c_j|`.
    """

    thresholds: tuple[float, ...] = tuple(float(one) for one in np.geomspace(1.0, 1e-3, 40))
    """Shares of the target's length, in descending order."""
    rounds: int = 10

    def __post_init__(self) -> None:
        if not self.thresholds or list(self.thresholds) != sorted(self.thresholds, reverse=True):
            raise ValueError(f"thresholds must be one or more, the largest first, got {self.thresholds}.")

    def __call__(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"]
    ) -> Bool[Array, "candidates terms"]:
        usable, scale = independent(factor), jnp.linalg.norm(target)

        def kept(threshold: Array) -> Array:
            def once(subset: Array, _: None) -> tuple[Array, None]:
                fit = subset_fit(factor, target, subset)[0]
                return subset & (jnp.abs(fit) >= threshold * scale), None

            return jax.lax.scan(once, usable, None, length=self.rounds)[0]

        return jax.vmap(kept)(jnp.asarray(self.thresholds, factor.dtype))


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestSubset(SparsePath):
    """For each size, the subset with the smallest residual.

    Candidate i has i terms.  Terms that depend linearly on earlier ones must be left out.

    Source: the definition.  Deviation: none.
    """

    most: int = 4
    """Number of terms of the largest candidate."""
    limit: int = 50_000
    """Most subsets of one size that are tried; more are rejected."""

    def __call__(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"]
    ) -> Bool[Array, "candidates terms"]:
        terms = factor.shape[1]
        most = min(self.most, terms)
        if (count := max(math.comb(terms, size) for size in range(most + 1))) > self.limit:
            raise ValueError(
                f"most must leave at most {self.limit:,} subsets of a size, got {self.most} of {terms} terms, "
                f"{count:,}. Lower it, or take BackwardElimination()."
            )
        candidates = [jnp.zeros(terms, bool)]
        for size in range(1, most + 1):
            subsets = np.array(list(itertools.combinations(range(terms), size)))
            explained = jax.vmap(lambda subset, size=size: _explained(factor[:, subset], target, size))(subsets)
            chosen = jnp.asarray(subsets)[jnp.argmax(explained)]
            candidates.append(jnp.zeros(terms, bool).at[chosen].set(True))
        return jnp.stack(candidates)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lasso(SparsePath):
    """Nonzero terms at the minimum of `|A c - y|^2 / 2 + penalty |c|_1`, by coordinate descent.

    One candidate per penalty.  The coefficients are fitted again without it.

    Source: Friedman, Hastie & Tibshirani 2010 (doi 10.18637/jss.v033.i01).  Deviation: none.
    """

    penalties: tuple[float, ...] = tuple(float(one) for one in np.geomspace(1.0, 1e-4, 40))
    """Shares of the smallest penalty at which all terms are 0, in descending order."""
    sweeps: int = 200

    def __call__(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"]
    ) -> Bool[Array, "candidates terms"]:
        usable = independent(factor)
        factor = jnp.where(usable[None], factor, 0.0)
        gram, along = factor.T @ factor, factor.T @ target

        def kept(penalty: Array) -> Array:
            def one(index: Array, fit: Array) -> Array:
                pull = along[index] - gram[index] @ fit + gram[index, index] * fit[index]
                value = jnp.sign(pull) * jnp.maximum(jnp.abs(pull) - penalty, 0.0)
                return fit.at[index].set(jnp.where(usable[index], value, 0.0))

            def sweep(_: Array, fit: Array) -> Array:
                return jax.lax.fori_loop(0, fit.size, one, fit)

            return jax.lax.fori_loop(0, self.sweeps, sweep, jnp.zeros_like(along)) != 0

        return jax.vmap(kept)(jnp.asarray(self.penalties, factor.dtype) * jnp.max(jnp.abs(along)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelaxedL0(SparsePath):
    """Nonzero terms of a relaxed copy w of the coefficients.

    The minimum is that of `|A c - y|^2 / 2 + penalty |w|_0 + |c - w|^2 / (2 width)`, over c and w in turn.  One
    candidate per penalty.

    Source: SR3 of Zheng et al. 2019 (doi 10.1109/ACCESS.2018.2886528), for SINDy Champion et al. 2020 (doi
    10.1109/ACCESS.2020.3023625).  Deviation: columns have length 1 and penalties are shares of the target.
    """

    penalties: tuple[float, ...] = tuple(float(one) for one in np.geomspace(1.0, 1e-7, 40))
    """Shares of the target's square, in descending order."""
    width: float = 1.0
    rounds: int = 100

    def __call__(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"]
    ) -> Bool[Array, "candidates terms"]:
        usable = independent(factor)
        factor = jnp.where(usable[None], factor, 0.0)
        terms = factor.shape[1]
        rows = jnp.concatenate([factor, jnp.eye(terms, dtype=factor.dtype) / math.sqrt(self.width)])
        upper = triangulated(rows, terms)[:terms]
        root = back_substituted(upper, jnp.eye(terms, dtype=factor.dtype))
        inverse, along = root @ root.T, factor.T @ target
        start, _ = subset_fit(factor, target, usable)

        def kept(penalty: Array) -> Array:
            def once(copy: Array, _: None) -> tuple[Array, None]:
                fit = inverse @ (along + copy / self.width)
                return jnp.where(fit**2 >= 2 * penalty * self.width, fit, 0.0), None

            return jax.lax.scan(once, start, None, length=self.rounds)[0] != 0

        return jax.vmap(kept)(jnp.asarray(self.penalties, factor.dtype) * jnp.sum(target**2))


_ROUNDING = 1e-9
"""Relative decrease of a squared residual below which it counts as none."""


def _remainders(
    factor: Float[Array, "rows terms"],
    target: Float[Array, " rows"],
    members: Int[Array, " members"],
    out: Int[Array, ""],
) -> tuple[Array, Float[Array, " terms"]]:
    """Squared residual of all members but one, and its decrease by each further term.

    Args:
        factor: as in `SparsePath.__call__`.
        target: as in `SparsePath.__call__`.
        members: indices of a subset's terms; the number of terms, or more, pads them.
        out: index of the member that is left out; the number of terms for none.
    """
    there = (members < factor.shape[1]) & (members != out)
    # Absent members come last, as columns of zeros: they take no row.
    first = members[jnp.argsort(~there)]
    columns = jnp.where(jnp.sort(~there)[None], 0.0, factor[:, jnp.minimum(first, factor.shape[1] - 1)])
    turned = triangulated(jnp.concatenate([columns, target[:, None], factor], axis=1), members.size)
    rest = jnp.where((jnp.arange(len(factor)) >= jnp.sum(there))[:, None], turned[:, members.size :], 0.0)
    value, others = rest[:, 0], rest[:, 1:]
    lengths = jnp.sum(others**2, axis=0)
    apart = lengths > DEPENDENT**2
    return value @ value, jnp.where(apart, (value @ others) ** 2 / jnp.where(apart, lengths, 1.0), 0.0)


def _explained(columns: Float[Array, "rows terms"], target: Float[Array, " rows"], count: int) -> Array:
    """Part of the target's square that the terms explain."""
    turned = triangulated(jnp.concatenate([columns, target[:, None]], axis=1), count)
    return jnp.sum(turned[:count, -1] ** 2)
