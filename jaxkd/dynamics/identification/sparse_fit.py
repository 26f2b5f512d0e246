"""Choice of an equation's terms by cross-validation over blocks, and its uncertainty by the bootstrap."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Bool, Float, Int

from jaxkd.dynamics.float64 import require_float64
from jaxkd.dynamics.identification.least_squares import merged_triangle, subset_fit, triangle
from jaxkd.dynamics.identification.sparse_paths import BackwardElimination, SparsePath
from jaxkd.typing import Key

NEGLIGIBLE = 1e-7
"""Negligible error, relative to the mean square of the target."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseFit:
    """Terms and coefficients of each channel, and the basis of the choice.  `vmap` adds the `batch` axes."""

    coefficients: Float[Array, "*batch terms channels"]
    """Fitted coefficients; 0 for terms that were not chosen."""
    support: Bool[Array, "*batch terms channels"]
    chosen: Int[Array, "*batch channels"]
    """Position of the chosen candidate on the path."""
    errors: Float[Array, "*batch channels candidates folds"]
    """Mean squared error on each fold of a fit to all other folds, in the channel's unit squared."""
    candidates: Bool[Array, "*batch channels candidates terms"]
    """Candidates of the path; `support` is the chosen one."""
    condition: Float[Array, "*batch"]
    """Condition number of the terms at length 1: the most by which relative errors grow in the coefficients."""
    allowed: Bool[Array, "*batch terms channels"]
    signs: Int[Array, "*batch terms channels"] | None
    """Sign constraints, as passed."""
    scale: Float[Array, "*batch terms"]
    """Lengths of the terms over all rows; 1 for a term of zeros."""
    triangles: Float[Array, "*batch blocks columns columns"]
    """Triangular factor of each block, for terms at length 1."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Bootstrap replicates of the coefficients, over blocks drawn with replacement."""

    coefficients: Float[Array, "*batch replicates terms channels"]
    """Coefficients of the terms that were chosen from all data."""
    inclusion: Float[Array, "*batch terms channels"]
    """Share of replicates in which the same position of the path has the term."""
    blocks: int = dataclasses.field(metadata={"static": True})
    """Number of blocks that replicates are drawn from."""

    def interval(self, level: float = 0.9) -> tuple[Float[Array, "terms channels"], Float[Array, "terms channels"]]:
        """Percentile interval of each coefficient, given the terms, expanded for the number of blocks."""
        tail = self.tail(level)
        return jnp.quantile(self.coefficients, tail, axis=0), jnp.quantile(self.coefficients, 1 - tail, axis=0)

    def tail(self, level: float = 0.9) -> float:
        """Share of replicates on each side of an interval.

        A bootstrap of n blocks has (n - 1) / n times the variance of means of n, and takes it as known.

        Source: Hesterberg 2015, What teachers should know about the bootstrap (doi 10.1080/00031305.2015.1089789),
        section 3.4, "expanded percentile interval".  Deviation: none.
        """
        n = self.blocks
        wider = scipy.special.stdtrit(n - 1, (1 + level) / 2) * math.sqrt(n / (n - 1))
        return float(scipy.special.ndtr(-wider))


def sparse_fit(
    features: Float[Array, "blocks rows terms"],
    targets: Float[Array, "blocks rows channels"],
    *,
    path: SparsePath | None = None,
    folds: int = 8,
    allowed: Bool[Array, "terms channels"] | None = None,
    signs: Int[Array, "terms channels"] | None = None,
) -> SparseFit:
    """Choose the sparsest candidate whose cross-validation error is within one standard error of the least.

    Args:
        features: float64; rows within a block may be correlated, blocks must not: trajectories, or long pieces of one.
            A row of zeros on both sides has no effect.
        targets: float64, what the terms should add up to.
        path: method of choosing terms.  None: `BackwardElimination()`.
        folds: groups of whole blocks; at most the number of blocks.
        allowed: mask of the terms that a channel may have; None: all.
        signs: 1 or -1 if a coefficient must not have the other sign, 0 if it may; None: no constraints.  The largest
            of a candidate's terms with the wrong sign is dropped, until none is left.

    Returns:
        The fit, with coefficients in the targets' units over the features'.

    Raises:
        TypeError: arrays of another dtype than float64.
        ValueError: fewer than three blocks or folds.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen & Stone 1984, as in Hastie, Tibshirani & Friedman,
    The Elements of Statistical Learning, section 7.10.  Deviation: inferred: folds are blocks, since errors are
    correlated in time, so that rows of one trajectory are no independent test.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     features = jax.random.normal(jax.random.key(0), (8, 50, 4))
        ...     noise = 0.1 * jax.random.normal(jax.random.key(1), (8, 50, 1))
        ...     fit = sparse_fit(features, 2 * features[..., 1:2] + noise)
        ...     print(fit.support[:, 0], jnp.round(fit.coefficients[1, 0], 1))
        [False  True False False] 2.0
    """
    require_float64(features=features, targets=targets)
    blocks, _, terms = features.shape
    channels = targets.shape[2]
    folds = min(folds, blocks)
    if folds < 3:
        raise ValueError(
            f"features must have at least 3 blocks in at least 3 folds, got {blocks} blocks and {folds} folds. "
            "Cut long trajectories into pieces."
        )
    scale = _length(jnp.reshape(features, (-1, terms)))
    triangles = jax.vmap(triangle)(features / scale[None, None], targets)
    path = BackwardElimination() if path is None else path
    allowed = jnp.ones((terms, channels), bool) if allowed is None else allowed
    nonzero = jnp.sum(jnp.any(features != 0, axis=2) | jnp.any(targets != 0, axis=2), axis=1)

    # Hold out each fold in turn, and last none: the fit itself.
    fold = np.arange(blocks) * folds // blocks
    held = jnp.asarray(fold == np.arange(folds + 1)[:, None])

    def fitted(held: Bool[Array, " blocks"]) -> tuple[Array, Array, Array]:
        train = merged_triangle(jnp.where(held[:, None, None], 0.0, triangles))
        factor, columns = train[:, :terms], train[:, terms:].T
        subsets = _subsets(path, factor, columns, allowed, signs)
        each = jax.vmap(lambda target, subset: subset_fit(factor, target, subset)[0], in_axes=(None, 0))
        fits = jax.vmap(each)(columns, subsets)
        test = jnp.where(held[:, None, None], triangles, 0.0)
        off = jnp.einsum("brt,ckt->bckr", test[:, :, :terms], fits) - jnp.moveaxis(test[:, :, terms:], 2, 1)[:, :, None]
        return subsets, fits, jnp.sum(off**2, axis=(0, 3)) / jnp.maximum(jnp.sum(jnp.where(held, nonzero, 0)), 1)

    subsets, fits, errors = jax.vmap(fitted)(held)
    errors = jnp.moveaxis(errors[:-1], 0, 2)
    chosen = jax.vmap(one_standard_error)(errors)
    channel = jnp.arange(channels)
    support, coefficients = subsets[-1, channel, chosen], fits[-1, channel, chosen]
    singular = jnp.linalg.svd(merged_triangle(triangles)[:, :terms], compute_uv=False)
    return SparseFit(
        coefficients=coefficients.T / scale[:, None],
        support=support.T,
        chosen=chosen,
        errors=errors,
        candidates=subsets[-1],
        condition=singular[0] / singular[-1],
        allowed=allowed,
        signs=signs,
        scale=scale,
        triangles=triangles,
    )


def one_standard_error(errors: Float[Array, "candidates folds"]) -> Int[Array, ""]:
    """Choose the first candidate whose mean error is at most the least plus its standard error over folds.

    Args:
        errors: mean squared errors, the sparsest candidate first.

    Returns:
        Its position.  Errors below NEGLIGIBLE times that of the first candidate count as 0: without noise the least
        error is one of interpolation, which spurious terms can always reduce.

    Source: Breiman, Friedman, Olshen & Stone 1984.  Deviation: the negligible error.

    Example:
        >>> import jax.numpy as jnp
        >>> int(one_standard_error(jnp.array([[9.0, 9.0], [1.1, 1.3], [0.9, 1.3], [1.2, 1.4]])))
        1
    """
    mean = jnp.mean(errors, axis=1)
    best = jnp.argmin(mean)
    deviation = jnp.std(errors[best], ddof=1) / jnp.sqrt(errors.shape[1])
    return jnp.argmax(mean <= jnp.maximum(mean[best] + deviation, NEGLIGIBLE * mean[0]))


@functools.partial(jax.jit, static_argnames=("path", "replicates"))
def bootstrap(fit: SparseFit, key: Key, *, path: SparsePath | None = None, replicates: int = 200) -> Bootstrap:
    """Fit blocks drawn with replacement: intervals of coefficients, and how often each term is chosen.

    Args:
        fit: result of `sparse_fit`.
        key: random key for the bootstrap replicates.
        path: path that `fit` was made with.  None: `BackwardElimination()`.
        replicates: number of bootstrap replicates.

    Returns:
        Coefficients of every replicate in the units of `fit`, and inclusion probabilities.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, chapter 8 (blocks); inclusion probabilities as in
    Fasel et al. 2022, Ensemble-SINDy (doi 10.1098/rspa.2021.0904).  Deviation: the position on the path is that of all
    data and is not chosen again.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     features = jax.random.normal(jax.random.key(0), (8, 50, 3))
        ...     noise = 0.1 * jax.random.normal(jax.random.key(1), (8, 50, 1))
        ...     fit = sparse_fit(features, 2 * features[..., 1:2] + noise)
        ...     drawn = bootstrap(fit, jax.random.key(2), replicates=100)
        ...     print(drawn.inclusion[:, 0], [round(float(end[1, 0]), 1) for end in drawn.interval()])
        [0. 1. 0.] [2.0, 2.0]
    """
    path = BackwardElimination() if path is None else path
    blocks, terms = fit.triangles.shape[0], fit.scale.size
    drawn = jax.random.randint(key, (replicates, blocks), 0, blocks)

    def once(drawn: Int[Array, " blocks"]) -> tuple[Array, Array]:
        whole = merged_triangle(fit.triangles[drawn])
        factor, columns = whole[:, :terms], whole[:, terms:].T
        fits = jax.vmap(lambda target, subset: subset_fit(factor, target, subset)[0])(columns, fit.support.T)
        again = _subsets(path, factor, columns, fit.allowed, fit.signs, fit.chosen)[:, 0]
        return fits.T / fit.scale[:, None], again.T

    coefficients, again = jax.lax.map(once, drawn, batch_size=32)
    inclusion = jnp.mean(again, axis=0, dtype=coefficients.dtype)
    return Bootstrap(coefficients=coefficients, inclusion=inclusion, blocks=blocks)


def _subsets(
    path: SparsePath,
    factor: Float[Array, "rows terms"],
    targets: Float[Array, "channels rows"],
    allowed: Bool[Array, "terms channels"],
    signs: Int[Array, "terms channels"] | None,
    chosen: Int[Array, " channels"] | None = None,
) -> Bool[Array, "channels candidates terms"]:
    """Candidates of the path for each channel, or one of them, with only allowed terms and signs."""

    def candidates(target: Array, allowed: Array, signs: Array | None, chosen: Array | None) -> Array:
        usable = jnp.where(allowed[None], _unit(factor), 0.0)
        subsets = path(usable, target)
        subsets = subsets if chosen is None else subsets[chosen][None]
        subsets = jax.vmap(lambda subset: path.refined(usable, target, subset))(subsets)
        if signs is None:
            return subsets

        def dropped(subset: Bool[Array, " terms"], _: None) -> tuple[Array, None]:
            wrong = jnp.maximum(-signs * subset_fit(factor, target, subset)[0], 0.0)
            return subset & ~((jnp.arange(subset.size) == jnp.argmax(wrong)) & (jnp.max(wrong) > 0)), None

        return jax.vmap(lambda subset: jax.lax.scan(dropped, subset, length=subset.size)[0])(subsets)

    return jax.vmap(candidates, in_axes=(0, 1, 1, 0))(targets, allowed, signs, chosen)


def _length(columns: Float[Array, "rows terms"]) -> Float[Array, " terms"]:
    """Length of each column; 1 for a column of zeros."""
    square = jnp.sum(columns**2, axis=0)
    return jnp.sqrt(jnp.where(square > 0, square, 1.0))


def _unit(columns: Float[Array, "rows terms"]) -> Float[Array, "rows terms"]:
    return columns / _length(columns)[None]
