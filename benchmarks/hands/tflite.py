"""TFLite files read as JAX functions, beside LiteRT: outputs on 200 images, and time an image."""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Bar, Row
from benchmarks.timing import interleaved
from benchmarks.worker import ONE_CORE, Worker, serve

IMAGES = 200
REPEATS, TIMED = 9, 8
"""Rounds, and images of each."""
MODULE = "benchmarks.hands.tflite"

_MASK = 1e-5
"""Bar of the mask.  LiteRT itself is farther from the same network in float64, which rows of its own say."""

_OUTPUTS = {
    "hand_landmark_full": {"Identity": ("image landmarks", "px", 1e-3), "Identity_3": ("world landmarks", "m", None)},
    "hand_landmark_lite": {"Identity": ("image landmarks", "px", 1e-3), "Identity_3": ("world landmarks", "m", None)},
    "selfie_segmentation": {"activation_10": ("mask", "", _MASK)},
}


def rows(quick: bool) -> Iterator[Row]:
    """Compare and time in one process of one thread on one core; quick: 20 images, without timings."""
    core = max(os.sched_getaffinity(0))
    for name, outputs in _OUTPUTS.items():
        with Worker(Path(sys.executable), MODULE, core=core, environment=ONE_CORE) as worker:
            differences = worker.ask(network=name, images=20 if quick else IMAGES)
            for output, (figure, unit, limit) in outputs.items():
                yield Row(
                    figure=f"{name}: {figure}, greatest difference from LiteRT on {20 if quick else IMAGES} images",
                    value=differences[output],
                    unit=unit,
                    bar=None if limit is None else Bar(relation="<=", limit=limit),
                )
            if name == "selfie_segmentation":
                yield from _rounding(worker, 20 if quick else IMAGES)
            if not quick:
                seconds = worker.ask(network=name, repeats=REPEATS)
                for side in ("ours", "LiteRT"):
                    yield Row.median(f"{name}: time an image, {side}", [1e3 * one for one in seconds[side]], "ms")
                yield Row.median(
                    f"{name}: time an image, ours over LiteRT's",
                    [ours / other for ours, other in zip(seconds["ours"], seconds["LiteRT"], strict=True)],
                    "x",
                    bar=Bar(relation="<=", limit=1.5),
                )


def _rounding(worker: Worker, images: int) -> Iterator[Row]:
    """Give the distance of both sides from the same network in float64: what float32 alone leaves open."""
    distances = worker.ask(network="selfie_segmentation", exact=images)
    for side, (mean, greatest) in distances.items():
        # The greatest one of ours from LiteRT has its row already.
        for figure, value in {"mean": mean, "greatest": greatest}.items() if "float64" in side else [("mean", mean)]:
            yield Row(
                figure=f"selfie_segmentation: mask, {figure} difference of {side} on {images} images",
                value=value,
                unit="",
            )
    yield Row(
        figure=f"selfie_segmentation: greatest difference of LiteRT from float64, over the bar of {_MASK:g}",
        value=distances["LiteRT from float64"][1] / _MASK,
        unit="x",
    )


def photographs(side: int, count: int) -> np.ndarray:
    """Return crops of packaged photographs and their mirror images, [count, side, side, 3] from 0 to 1."""
    from jaxkd.data.images.scenes.scenery import backdrops

    sources = [one.image for split in backdrops().values() for one in (*split.walls, *split.grounds)]
    rng, images = np.random.default_rng(0), []
    for number in range(count):
        photograph = sources[number % len(sources)]
        width = int(rng.uniform(0.3, 1.0) * min(photograph.size))
        left, top = (int(rng.integers(0, length - width + 1)) for length in photograph.size)
        crop = photograph.crop((left, top, left + width, top + width)).resize((side, side))
        image = np.asarray(crop, np.float32) / 255
        images.append(image[:, ::-1] if number // len(sources) % 2 else image)
    return np.stack(images)


@functools.lru_cache(maxsize=1)
def _sides(name: str) -> tuple[Callable[[np.ndarray], dict[str, np.ndarray]], Callable[..., Any], int]:
    """Return ours and LiteRT's function of one image, [1, side, side, 3], and the side."""
    import jax
    from ai_edge_litert.interpreter import Interpreter

    from jaxkd.runtime.packages import fetch
    from jaxkd.vision.tflite import packaged

    file = getattr(packaged, name.upper())
    model = packaged.load(file)
    compiled = jax.jit(model)
    interpreter = Interpreter(str(fetch(file)), num_threads=1)
    interpreter.allocate_tensors()
    (given,), results = interpreter.get_input_details(), interpreter.get_output_details()

    def ours(image: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in compiled(model.params, image).items()}

    def theirs(image: np.ndarray) -> dict[str, np.ndarray]:
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        return {one["name"]: interpreter.get_tensor(one["index"]) for one in results}

    return ours, theirs, model.inputs[0].shape[1]


def _differences(name: str, count: int) -> dict[str, float]:
    ours, theirs, side = _sides(name)
    greatest: dict[str, float] = {}
    for image in photographs(side, count):
        found, expected = ours(image[None]), theirs(image[None])
        for output, value in expected.items():
            difference = float(np.max(np.abs(found[output] - value)))
            greatest[output] = max(difference, greatest.get(output, 0.0))
    return greatest


def _distances(name: str, count: int) -> dict[str, tuple[float, float]]:
    """Return the mean and the greatest difference between LiteRT, ours, and ours in float64."""
    import jax
    import jax.numpy as jnp

    from jaxkd.vision.tflite import packaged

    ours, theirs, side = _sides(name)
    model = packaged.load(getattr(packaged, name.upper()))
    images = photographs(side, count)
    found, expected = (
        np.concatenate([next(iter(run(image[None]).values())) for image in images]) for run in (ours, theirs)
    )
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), model.params)
        compiled = jax.jit(model)
        each = [compiled(params, jnp.asarray(image[None], jnp.float64)) for image in images]
        exact = np.concatenate([np.asarray(next(iter(outputs.values()))) for outputs in each])
    pairs = {
        "ours from LiteRT": (found, expected),
        "ours from float64": (found, exact),
        "LiteRT from float64": (expected, exact),
    }
    differences = {figure: np.abs(one - other) for figure, (one, other) in pairs.items()}
    return {figure: (float(np.mean(one)), float(np.max(one))) for figure, one in differences.items()}


def _times(name: str, repeats: int) -> dict[str, list[float]]:
    ours, theirs, side = _sides(name)
    images = photographs(side, TIMED)

    def seconds(run: Callable[[np.ndarray], Any]) -> float:
        start = time.perf_counter()
        for image in images:
            run(image[None])
        return (time.perf_counter() - start) / len(images)

    sides = {"ours": lambda: seconds(ours), "LiteRT": lambda: seconds(theirs)}
    return interleaved(sides, repeats=repeats, warm_up=2)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if "repeats" in request:
        return _times(request["network"], request["repeats"])
    if "exact" in request:
        return _distances(request["network"], request["exact"])
    return _differences(request["network"], request["images"])


if __name__ == "__main__":
    serve(_answer)
