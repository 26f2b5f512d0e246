"""Hands in three dimensions: cameras, metrics, contacts, networks beside LiteRT, images, and a student of one view."""

from benchmarks import environment
from benchmarks.hands import cameras, contacts, metrics, one_view, rendering, tflite
from benchmarks.row import Benchmark, Measured


def measure(quick: bool) -> Measured:
    """Measure all of it; quick: fewer pixels, sequences and images, and hardly a timing."""
    rows = [row for part in (cameras, metrics, contacts, tflite, rendering, one_view) for row in part.rows(quick)]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="hands",
    summary=(
        "cameras beside OpenCV, metrics beside loops, contacts of a box that a hand opens, TFLite files beside LiteRT; "
        "the time of an image of a hand; a student of one view that learns from four"
    ),
    measure=measure,
)
