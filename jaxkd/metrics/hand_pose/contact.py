"""Contact of hands and objects: closest vertices, how far predicted contacts are apart, and errors of distances."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer

from jaxkd.metrics.hand_pose.arrays import mean_where, norm, require_points, require_shapes, where_valid, wide

CONTACT = 0.003
"""Distance in metres up to which a vertex of a hand touches the object: ARCTIC's 3 mm."""

_VERTICES = 16
"""Vertices that are compared with all others at a time."""


def closest_vertices(
    points: Float[Array, "*b v 3"], others: Float[Array, "*b w 3"], *, mask: Bool[Array, " w"] | None = None
) -> tuple[Float[Array, "*b v"], Int[Array, "*b v"]]:
    """Return the distance in metres from each point to the nearest of the others, and the index of that one.

    Memory grows with w, not with v w: the interaction field of a hand of 778 vertices and an object of 4,000 has three
    million pairs a frame.

    Args:
        points: vertices of one body, such as a hand; gradients reach them.
        others: vertices of the other one, such as an object, in the same unit; gradients reach them.
        mask: others that exist; None: all.

    Returns:
        Distance, float32 (float64 if an input is), and index, int32, the first of equals.  NaN and 0 for a point that
        is NaN; infinite and 0 without others.

    Raises:
        ValueError: shapes that do not agree.

    Source: definition; between vertices, as zc-alexfan/arctic@49f3eb4 measures it.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> hand, box = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), jnp.array([[0.0, 0.0, 2.0], [1.0, 0.0, 0.5]])
        >>> distances, indices = closest_vertices(hand, box)
        >>> distances.round(3).tolist(), indices.tolist()
        ([1.1180000305175781, 0.5], [1, 1])
    """
    require_points(points=points, others=others)
    shape, number = jnp.shape(others), jnp.shape(points)[-2]
    require_shapes(points=(points, (*shape[:-2], number, 3)))
    mask = jnp.ones(shape[-2], bool) if mask is None else mask
    require_shapes(mask=(mask, shape[-2:-1]))
    # Padding may be NaN, of which a gradient of 0 would be NaN too.
    points, others = wide(points), jnp.where(jnp.broadcast_to(mask[:, None], shape), wide(others), 0)

    def nearest(point: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b"], Int[Array, "*b"]]:
        # Differences, not |p|^2 - 2 p o + |o|^2: at a metre from the camera, that is off by a tenth of a millimetre.
        squared = jnp.sum((others - point[..., None, :]) ** 2, axis=-1)
        squared = jnp.where(jnp.broadcast_to(mask, squared.shape), squared, jnp.inf)
        least = squared.min(axis=-1)
        distance = jnp.where(least == 0, 0, jnp.sqrt(jnp.where(least == 0, 1, least)))
        return distance, jnp.argmin(squared, axis=-1).astype(jnp.int32)

    distances, indices = jax.lax.map(nearest, jnp.moveaxis(points, -2, 0), batch_size=min(_VERTICES, number))
    known = ~jnp.isnan(distances) & ~jnp.isnan(jnp.moveaxis(points, -2, 0)).any(axis=-1)
    return (
        jnp.moveaxis(where_valid(distances, known), 0, -1),
        jnp.moveaxis(jnp.where(known & jnp.isfinite(distances), indices, 0), 0, -1),
    )


def contact_deviation(
    predicted_hand: Float[Array, "*b v 3"],
    predicted_object: Float[Array, "*b w 3"],
    *,
    truth_distances: Float[Array, "*b v"],
    truth_closest: Integer[Array, "*b v"],
    valid: Bool[Array, "*b"],
    threshold: float = CONTACT,
) -> Float[Array, "*b"]:
    """Return the mean of ||o_j(v) - h_v|| over the vertices v of a hand that truly touch the object at j(v), in metres.

    CDev is the main metric of ARCTIC's challenge: what touches in truth should touch in the prediction.  A frame's
    value is the `nan_mean` over its hands.

    Args:
        predicted_hand: vertices of a hand; gradients reach them.
        predicted_object: vertices of the object, in the same unit; gradients reach them.
        truth_distances: distance of each vertex of the true hand from the true object, by `closest_vertices`.
        truth_closest: index of the vertex of the true object that is closest to each.
        valid: frames that count: those in which the hand and the object are seen.
        threshold: distance up to which a vertex touches, in the unit of `truth_distances`.

    Returns:
        Per frame, in the unit of the vertices, float32 (float64 if an input is); NaN where it does not count or nothing
        touches, and where a vertex that touches is NaN.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4, CDev.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> hand, box = jnp.zeros((2, 3, 3)), jnp.zeros((2, 2, 3)).at[:, 1, 2].set(0.5)
        >>> distances, closest = jnp.array([[0.002, 0.003, 0.9], [0.1, 0.1, 0.1]]), jnp.array([[1, 0, 1], [1, 0, 1]])
        >>> valid = jnp.array([True, True])
        >>> contact_deviation(hand, box, truth_distances=distances, truth_closest=closest, valid=valid).tolist()
        [0.25, nan]
    """
    return _contact_deviation(predicted_hand, predicted_object, truth_distances, truth_closest, valid, threshold)


def contact_deviation_loss(
    predicted_hand: Float[Array, "*b v 3"],
    predicted_object: Float[Array, "*b w 3"],
    *,
    truth_distances: Float[Array, "*b v"],
    truth_closest: Integer[Array, "*b v"],
    valid: Bool[Array, "*b"],
    threshold: float = CONTACT,
) -> Float[Array, "*b"]:
    """Return `contact_deviation` as a loss, in metres: 0, with a gradient of 0, where a frame has no contact.

    Args:
        predicted_hand: vertices of a hand; gradients reach them.
        predicted_object: vertices of the object; gradients reach them.
        truth_distances: as for `contact_deviation`.
        truth_closest: as for `contact_deviation`.
        valid: frames that count.
        threshold: distance up to which a vertex touches.

    Returns:
        Per frame, in the unit of the vertices, float32 (float64 if an input is), >= 0.  A prediction that is NaN where
        it touches stays NaN, so that a run that diverged stops.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4, which trains with a weight of 1.  Deviation: that code turns every NaN into 0,
    those of the prediction too.

    Example:
        >>> import jax.numpy as jnp
        >>> arrays = {"truth_distances": jnp.array([[0.002], [0.9]]), "truth_closest": jnp.zeros((2, 1), int)}
        >>> hand, box, valid = jnp.zeros((2, 1, 3)), jnp.full((2, 1, 3), 3.0), jnp.array([True, True])
        >>> contact_deviation_loss(hand, box, valid=valid, **arrays).round(3).tolist()
        [5.196000099182129, 0.0]
    """
    values = _contact_deviation(predicted_hand, predicted_object, truth_distances, truth_closest, valid, threshold)
    return jnp.where(_touches(truth_distances, valid, threshold).any(axis=-1), values, 0)


def interaction_field_error(
    predicted_distances: Float[Array, "*b v"],
    truth_distances: Float[Array, "*b v"],
    *,
    valid: Bool[Array, "*b"],
    mask: Bool[Array, " v"] | None = None,
) -> Float[Array, "*b"]:
    """Return the mean over the vertices of abs(d_pred - d_true), of their distances to the other body, in metres.

    The interaction field has four parts: from each hand to the object and from the object to each hand.  Reported is
    the `nan_mean` over hands of each direction.

    Args:
        predicted_distances: distance of each vertex from the other body, such as from `closest_vertices`.
        truth_distances: the true ones, in the same unit.
        valid: frames that count.  A hand outside the image counts: it is to be predicted as far away.
        mask: vertices that exist; None: all.

    Returns:
        Per frame, in the unit of the distances, float32 (float64 if an input is); NaN where it does not count, or where
        a vertex is NaN.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> predicted, truth = jnp.array([[1.0, 2.0], [1.0, 2.0]]), jnp.array([[1.5, 2.0], [0.0, 0.0]])
        >>> interaction_field_error(predicted, truth, valid=jnp.array([True, False])).tolist()
        [0.25, nan]
    """
    shape = jnp.shape(predicted_distances)
    if not shape:
        raise ValueError("predicted_distances must hold a distance for each vertex on its last axis, got a scalar.")
    mask = jnp.ones(shape[-1], bool) if mask is None else mask
    require_shapes(truth_distances=(truth_distances, shape), valid=(valid, shape[:-1]), mask=(mask, shape[-1:]))
    counted = jnp.broadcast_to(mask, shape) & valid[..., None]
    difference = jnp.where(counted, wide(predicted_distances) - wide(truth_distances), 0)
    return mean_where(jnp.abs(difference), counted)


def _touches(truth_distances: Float[Array, "*b v"], valid: Bool[Array, "*b"], threshold: float) -> Bool[Array, "*b v"]:
    return (truth_distances <= threshold) & valid[..., None]


def _contact_deviation(
    hand: Float[Array, "*b v 3"],
    surface: Float[Array, "*b w 3"],
    truth_distances: Float[Array, "*b v"],
    truth_closest: Integer[Array, "*b v"],
    valid: Bool[Array, "*b"],
    threshold: float,
) -> Float[Array, "*b"]:
    require_points(predicted_hand=hand, predicted_object=surface)
    shape = jnp.shape(hand)
    require_shapes(
        predicted_object=(surface, (*shape[:-2], jnp.shape(surface)[-2], 3)),
        truth_distances=(truth_distances, shape[:-1]),
        truth_closest=(truth_closest, shape[:-1]),
        valid=(valid, shape[:-2]),
    )
    touches = _touches(truth_distances, valid, threshold)
    partner = jnp.take_along_axis(wide(surface), truth_closest[..., None], axis=-2)
    apart = norm(jnp.where(touches[..., None], partner - wide(hand), 0))
    return mean_where(apart, touches)
