"""The ideal projector of DSKDv2: maps hidden states from one head's space to another's and preserves the logits."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.typing import Params

RTOL = 1e-3
"""Relative cut-off: singular values up to this share of the largest count as 0.

Its square is eight times the rounding unit of float32, so a float32 Gram matrix still resolves it.
"""

Matrix: TypeAlias = np.ndarray | Array
"""An array on the host or on a device."""

_SHARED_ROWS = 4096
"""Rows of two heads multiplied at a time when their token ids differ."""

_HIGHEST = jax.lax.Precision.HIGHEST


def token_rows(head: Float[Matrix, "v d"], rows: int | Int[np.ndarray, " n"]) -> Float[Matrix, "n d"]:
    """Select the rows of a head whose tokens two models have in common.

    Args:
        head: a whole head.
        rows: the number of leading rows, if the heads are padded differently; or the ids of the tokens, if the same
            tokens have other ids in the other model.

    Returns:
        A copy of these rows, or a view of the leading ones; NumPy for NumPy.

    Raises:
        ValueError: no row, or an id that the head does not have.
        TypeError: ids that are not integers.

    Source: the `topk_vocab` and the overlap of songmzhang/DSKDv2@5025279.  Deviation: leading rows are
    the first ids, not the first entries of a tokenizer's dictionary.

    Example:
        >>> import numpy as np
        >>> token_rows(np.eye(4), np.array([3, 0])).tolist()
        [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    """
    size = head.shape[0]
    if isinstance(rows, int):
        if not 1 <= rows <= size:
            raise ValueError(f"rows must be from 1 to the {size} rows of the head, got {rows}.")
        return head[:rows]
    if not np.issubdtype(rows.dtype, np.integer):
        raise TypeError(f"rows must be token ids of an integer dtype, got {rows.dtype}.")
    if rows.size == 0:
        raise ValueError(
            "rows must name at least one token, got none. Vocabularies without a token in common have no ideal "
            "projector: start from uniform_init."
        )
    if rows.min() < 0 or rows.max() >= size:
        raise ValueError(
            f"rows must be ids from 0 to {size - 1}, the rows of the head, got {rows.min()} to {rows.max()}. "
            "Student ids go with the student's head, teacher ids with the teacher's."
        )
    return head[rows]


def centred(head: Float[Matrix, "v d"]) -> Float[Matrix, "v d"]:
    """Subtract the mean of a head's rows: the logits change, the softmax does not.

    A softmax ignores what all logits have in common, while a least-squares fit spends its capacity on it first.  Centre
    both heads for the fit, after `token_rows`; for `ideal_step` it is enough to centre `head_in` and the head given to
    `gram_inverse`.

    Args:
        head: shared rows of a head.

    Returns:
        Float32 or float64, NumPy for NumPy.

    Source: inferred.  Deviation: DSKDv2 does not centre.

    Example:
        >>> import numpy as np
        >>> centred(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    precise = head.astype(jnp.promote_types(jnp.float32, head.dtype))
    return precise - precise.mean(axis=0, keepdims=True)


def torch_rtol(head: Float[Matrix, "v d"]) -> float:
    """Return the cut-off that DSKDv2's reference code uses: `max(v, d)` float32 rounding units.

    It grows with the vocabulary, to 0.018 at 151,936 tokens, where it can cut directions that the
    head uses: the smallest singular value of SmolLM2's head is 0.011 of the largest.

    Args:
        head: the `head_out` to invert; only its shape is read.

    Returns:
        The default `rtol` of torch.linalg.pinv for this shape in float32.

    Source: the documentation of torch.linalg.pinv.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> round(torch_rtol(np.zeros((50257, 768), np.float32)), 4)
        0.006
    """
    return max(head.shape) * float(np.finfo(np.float32).eps)


def ideal_init(head_in: Float[Matrix, "v d_in"], head_out: Float[Matrix, "v d_out"], *, rtol: float = RTOL) -> Params:
    """Return `head_in.T @ pinv(head_out.T)`, by singular values in float64 on the host.

    In the paper's notation, with H the transposed head, P_t2s = H_t pinv(H_s).  For heads of 151,936
    tokens and widths 3,584 and 896 it took a minute on two cores and 5.4 GB besides the heads;
    `gram_inverse` and `ideal_step` give the same in float32, within their stated accuracy.

    Args:
        head_in: head of the input space, the teacher's for t2s.
        head_out: head of the output space, the student's for t2s.
        rtol: singular values of `head_out` up to `rtol` times the largest count as 0; in (0, 1).

    Returns:
        A weight and no bias, NumPy float64.

    Raises:
        ValueError: heads with different rows, or an `rtol` outside (0, 1).

    Source: DSKDv2 (arXiv 2504.11426), the ideal initialisation; checked against
    songmzhang/DSKDv2@5025279.  Deviation: float64, and `rtol` is 1e-3; that code has `torch_rtol`.

    Example:
        >>> import numpy as np
        >>> student = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> ideal_init(student @ np.array([[2.0], [3.0]]), student)["weight"].round(6).tolist()
        [[2.0, 3.0]]
    """
    _require_same_tokens(head_in, head_out)
    _require_rtol(rtol)
    left, singular, right = np.linalg.svd(np.asarray(head_out, np.float64), full_matrices=False)
    kept = singular > rtol * singular[0]
    inverse = np.where(kept, 1 / np.where(kept, singular, 1), 0)
    return {"weight": ((np.asarray(head_in, np.float64).T @ left) * inverse) @ right}


def lost_share(params: Params, head_in: Float[np.ndarray, "v d_in"], head_out: Float[np.ndarray, "v d_out"]) -> float:
    """Return the share of the variance of `head_in`'s logits that a projection loses, in float64 on the host.

    The variance is over the tokens.  All directions of the hidden states count alike, so the share depends on the two
    heads alone: the squares of `head_in - head_out @ weight.T` over those of `head_in`, both minus their mean over the
    tokens, which no softmax sees.  0 if the logits are preserved, 1 if all logits become equal; a fit that spends its
    capacity on the mean can be worse.

    Args:
        params: `{"weight": [d_in, d_out]}`, from the space of `head_in` to that of `head_out`.
        head_in: shared rows of the head of the input space.
        head_out: shared rows of the head of the output space.

    Returns:
        The share, or 0 if all logits of `head_in` are equal.

    Raises:
        ValueError: heads with different rows.

    Source: inferred.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> teacher, student = np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]]), np.array([[1.0], [-1.0], [0.0]])
        >>> lost_share(ideal_init(teacher, student), teacher, student)
        0.75
    """
    _require_same_tokens(head_in, head_out)
    weight = np.asarray(params["weight"], np.float64)
    sums, squares = np.zeros((2, head_in.shape[1])), np.zeros((2, head_in.shape[1]))
    for start in range(0, len(head_in), _SHARED_ROWS):
        wanted = head_in[start : start + _SHARED_ROWS].astype(np.float64)
        missing = wanted - head_out[start : start + _SHARED_ROWS].astype(np.float64) @ weight.T
        for place, part in enumerate((missing, wanted)):
            sums[place] += part.sum(axis=0)
            squares[place] += np.square(part).sum(axis=0)
    lost, whole = (squares - np.square(sums) / len(head_in)).sum(axis=1)
    return float(lost / whole) if whole > 0 else 0.0


def gram_inverse(head_out: Float[Matrix, "v d_out"], *, rtol: float = RTOL) -> Float[Matrix, "d_out d_out"]:
    """Return `pinv(head_out.T @ head_out)`, by eigenvalues: `head_out`'s factor of an ideal projector.

    For DSKDv2's s2t, whose `head_out` is the frozen teacher's, it is computed once and takes d_out^2 numbers,
    where the pseudo-inverse of the head would take v d_out: 51 MB against 2.2 GB for a Qwen2.5-7B in
    float32.

    Args:
        head_out: head of the output space, the teacher's for s2t; no gradient reaches it.
        rtol: as in `ideal_init`; its square is the cut-off on the eigenvalues.

    Returns:
        Symmetric: float64 in NumPy for a NumPy head, computed on the host; else float32, or float64 for a float64 head.

    Raises:
        ValueError: an `rtol` outside (0, 1).

    Source: inferred, from the normal equations.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> gram_inverse(jnp.array([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])).tolist()
        [[0.25, 0.0], [0.0, 0.0]]
    """
    _require_rtol(rtol)
    if isinstance(head_out, np.ndarray):
        library, (eigenvalues, vectors) = np, np.linalg.eigh(_host_gram(head_out))
    else:
        head_out = jax.lax.stop_gradient(head_out)
        library, (eigenvalues, vectors) = jnp, jnp.linalg.eigh(_cross_product(head_out, head_out))
    # Compare squares, not roots: rounding leaves some eigenvalues below 0.
    kept = eigenvalues > rtol**2 * eigenvalues[-1]
    scaled = vectors * library.where(kept, 1 / library.where(kept, eigenvalues, 1), 0)[None, :]
    return scaled @ vectors.T if library is np else jnp.matmul(scaled, vectors.T, precision=_HIGHEST)


def _host_gram(head: Float[np.ndarray, "v d"]) -> Float[np.ndarray, "d d"]:
    """Return `head.T @ head` in float64, some rows at a time: the whole head is never in memory in float64."""
    parts = (head[start : start + 8192].astype(np.float64) for start in range(0, len(head), 8192))
    return sum((part.T @ part for part in parts), np.zeros((head.shape[1],) * 2))


def ideal_step(
    head_in: Float[Matrix, "v d_in"],
    head_out: Float[Matrix, "w d_out"],
    inverse: Float[Matrix, "d_out d_out"],
    *,
    rows: tuple[Int[Matrix, " n"], Int[Matrix, " n"]] | None = None,
) -> Params:
    """Return `head_in.T @ head_out @ inverse`: `ideal_init` from a Gram inverse, cheap enough for every step.

    DSKDv2 keeps its s2t projector ideal while the student's head changes.  A step costs
    2 v d_in d_out operations and no memory beyond d_in d_out numbers.  Forming the Gram matrix
    squares the condition number c of `head_out`: in float32 the weight's relative error is of the
    order of 1e-6 c^2 at most, and was 2e-4 for SmolLM2's head, where c = 91.

    Args:
        head_in: head of the input space, the student's for s2t; no gradient reaches it.
        head_out: head of the output space, the teacher's for s2t; no gradient reaches it.
        inverse: `gram_inverse(head_out)`, or the inverse for its shared rows.
        rows: ids of the shared tokens in `head_in` and in `head_out`, if the vocabularies differ; entry i of both
            belongs to the same token, and -1 to none.  No head is copied.

    Returns:
        A weight and no bias, float32 (float64 for float64 inputs), gradient-stopped.

    Raises:
        ValueError: heads with different rows, id arrays of different lengths, or an inverse of another width.

    Source: DSKDv2 (arXiv 2504.11426), the s2t projector; checked against songmzhang/DSKDv2@5025279.
    Deviation: that code keeps pinv(H_t) in the teacher's dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> teacher = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> student = teacher @ jnp.array([[2.0], [3.0]])
        >>> ideal_step(student, teacher, gram_inverse(teacher))["weight"].round(4).tolist()
        [[2.0, 3.0]]
    """
    if rows is None:
        _require_same_tokens(head_in, head_out)
    elif len(rows[0]) != len(rows[1]):
        raise ValueError(f"rows must name each shared token in both heads, got {len(rows[0])} and {len(rows[1])} ids.")
    width = head_out.shape[1]
    if inverse.shape != (width, width):
        raise ValueError(
            f"inverse must be gram_inverse(head_out), of shape {(width, width)}, got {inverse.shape}. "
            "It belongs to head_out, not to head_in."
        )
    head_in, head_out, inverse = jax.lax.stop_gradient((head_in, head_out, inverse))
    product = _cross_product(head_in, head_out) if rows is None else _shared_product(head_in, head_out, *rows)
    return {"weight": jnp.matmul(product, inverse, precision=_HIGHEST)}


def _shared_product(
    left: Float[Matrix, "v d_left"],
    right: Float[Matrix, "w d_right"],
    left_ids: Int[Matrix, " n"],
    right_ids: Int[Matrix, " n"],
) -> Float[Array, "d_left d_right"]:
    """Return `left[left_ids].T @ right[right_ids]` without the pairs of -1, some rows at a time."""
    count = -(-len(left_ids) // _SHARED_ROWS)

    def chunked(ids: Int[Matrix, " n"]) -> Int[Array, "chunks rows"]:
        room = count * _SHARED_ROWS - len(ids)
        return jnp.pad(jnp.asarray(ids), (0, room), constant_values=-1).reshape(count, _SHARED_ROWS)

    def add(total: Array, chunk: tuple[Array, Array]) -> tuple[Array, None]:
        ours, theirs = chunk
        return total + _cross_product(jnp.where((ours >= 0)[:, None], left[ours], 0), right[theirs]), None

    start = jax.eval_shape(_cross_product, left[:1], right[:1])
    return jax.lax.scan(add, jnp.zeros(start.shape, start.dtype), (chunked(left_ids), chunked(right_ids)))[0]


def _cross_product(
    left: Float[Matrix, "v d_left"], right: Float[Matrix, "v d_right"]
) -> Float[Array, "d_left d_right"]:
    """Return `left.T @ right` in full precision: accelerators round float32 products to bfloat16 or TF32 by default."""
    precision = jnp.promote_types(jnp.float32, jnp.promote_types(left.dtype, right.dtype))
    return jnp.einsum("vl,vr->lr", left, right, precision=_HIGHEST, preferred_element_type=precision)


def _require_same_tokens(head_in: Matrix, head_out: Matrix) -> None:
    if head_in.shape[0] != head_out.shape[0]:
        raise ValueError(
            f"head_in and head_out must have one row for each shared token, got {head_in.shape[0]} and "
            f"{head_out.shape[0]} rows. Take the shared rows of both with token_rows."
        )


def _require_rtol(rtol: float) -> None:
    if not 0 < rtol < 1:
        raise ValueError(
            f"rtol must be in (0, 1), a share of the largest singular value, got {rtol}. "
            f"{RTOL} is the default, torch_rtol(head) that of the reference code."
        )
