"""Errors of the joints of hands that a network finds in crops."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.evals.vision.image_evaluator import ImageEvaluator
from jaxkd.evals.vision.pictures import SHOWN, evenly_spaced, thumbnail
from jaxkd.metrics.hand_pose import mpjpe, pa_mpjpe
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import JointOrder
from jaxkd.training.evaluator import Column
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.results.picture import Overlay, Picture
from jaxkd.vision.hands.prediction import HandPrediction
from jaxkd.vision.network import NetworkModel

EDGE = 1 / 3
"""Eccentricity from which a crop is at the edge of the image that it was cut from, in widths of that image."""

_LABEL = "hands"
_MILLIMETRES = 1e3
_LEAST_SHOWN = 2
"""Pictures of each stratum where there are many: two frames by all cameras of a headset."""
_LONGEST = 256
"""Largest width and height of a picture's PNG: fingers are thin."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandScores(ImageEvaluator):
    """Errors of joints: MPJPE relative to the wrist, PA-MPJPE after the best similarity, and distances in pixels."""

    data: ImageSource
    """Crops that show a hand each; their targets are `jaxkd.records.hand_views.HandView`."""
    rows: int = 32
    """Images per batch; it changes no result."""
    label: str = _LABEL
    """Name of the evaluation, if a model has several, such as on another stratum."""

    def columns(self) -> tuple[Column, ...]:
        if self.stratum is None and self.label == _LABEL:
            return (Column(metric="pa_mpjpe", name="PA-MPJPE,\nmm"), Column(metric="pixels", name="2D error,\npx"))
        return (Column(metric="mpjpe", name=f"MPJPE, mm,\n{self.stratum or self.label}"),)

    def __call__(self, model: NetworkModel) -> Evaluation:
        """Find the joints in the images.

        Returns:
            Means over images `mpjpe` and `pa_mpjpe`, in millimetres, and `pixels`, the mean distance of the joints in
            pixels of the crop, with columns of these names; `mpjpe` of each stratum, if there are several, as
            `mpjpe_NAME`; `mpjpe_centre` and `mpjpe_edge`, of crops whose eccentricity is below `EDGE` and of the
            others, if there are any; `root_depth`, the mean absolute error of the wrist's distance in millimetres, if
            the network estimates it and it is known of any image; and some pictures.

        Raises:
            ValueError: no images, labels that are not known or of several orders, a network of another number of
                joints, joints that are not finite, or a stratum whose metric would have the name of another.
        """
        examples = self.data.examples(self.split)
        results = list(self._results(model))
        strata = [one.stratum for one in results]
        members = {"centre": [one.eccentricity < EDGE for one in results]}
        members["edge"] = [one.eccentricity >= EDGE for one in results]
        names = list(dict.fromkeys(strata))
        if len(names) > 1:
            for name in names:
                if name in members:
                    raise ValueError(
                        f"strata must not be called centre or edge, which are places of crops in the metrics' names, "
                        f"got {name!r} in {type(self.data).__name__}. Rename the stratum."
                    )
            members |= {name: [one == name for one in strata] for name in names}
        columns = {name: np.array([getattr(one, name) for one in results]) for name in _COLUMNS}
        metrics = {name: float(np.mean(column)) for name, column in columns.items()}
        metrics |= {f"mpjpe_{name}": float(np.mean(columns["mpjpe"][of])) for name, of in members.items() if any(of)}
        depths = np.array([one.root_depth for one in results])
        if not np.isnan(depths).all():
            metrics["root_depth"] = float(np.nanmean(depths))
        places = evenly_spaced(strata, each=max(SHOWN // len(names), _LEAST_SHOWN))
        return Evaluation(
            metrics=metrics,
            keys=tuple(one.key for one in results),
            per_example={name: tuple(column.tolist()) for name, column in columns.items()},
            pictures=tuple(_shown(examples[results[place].place], results[place]) for place in places),
        )

    def _results(self, model: NetworkModel) -> Iterator["_Result"]:
        """Yield the result of each image; those of a batch are in memory at a time."""
        order: JointOrder | None = None
        for batch in self.batches():
            for _, example in batch:
                order = self._checked(example, order)
            views: list[HandView] = [example.target for _, example in batch]
            found, errors = jax.device_get(
                _errors(
                    model,
                    self.full_batch([example.image for _, example in batch]),
                    self.full_batch([view.points for view in views]),
                    self.full_batch([view.pixels for view in views]),
                    wrist=views[0].order.wrist,
                )
            )
            for row, (place, example) in enumerate(batch):
                prediction: HandPrediction = jax.tree.map(lambda leaf, row=row: leaf[row], found)
                yield _result(place, example, prediction, {name: float(errors[name][row]) for name in _COLUMNS})

    def _checked(self, example: ImageExample, order: JointOrder | None) -> JointOrder:
        """Return the order of the joints, after checks of the labels."""
        view: HandView = example.target
        if not view.known:
            raise ValueError(
                f"labels must be known in {self.split}, got unknown ones in {example.key!r}. Leave the image out."
            )
        if order not in (None, view.order):
            raise ValueError(
                f"labels must have one order of joints in {self.split}, got that of {order} and that of {view.order} "
                f"in {example.key!r}. Convert one with jaxkd.records.hands.reordered."
            )
        return view.order


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Result:
    """Errors of one image, and the joints that were found, in pixels."""

    place: int
    key: str
    stratum: str
    eccentricity: float
    found: Float[np.ndarray, "j 2"]
    mpjpe: float
    pa_mpjpe: float
    pixels: float
    root_depth: float
    """Absolute error of the wrist's distance; NaN where it is not known or not estimated."""


_COLUMNS = ("mpjpe", "pa_mpjpe", "pixels")


@functools.partial(jax.jit, static_argnames="wrist")
def _errors(
    model: NetworkModel,
    images: UInt8[Array, "b h w 3"],
    points: Float[Array, "b j 3"],
    pixels: Float[Array, "b j 2"],
    *,
    wrist: int,
) -> tuple[HandPrediction, dict[str, Float[Array, " b"]]]:
    found: HandPrediction = model(images)
    if found.points.shape != points.shape:
        raise ValueError(
            f"the network must find the {points.shape[1]} joints of the labels, got {found.points.shape[1]} joints "
            f"of {model}. Set its number of joints."
        )
    every = jnp.ones(points.shape[:2], bool)
    distances = jnp.linalg.norm(found.pixels - pixels, axis=-1)
    return found, {
        "mpjpe": _MILLIMETRES * mpjpe(found.points, points, wrist=wrist, mask=every),
        "pa_mpjpe": _MILLIMETRES * pa_mpjpe(found.points, points, mask=every),
        "pixels": jnp.mean(distances, axis=-1),
    }


def _result(place: int, example: ImageExample, found: HandPrediction, errors: dict[str, float]) -> _Result:
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)):
        raise ValueError(
            f"the network must find joints that are finite, got NaN or infinity in {example.key!r}. It has diverged: "
            "train it with a smaller learning rate."
        )
    view: HandView = example.target
    depth = np.nan if found.root_depth is None else abs(float(found.root_depth) - float(view.root_depth))
    return _Result(
        place=place,
        key=example.key,
        stratum=example.stratum,
        eccentricity=float(view.eccentricity),
        found=np.asarray(found.pixels),
        root_depth=_MILLIMETRES * depth,
        **errors,
    )


def _shown(example: ImageExample, result: _Result) -> Picture:
    height, width = example.image.shape[:2]
    view: HandView = example.target
    return Picture(
        key=example.key,
        group=example.stratum,
        width=width,
        height=height,
        png=thumbnail(example.image[..., :3], longest=_LONGEST),
        truth=_skeleton(view.pixels, view.order),
        found=_skeleton(result.found, view.order),
        note=f"{result.mpjpe:.1f} mm",
    )


def _skeleton(pixels: Float[Array | np.ndarray, "21 2"], order: JointOrder) -> Overlay:
    # Half a pixel from the centre of the first pixel, the origin of the labels, to its corner, that of pictures.
    points = [(x, y) for x, y in np.round(np.asarray(pixels, np.float64) + 0.5, 1).tolist()]
    return Overlay(lines=tuple((points[parent], points[child]) for parent, child in order.bones))
