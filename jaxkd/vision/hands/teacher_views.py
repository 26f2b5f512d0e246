"""Predictions of a teacher in each view of some frames, and the labels that they become by a rule of fusion."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxkd.geometry.cameras import Pinhole
from jaxkd.geometry.views import fuse_agreeing_pair, fuse_mean, fuse_weighted, triangulate
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import JOINTS, MEDIAPIPE
from jaxkd.runtime.storage.array_cache import ArrayCache, StoredArray
from jaxkd.vision.hands.prediction import HandPrediction

FusionRule: TypeAlias = Literal["none", "mean", "weighted", "agreeing_pair", "triangulated"]
"""Labels of a view: its own prediction; the mean of the views, by weight or not; the mean of the two views that agree
best; or the rays of all views, triangulated by their confidence."""

VALID = 0.5
"""Confidence from which on a view counts, for the rules without weights of their own."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherViews:
    """Predictions of a teacher in each view of frames, with the cameras of the crops.

    Pixels are in sides of the crop, whose top left corner is (0, 0), so that they are those of crops of any size.  On
    the host the fields are NumPy arrays.
    """

    places: Float[Array, "*b 21 2"]
    """Column and row of each joint."""
    points: Float[Array, "*b 21 3"]
    """Joints in metres relative to the wrist, along the axes of the crop's camera."""
    confidence: Float[Array, "*b"]
    """Probability that a hand is seen."""
    rotation: Float[Array, "*b 3 3"]
    """R of the crop's camera, x_world = R x_camera + t."""
    translation: Float[Array, "*b 3"]
    """t, in metres."""
    focal: Float[Array, "*b 2"]
    """Focal lengths."""
    centre: Float[Array, "*b 2"]
    """Principal point."""


_J = len(JOINTS)
STORED = {
    "places": StoredArray(shape=(_J, 2)),
    "points": StoredArray(shape=(_J, 3)),
    "confidence": StoredArray(shape=()),
    "rotation": StoredArray(shape=(3, 3)),
    "translation": StoredArray(shape=(3,)),
    "focal": StoredArray(shape=(2,)),
    "centre": StoredArray(shape=(2,)),
}
"""Arrays of an example in the cache."""


def found_views(prediction: HandPrediction, view: HandView, *, side: int) -> TeacherViews:
    """Return predictions for a batch of crops, to be stored.

    Args:
        prediction: what the teacher found; without a confidence it is sure.
        view: labels of the crops, of which the cameras are used.
        side: side of the crops, in pixels.
    """
    confidence = prediction.confidence
    return TeacherViews(
        places=(prediction.pixels + 0.5) / side,
        points=prediction.points,
        confidence=jnp.ones(prediction.pixels.shape[:-2]) if confidence is None else confidence,
        rotation=view.rotation,
        translation=view.translation,
        focal=view.focal / side,
        centre=(view.centre + 0.5) / side,
    )


def read_teacher_views(folder: Path, identity: dict[str, str], *, views: int) -> TeacherViews:
    """Read what a `CacheHands` stage stored, as arrays `[frames, views, ...]`.

    Args:
        folder: folder of the stage.
        identity: frames that are expected, from `hand_identity`.
        views: number of views of a frame.

    Raises:
        FileNotFoundError: a folder without a cache.
        ValueError: a cache of other frames, or one that is not complete.
    """
    cache = ArrayCache(folder, identity)
    rows = [cache(index) for index in range(cache.examples)]
    arrays: dict[str, Any] = {name: np.stack([row[name] for row in rows]) for name in STORED}
    return TeacherViews(**{name: values.reshape(-1, views, *values.shape[1:]) for name, values in arrays.items()})


def fused_points(
    found: TeacherViews, rule: FusionRule, *, weights: tuple[float, ...] = ()
) -> tuple[Float[Array, "f v 21 3"], Bool[Array, "f v"]]:
    """Return the joints in the world by a rule, for each view, and where there are any.

    Args:
        found: predictions, `[frames, views, ...]`.
        rule: rule of fusion; all but "none" give all views of a frame the same.
        weights: weight of each view, for "weighted".

    Returns:
        Joints in metres, relative to the wrist, but for "triangulated", whose are at their place in the world; NaN
        where a frame has none.

    Raises:
        ValueError: an unknown rule, or weights that the rule does not take.
    """
    if rule not in get_args(FusionRule):
        raise ValueError(f"fusion must be one of {', '.join(get_args(FusionRule))}, got {rule!r}.")
    if bool(weights) != (rule == "weighted") or (weights and len(weights) != found.confidence.shape[1]):
        raise ValueError(
            f"weights must be given for each of {found.confidence.shape[1]} views with 'weighted', and not else, got "
            f"{len(weights)} with {rule!r}."
        )
    found = jax.tree.map(jnp.asarray, found)
    return _fused_points(found, rule, jnp.asarray(weights, jnp.float32))


def fused_labels(found: TeacherViews, rule: FusionRule, *, side: int, weights: tuple[float, ...] = ()) -> HandView:
    """Return the labels of crops that a rule of fusion makes of a teacher's predictions.

    Args:
        found: predictions, `[frames, views, ...]`.
        rule: rule of fusion.
        side: side of the crops to be labelled, in pixels.
        weights: weight of each view, for "weighted".

    Returns:
        Labels `[frames, views, ...]` in NumPy arrays, rotated back into the axes of each view's camera; `known` is
        false where the rule gives none.  Only "triangulated" gives pixels that all views agree on, and depths; the
        pixels of the other rules are the view's own.

    Raises:
        ValueError: as `fused_points`.
    """
    world, known = fused_points(found, rule, weights=weights)
    labels = _labels(jax.tree.map(jnp.asarray, found), world, known, rule=rule, side=side)
    return jax.tree.map(np.asarray, labels)


@functools.partial(jax.jit, static_argnums=1)
def _fused_points(
    found: TeacherViews, rule: FusionRule, weights: Float[Array, " w"]
) -> tuple[Float[Array, "f v 21 3"], Bool[Array, "f v"]]:
    turned = jnp.einsum("fvij,fvnj->fvni", found.rotation, found.points)
    valid = found.confidence >= VALID
    if rule == "none":
        return jnp.where(valid[..., None, None], turned, jnp.nan), valid
    if rule == "triangulated":
        confidences = jnp.broadcast_to(found.confidence[..., None], turned.shape[:-1])
        fused = triangulate(
            _rays(found), rotations=found.rotation, translations=found.translation, confidences=confidences
        )
    elif rule == "mean":
        fused = fuse_mean(turned, mask=valid)
    elif rule == "weighted":
        fused = fuse_weighted(turned, weights, mask=valid)
    else:
        fused = fuse_agreeing_pair(turned, mask=valid)
    known = jnp.all(jnp.isfinite(fused), axis=(-2, -1))
    return jnp.broadcast_to(fused[:, None], turned.shape), jnp.broadcast_to(known[:, None], valid.shape)


@functools.partial(jax.jit, static_argnames=("rule", "side"))
def _labels(
    found: TeacherViews, world: Float[Array, "f v 21 3"], known: Bool[Array, "f v"], *, rule: FusionRule, side: int
) -> HandView:
    world = jnp.where(known[..., None, None], world, 0.0)
    wrist = MEDIAPIPE.wrist
    relative = jnp.einsum("fvji,fvnj->fvni", found.rotation, world - world[..., wrist, None, :])
    places, depth = found.places, jnp.full(known.shape, jnp.nan)
    if rule == "triangulated":
        seen = jnp.einsum("fvji,fvnj->fvni", found.rotation, world - found.translation[:, :, None])
        known = known & jnp.all(seen[..., 2] > 0, axis=-1)
        ratio = seen[..., :2] / jnp.where(known[..., None], seen[..., 2], 1.0)[..., None]
        places = ratio * found.focal[:, :, None] + found.centre[:, :, None]
        depth = jnp.where(known, seen[..., wrist, 2], jnp.nan)
    return HandView(
        pixels=jnp.where(known[..., None, None], places * side - 0.5, 0.0),
        points=relative,
        root_depth=depth,
        known=known,
        rotation=found.rotation,
        translation=found.translation,
        focal=found.focal * side,
        centre=found.centre * side - 0.5,
        eccentricity=jnp.zeros(known.shape),
        order=MEDIAPIPE,
    )


def _rays(found: TeacherViews) -> Float[Array, "f v 21 3"]:
    pinhole = Pinhole(focal=jnp.ones(2), centre=jnp.zeros(2))
    return pinhole.unproject((found.places - found.centre[..., None, :]) / found.focal[..., None, :])
