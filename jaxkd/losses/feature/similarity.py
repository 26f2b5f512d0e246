"""Losses that compare the similarity matrices of all pairs of examples."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.losses.feature.vectors import comparable_rows, different, gram, kept_rows, unit
from jaxkd.typing import Scalar

Estimator = Literal["biased", "unbiased"]


def similarity_preserving(
    student: Float[Array, "n ds"], teacher: Float[Array, "n dt"], *, mask: Bool[Array, " n"] | None = None
) -> Scalar:
    """Return the mean over all n^2 pairs of (G_s - G_t)^2, with G the rows' inner products, each row of G of length 1.

    Args:
        student: flattened activations, one example per row, of any float dtype; gradients reach them.
        teacher: activations of the same examples, of any width; gradient-stopped.
        mask: rows that take part, all by default.  Other rows may hold anything, NaN included.

    Returns:
        A scalar, float32 (float64 if an input is), in [0, 4 / n]; 0 with gradient 0 if there is no row.

    Raises:
        ValueError: shapes that do not fit.

    Source: Tung & Mori (arXiv 1907.09682), section 3; checked against
    HobbitLong/RepDistiller@b84f547.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.eye(2), jnp.array([[3.0], [1.0]])  # G_t = [[3, 1], [3, 1]] / sqrt(10)
        >>> round(float(similarity_preserving(student, teacher)), 4)
        0.3675
    """
    student, teacher, mask = comparable_rows(student, teacher, mask)
    gaps = unit(gram(student, student)) - unit(gram(teacher, teacher))
    return jnp.sum(jnp.square(gaps)) / jnp.maximum(jnp.square(jnp.sum(mask)), 1)


def cka_distance(
    student: Float[Array, "n ds"],
    teacher: Float[Array, "n dt"],
    *,
    mask: Bool[Array, " n"] | None = None,
    estimator: Estimator = "biased",
) -> Scalar:
    """Return 1 - sum(K_s K_t) / (norm(K_s) norm(K_t)), K the centred inner products of all pairs of rows.

    It is 1 minus linear CKA: no shift, rotation or scaling of either side changes it.  Memory is n^2 elements.

    Args:
        student: features, one example per row, of any float dtype; gradients reach them.
        teacher: features of the same examples, of any width; gradient-stopped.
        mask: rows that take part, all by default.  Other rows may hold anything, NaN included.
        estimator: "biased" subtracts the means of rows and columns; with fewer rows than features it is near 0 for any
            inputs.  "unbiased" omits the pairs of a row with itself, so that numerator and squared denominators are
            unbiased estimates of HSIC; their ratio is still biased.

    Returns:
        A scalar, float32 (float64 if an input is), up to rounding in [0, 1], or in [0, 2] if "unbiased".
        1 with gradient 0 if a side is constant; 0 with gradient 0 below 2 rows, or 4 if "unbiased".

    Raises:
        ValueError: shapes that do not fit, or an unknown estimator.

    Source: Kornblith et al. (arXiv 1905.00414), section 3; for "unbiased" the U-centring of Szekely & Rizzo
    (Annals of Statistics 42, 2014), equal to HSIC_1 of Song et al. (JMLR 13, 2012).  Checked against
    google-research/google-research@10bf941, the demonstration of the first.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([[-1.0], [0.0], [1.0]]), jnp.array([[1.0], [1.0], [4.0]])
        >>> round(float(cka_distance(student, teacher)), 4)  # the squared correlation is 3 / 4
        0.25
    """
    if estimator not in get_args(Estimator):
        raise ValueError(f"estimator must be one of {', '.join(get_args(Estimator))}, got {estimator!r}.")
    student, teacher, mask = comparable_rows(student, teacher, mask)
    student, teacher = (_centred_gram(rows, mask, estimator) for rows in (student, teacher))
    distance = 1 - jnp.sum(unit(student.reshape(-1)) * unit(teacher.reshape(-1)))
    return jnp.where(jnp.sum(mask) >= (4 if estimator == "unbiased" else 2), distance, 0.0)


def _centred_gram(rows: Float[Array, "n d"], mask: Bool[Array, " n"], estimator: Estimator) -> Float[Array, "n n"]:
    count = jnp.sum(mask)
    # Centre before the products: a large mean would cancel after them.
    rows = kept_rows(rows - jnp.sum(rows, axis=0, keepdims=True) / jnp.maximum(count, 1), mask)
    products = gram(rows, rows)
    if estimator == "biased":
        return products
    pairs = different(mask)
    products = jnp.where(pairs, products, 0.0)
    means = jnp.sum(products, axis=0) / jnp.maximum(count - 2, 1)
    mean = jnp.sum(means) / jnp.maximum(count - 1, 1)
    return jnp.where(pairs, products - means[:, None] - means[None, :] + mean, 0.0)
