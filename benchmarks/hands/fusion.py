"""Fusion of what a teacher finds in each view of test frames: each rule beside the best single view."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from benchmarks.row import Bar, Row
from jaxkd.data.images.hand_source import HandSource
from jaxkd.evals.bootstrap import mean_interval
from jaxkd.geometry.views import view_weights
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import MEDIAPIPE
from jaxkd.typing import Split
from jaxkd.vision.hands import FusionRule, TeacherViews, fused_points
from jaxkd.vision.hands.taught_examples import hand_identity
from jaxkd.vision.hands.teacher_views import VALID, read_teacher_views

RULES: tuple[FusionRule, ...] = ("mean", "weighted", "agreeing_pair", "triangulated")
JUDGED: tuple[FusionRule, ...] = ("weighted", "agreeing_pair")
"""Rules that have to beat the best single view."""

_MILLIMETRES = 1e3


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FusionErrors:
    """Mean distance of the joints from the truth in test frames, relative to the wrist, in mm."""

    views: tuple[str, ...]
    single: Float[np.ndarray, "f v"]
    """Error of each view alone, whether the teacher is sure of it or not."""
    sure: np.ndarray
    """Whether the teacher is sure of each view, bool of the same shape."""
    fused: Mapping[FusionRule, Float[np.ndarray, " f"]]
    """Error of each rule; NaN where no view counts."""


def measure(data: HandSource, validation: Path, test: Path) -> FusionErrors:
    """Return the errors of all rules; the weights of the views are those of their errors on validation frames.

    Args:
        data: images of the size that the teacher read.
        validation: folder of the teacher's predictions for the validation frames.
        test: the same for the test frames.
    """
    held_out, known = _read(data, "validation", validation), _truth(data, "validation")
    errors = _errors(fused_points(held_out, "none")[0], known)
    weights = tuple(view_weights(np.nanmean(errors, axis=0).tolist()).tolist())
    found, truth = _read(data, "test", test), _truth(data, "test")
    certain = dataclasses.replace(found, confidence=np.ones_like(found.confidence))
    return FusionErrors(
        views=data.views,
        single=_errors(fused_points(certain, "none")[0], truth),
        sure=np.asarray(found.confidence) >= VALID,
        fused={
            rule: _errors(fused_points(found, rule, weights=weights if rule == "weighted" else ())[0], truth)[:, 0]
            for rule in RULES
        },
    )


def rows(errors: FusionErrors, *, judged: bool) -> Iterator[Row]:
    """Yield the rows: views, rules, their difference from the best view, and the best rule by camera."""
    everywhere = np.all([np.isfinite(one) for one in errors.fused.values()], axis=0)
    means = errors.single.mean(axis=0)
    best = int(np.argmin(means))
    for name, values in zip(errors.views, errors.single.T, strict=True):
        yield mean_row(f"teacher, {name} alone: error of the joints", values)
    for rule, values in errors.fused.items():
        yield mean_row(f"teacher, {_spelt(rule)}: error of the joints", values[everywhere])
    yield Row(figure="test frames in which the teacher is sure of a view", value=float(everywhere.mean()), unit="")
    for rule, values in errors.fused.items():
        gained = (errors.single[:, best] - values)[everywhere]
        interval = mean_interval(gained)
        figure = f"{errors.views[best]}, the best view, - {_spelt(rule)}"
        yield Row(figure=figure, value=interval.estimate, unit="mm", interval=(interval.low, interval.high))
        bar = Bar(relation=">", limit=0) if judged and rule in JUDGED else None
        yield Row(figure=f"{figure}, lower end of the interval", value=interval.low, unit="mm", bar=bar)
    for view, name in enumerate(errors.views):
        chosen = everywhere & errors.sure[:, view]
        by_rule: dict[FusionRule, float] = {rule: float(values[chosen].mean()) for rule, values in errors.fused.items()}
        winner = min(by_rule, key=lambda rule: by_rule[rule])
        figure = f"frames in which the teacher is sure of {name} ({errors.single[chosen, view].mean():.1f} mm alone)"
        yield Row(figure=f"{figure}: the best rule, {_spelt(winner)}", value=by_rule[winner], unit="mm")


def mean_row(figure: str, values: Float[np.ndarray, "*seeds n"]) -> Row:
    """Return the row of a mean in mm, with its interval."""
    interval = mean_interval(values)
    return Row(figure=figure, value=interval.estimate, unit="mm", interval=(interval.low, interval.high))


def _spelt(rule: FusionRule) -> str:
    return rule.replace("_", " ")


def _read(data: HandSource, split: Split, folder: Path) -> TeacherViews:
    return read_teacher_views(folder, hand_identity(data, split), views=len(data.views))


def _truth(data: HandSource, split: Split) -> HandView:
    """Return the labels of a split, `[frames, views, ...]`."""
    examples = data.examples(split)
    targets: Sequence[HandView] = [examples[place].target for place in range(len(examples))]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *targets)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, len(data.views), *leaf.shape[1:]), stacked)


def _errors(world: object, truth: HandView) -> Float[np.ndarray, "f v"]:
    """Return the mean distance of joints in the world, relative to the wrist, in mm."""
    joints = np.asarray(world, np.float64)
    joints = joints - joints[..., MEDIAPIPE.wrist, None, :]
    expected = np.einsum("fvij,fvnj->fvni", truth.rotation, truth.points)
    return _MILLIMETRES * np.linalg.norm(joints - expected, axis=-1).mean(axis=-1)
