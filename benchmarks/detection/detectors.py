"""Parameters of the published detectors, and parameters and time of the study's, of one branch and of two."""

import math
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from benchmarks.row import Bar, Row
from benchmarks.timing import interleaved
from configs import rgbt
from jaxkd.data.images.scenes.source import ThermalScenes
from jaxkd.training import Train
from jaxkd.vision import NetworkModel
from jaxkd.vision.detection import EarlyFusion, MediumFusion
from jaxkd.vision.detection.decoding import decode
from jaxkd.vision.detection.detector import Detector
from jaxkd.vision.recipe import NetworkRecipe

MOST = 0.6
"""Bar: share of the time and of the parameters of two branches that one may have."""
ROWS = 8
"""Images per call."""
SIZE = ThermalScenes().size
"""Height and width of the study's images."""


def rows(*, repeats: int) -> Iterator[Row]:
    """Yield the rows of both; no repeats: no timings."""
    yield from _published()
    one, two = study_detectors()
    numbers = [parameters(one), parameters(two)]
    for name, number in zip(("one branch", "two branches"), numbers, strict=True):
        yield Row(figure=f"study: parameters of {name}", value=number, unit="")
    yield Row(
        figure="study: parameters of one branch / two branches",
        value=numbers[0] / numbers[1],
        unit="x",
        bar=Bar(relation="<=", limit=MOST),
    )
    if repeats:
        yield from _timed(one, two, repeats=repeats)


def parameters(network: Detector) -> int:
    """Return the number of parameters."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(network.abstract()[0]))


def study_detectors() -> tuple[Detector, Detector]:
    """Return a student of the study of drawn scenes, and its teacher."""
    networks = {
        stage.name: stage.recipe.network
        for stage in rgbt.get_config().stages
        if isinstance(stage, Train) and isinstance(stage.recipe, NetworkRecipe)
    }
    one, two = networks["plain_core"], networks["teacher"]
    if not isinstance(one, Detector) or not isinstance(two, Detector):
        raise TypeError(f"stages must be of detectors, got {type(one).__name__} and {type(two).__name__}.")
    return one, two


def _published() -> Iterator[Row]:
    plain = parameters(EarlyFusion(stem="visible"))
    for name, found, expected in (
        ("GFL on ResNet-50, six classes", plain, 32_269_967),
        ("ShaPE", parameters(EarlyFusion(stem="shape")) - plain, 882),
        ("medium fusion on one ResNet-101, six classes", parameters(MediumFusion()), 62_410_895),
    ):
        yield Row(
            figure=f"parameters of {name}, difference from {expected:,}",
            value=abs(found - expected),
            unit="",
            bar=Bar(relation="<=", limit=0),
        )


def _timed(one: Detector, two: Detector, *, repeats: int) -> Iterator[Row]:
    height, width = SIZE
    images = np.random.default_rng(0).integers(0, 256, (ROWS, height, width, 4), np.uint8)
    measured = interleaved(
        {"one branch": _detecting(one, images), "two branches": _detecting(two, images)}, repeats=repeats
    )
    for name, seconds in measured.items():
        yield Row.median(f"study: an image of {height} x {width}, {name}", [1e3 * one for one in seconds], "ms")
    ratios = [first / second for first, second in zip(*measured.values(), strict=True)]
    figure = "study: time of one branch / two branches"
    yield Row.median(figure, ratios, "x", bar=Bar(relation="<=", limit=MOST))


def _detecting(network: Detector, images: np.ndarray) -> Callable[[], float]:
    """Return a function that detects the objects of all images and returns the seconds an image."""
    params, state = network.init(jax.random.key(0))
    model = NetworkModel(network=network, params=params, state=state)
    height, width = images.shape[1:3]
    detect = jax.jit(lambda model, images: decode(model(images), image_size=(height, width)))

    def measure() -> float:
        started = time.perf_counter()
        jax.block_until_ready(detect(model, images))
        return (time.perf_counter() - started) / len(images)

    return measure
