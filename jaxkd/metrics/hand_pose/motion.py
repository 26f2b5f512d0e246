"""Motion in time: whether what touches moves together, and errors of acceleration."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer

from jaxkd.metrics.hand_pose.arrays import mean_where, norm, require_points, require_shapes, wide
from jaxkd.metrics.hand_pose.contact import CONTACT

FRAME_SECONDS = 1 / 30
"""Time between two frames of ARCTIC's images, in seconds."""

SHORTEST_WINDOW = 15
"""Frames of the shortest contact that counts: half a second."""

NO_WINDOW = (0, -1, 0, 0)
"""Row that is no window, to pad arrays of windows with: its value is NaN."""


def contact_windows(
    truth_distances: Float[np.ndarray, "f v"],
    truth_closest: Integer[np.ndarray, "f v"],
    object_vertices: Float[np.ndarray, "w 3"],
    *,
    threshold: float = CONTACT,
    shortest: int = SHORTEST_WINDOW,
    open_at_end: Literal["count", "drop"] = "count",
    open_at_start: Literal["count", "raise"] = "count",
) -> Int[np.ndarray, "n 4"]:
    """Return the stable contacts of a sequence: first and last frame, vertex of the hand, vertex of the object.

    A contact is the longest run of frames in which a vertex of the hand is nearer to the object than the threshold.  It
    is stable if it has enough frames, and if the vertices of the object that are closest to it in them are no more than
    the threshold apart, on average over all pairs of frames: a finger that slides over the surface is left out.  The
    vertex of the object is the one that is closest in most frames.

    Args:
        truth_distances: distance of each vertex of the true hand from the true object by frame, in metres; NaN: none.
        truth_closest: index of the object's closest vertex.
        object_vertices: the true object in one frame, the first: distances on its surface are measured there.
        threshold: distance of a contact, and mean distance of its places on the object.
        shortest: fewest frames.
        open_at_end: whether a contact that lasts until the last frame counts.  The reference code drops it.
        open_at_start: "raise": reject a stable contact that begins in the first frame, as the reference code does.

    Returns:
        A row for each contact, int64, by vertex of the hand and then by frame.  The last frame is included.

    Raises:
        ValueError: shapes that do not agree, an index that is no vertex of the object, an unknown option, or a contact
            from the first frame with `open_at_start="raise"`.

    Source: zc-alexfan/arctic@49f3eb4, MDev.  Deviation: contacts at both ends count, see the options.  The mean
    distance is over all pairs of different frames, where that code counts pairs beyond the fifteenth frame twice, and
    with them those of a frame with itself.

    Example:
        >>> import numpy as np
        >>> distances, closest = np.full((20, 2), 0.5), np.zeros((20, 2), int)
        >>> distances[2:18, 1] = 0.001
        >>> contact_windows(distances, closest, np.zeros((1, 3))).tolist()
        [[2, 17, 1, 0]]
    """
    for name, option, options in (
        ("open_at_end", open_at_end, ("count", "drop")),
        ("open_at_start", open_at_start, ("count", "raise")),
    ):
        if option not in options:
            raise ValueError(f"{name} must be one of {', '.join(options)}, got {option!r}.")
    if truth_distances.ndim != 2:
        raise ValueError(f"truth_distances must be [frames, vertices], got the shape {truth_distances.shape}.")
    require_shapes(
        truth_closest=(truth_closest, truth_distances.shape),
        object_vertices=(object_vertices, (len(object_vertices), 3)),
    )
    if truth_closest.size and not 0 <= truth_closest.min() <= truth_closest.max() < len(object_vertices):
        raise ValueError(
            f"truth_closest must hold indices of the {len(object_vertices)} vertices of the object, got "
            f"{truth_closest.min()} to {truth_closest.max()}."
        )
    frames = len(truth_distances)
    touches = np.pad((truth_distances < threshold).T.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(touches, axis=1)
    # Row by row: the n-th start and the n-th end of a vertex belong together.
    vertices, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1] - 1
    kept = ends - starts + 1 >= shortest
    if open_at_end == "drop":
        kept &= ends < frames - 1
    found = []
    for vertex, start, end in zip(vertices[kept], starts[kept], ends[kept], strict=True):
        closest = truth_closest[start : end + 1, vertex]
        places, counts = np.unique(closest, return_counts=True)
        if _mean_distance(object_vertices[places].astype(np.float64), counts) <= threshold:
            found.append((start, end, vertex, places[np.argmax(counts)]))
            if start == 0 and open_at_start == "raise":
                raise ValueError(
                    f"contacts must not begin in the first frame with open_at_start='raise', got one of vertex "
                    f"{vertex} from frame 0 to {end}."
                )
    return np.array(found, np.int64).reshape(-1, 4)


def motion_deviation(
    predicted_hand: Float[Array, "f v 3"],
    predicted_object: Float[Array, "f w 3"],
    windows: Integer[Array, "n 4"] | Integer[np.ndarray, "n 4"],
    *,
    valid: Bool[Array, " f"],
) -> Float[Array, " n"]:
    """Return the mean over pairs of frames of ||dh_i - do_j||, how differently what touches moves, in metres a frame.

    MDev is the mean over the contacts of both hands, so concatenate the results of the two before `nan_mean`.

    Args:
        predicted_hand: vertices of a hand by frame.
        predicted_object: vertices of the object by frame, in the same unit.
        windows: true contacts, by `contact_windows`; rows of `NO_WINDOW` are padding.
        valid: frames that count: those in which the hand and the object are seen.

    Returns:
        Per window, in the unit of the vertices, float32 (float64 if an input is); NaN where no two consecutive frames
        count, or where a vertex is NaN in two that do.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4, MDev.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> still, moving = jnp.zeros((4, 1, 3)), jnp.arange(4.0)[:, None, None] * jnp.array([0.0, 0.0, 0.5])
        >>> windows = jnp.array([[0, 3, 0, 0], NO_WINDOW])
        >>> motion_deviation(moving, still, windows, valid=jnp.ones(4, bool)).tolist()
        [0.5, nan]
    """
    require_points(predicted_hand=predicted_hand, predicted_object=predicted_object)
    frames = jnp.shape(predicted_hand)[0]
    require_shapes(
        predicted_hand=(predicted_hand, (frames, jnp.shape(predicted_hand)[-2], 3)),
        predicted_object=(predicted_object, (frames, jnp.shape(predicted_object)[-2], 3)),
        windows=(windows, (len(windows), 4)),
        valid=(valid, (frames,)),
    )
    start, end, hand, surface = jnp.moveaxis(jnp.asarray(windows), -1, 0)
    steps = [
        jnp.diff(wide(body)[:, which], axis=0) for body, which in ((predicted_hand, hand), (predicted_object, surface))
    ]
    at = jnp.arange(frames - 1)[:, None]
    counted = (at >= start[None]) & (at + 1 <= end[None]) & (valid[:-1] & valid[1:])[:, None]
    apart = norm(jnp.where(counted[..., None], steps[0] - steps[1], 0))
    return mean_where(apart.T, counted.T)


def acceleration_error(
    predicted: Float[Array, "f v 3"],
    truth: Float[Array, "f v 3"],
    *,
    predicted_root: Float[Array, "f 3"],
    truth_root: Float[Array, "f 3"],
    valid: Bool[Array, " f"],
    mask: Bool[Array, " v"] | None = None,
    interval: float = FRAME_SECONDS,
) -> Float[Array, " f"]:
    """Return the mean over vertices of ||a_pred - a_true||, the error of the acceleration, in m/s^2.

    With h the interval, a(t) = (p(t - h) - 2 p(t) + p(t + h)) / h^2.

    Positions are relative to a root in each frame.  The figure of hands is the `nan_mean` over both; the object has its
    own.

    Args:
        predicted: vertices or joints by frame, in metres.
        truth: the same ones.
        predicted_root: root by frame: the wrist of a hand, the `bottom_centre` of an object.
        truth_root: the true one.
        valid: frames that count.
        mask: vertices that exist; None: all.
        interval: seconds between two frames.

    Returns:
        Per frame, in m/s^2, float32 (float64 if an input is); NaN in the first and the last frame, where one of the
        three frames does not count, and where a vertex is NaN in one of them.

    Raises:
        ValueError: shapes that do not agree, or an interval that is not positive.

    Source: zc-alexfan/arctic@49f3eb4, ACC.  Deviation: the result of an object has as many frames as that of a hand,
    where that code leaves out the first and the last.

    Example:
        >>> import jax.numpy as jnp
        >>> truth = jnp.zeros((4, 1, 3))
        >>> predicted = truth.at[:, 0, 2].set(jnp.arange(4.0) ** 2)
        >>> roots = {"predicted_root": jnp.zeros((4, 3)), "truth_root": jnp.zeros((4, 3))}
        >>> acceleration_error(predicted, truth, **roots, valid=jnp.ones(4, bool), interval=1.0).tolist()
        [nan, 2.0, 2.0, nan]
    """
    require_points(predicted=predicted)
    shape = jnp.shape(predicted)
    mask = jnp.ones(shape[-2], bool) if mask is None else mask
    require_shapes(
        predicted=(predicted, (shape[0], shape[-2], 3)),
        truth=(truth, shape),
        predicted_root=(predicted_root, (shape[0], 3)),
        truth_root=(truth_root, (shape[0], 3)),
        valid=(valid, shape[:1]),
        mask=(mask, shape[-2:-1]),
    )
    if not interval > 0:
        raise ValueError(f"interval must be > 0 seconds, got {interval}.")
    if shape[0] < 3:
        return jnp.full(shape[0], jnp.nan, wide(predicted).dtype)
    relative, truly = wide(predicted) - wide(predicted_root)[:, None], wide(truth) - wide(truth_root)[:, None]
    difference = relative - truly
    counted = (valid[:-2] & valid[1:-1] & valid[2:])[:, None] & mask[None]
    bent = jnp.where(counted[..., None], difference[:-2] - 2 * difference[1:-1] + difference[2:], 0)
    inner = mean_where(norm(bent) / interval**2, counted)
    return jnp.pad(inner, 1, constant_values=jnp.nan)


def _mean_distance(places: Float[np.ndarray, "k 3"], counts: Int[np.ndarray, " k"]) -> float:
    """Return the mean distance of all pairs of frames, of which `counts` are at each place."""
    frames = counts.sum()
    if frames < 2:
        return 0.0
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return float(counts @ distances @ counts / (frames * (frames - 1)))
