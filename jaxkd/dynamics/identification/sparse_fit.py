"""Which terms an equation has, and how sure that is: cross-validation over blocks, and the bootstrap."""

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
"""Of the mean square of what is to be explained."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseFit:
    """Terms and coefficients of each channel, and all that the choice was made by.  `batch` is what `vmap` adds."""

    coefficients: Float[Array, "*batch terms channels"]
    """0 where a term was not chosen."""
    support: Bool[Array, "*batch terms channels"]
    chosen: Int[Array, "*batch channels"]
    """Position of the candidate on the path."""
    errors: Float[Array, "*batch channels candidates folds"]
    """Mean square of what a fold's rows are off, of a fit to all others, in the channel's unit squared."""
    candidates: Bool[Array, "*batch channels candidates terms"]
    """The path, of which `support` is the one that was chosen."""
    condition: Float[Array, "*batch"]
    """Of the terms at length 1: the factor by which relative errors of the data can grow in the coefficients."""
    allowed: Bool[Array, "*batch terms channels"]
    signs: Int[Array, "*batch terms channels"] | None
    """As they were given."""
    scale: Float[Array, "*batch terms"]
    """The terms' lengths over all rows, 1 for one of zeros."""
    triangles: Float[Array, "*batch blocks columns columns"]
    """What each block says, of terms at length 1."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """What the coefficients could have been, had other blocks been measured."""

    coefficients: Float[Array, "*batch replicates terms channels"]
    """Of the terms that were chosen from all data."""
    inclusion: Float[Array, "*batch terms channels"]
    """The share of replicates in which the same position of the path has the term."""
    blocks: int = dataclasses.field(metadata={"static": True})
    """That were drawn from."""

    def interval(self, level: float = 0.9) -> tuple[Float[Array, "terms channels"], Float[Array, "terms channels"]]:
        """Percentile interval of each coefficient, given the terms, as much wider as so few blocks ask for."""
        tail = self.tail(level)
        return jnp.quantile(self.coefficients, tail, axis=0), jnp.quantile(self.coefficients, 1 - tail, axis=0)

    def tail(self, level: float = 0.9) -> float:
        """The share of replicates to each side of an interval.

        A bootstrap of n blocks varies by (n - 1) / n of what means of n vary by, and as if that were known.

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
    """The sparsest candidate of a path whose error over folds is within one standard error of the least.

    Args:
        features: float64; rows within a block may be correlated, blocks must not: trajectories, or long pieces of one.
            A row of zeros on both sides says nothing.
        targets: float64, what the terms are to add up to.
        path: the way to choose terms.  None: `BackwardElimination()`.
        folds: groups of whole blocks; at most as many as there are.
        allowed: which terms a channel may have; None: all.
        signs: 1 or -1 where a coefficient must not be of the other sign, 0 where it may; None: no such places.  Of a
            candidate's terms that are of the wrong sign the largest is dropped, until there is none.

    Returns:
        The fit, its coefficients in the targets' units over the features'.

    Raises:
        TypeError: arrays of another dtype than float64.
        ValueError: fewer than three blocks or folds.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen & Stone 1984, as in Hastie, Tibshirani & Friedman,
    The Elements of Statistical Learning, section 7.10.  Deviation: inferred: folds are blocks, since the error's
    correlation in time makes rows of one trajectory no independent test.

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
    said = jnp.sum(jnp.any(features != 0, axis=2) | jnp.any(targets != 0, axis=2), axis=1)

    # Each fold held out in turn, and last none: the fit itself.
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
        return subsets, fits, jnp.sum(off**2, axis=(0, 3)) / jnp.maximum(jnp.sum(jnp.where(held, said, 0)), 1)

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
    """The first candidate whose mean error is at most the least one plus that one's standard error over folds.

    Args:
        errors: mean squares, of the sparsest candidate first.

    Returns:
        Its position.  Errors below NEGLIGIBLE times that of the first candidate count as none: without noise the least
        error is one of interpolation, which terms that are not there can always better.

    Source: Breiman, Friedman, Olshen & Stone 1984.  Deviation: what is negligible.

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
    """Fits to blocks drawn with replacement: intervals of coefficients, and how often each term is chosen.

    Args:
        fit: of `sparse_fit`.
        key: of the draws.
        path: that `fit` was made with.  None: `BackwardElimination()`.
        replicates: of the draw.

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
    """The path's candidates for each channel, or one of them, of terms that are allowed and of the right sign."""

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
    """Of each column; 1 for one of zeros."""
    square = jnp.sum(columns**2, axis=0)
    return jnp.sqrt(jnp.where(square > 0, square, 1.0))


def _unit(columns: Float[Array, "rows terms"]) -> Float[Array, "rows terms"]:
    return columns / _length(columns)[None]
