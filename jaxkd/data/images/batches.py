"""Batches of images as a stream that resumes exactly.

Global batch i is a function of the seed and i alone, and a row's augmentation one of the seed, i and the row.  So a
process reads the images of its own rows only, and the iterator's state is one integer, equal on all processes.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Int, UInt8

from jaxkd.data.images.source import ImageExample
from jaxkd.records import ImageBatch
from jaxkd.sharding import WHOLE, Share

if TYPE_CHECKING:
    import grain

Augment = Callable[[UInt8[np.ndarray, "h w c"], Any, np.random.Generator], tuple[np.ndarray, Any]]
"""Function from image, target and generator to another image and target of the same shapes and types."""

_STEPS = 2**31
"""Length of a stream, beyond any run."""

_ORDER, _AUGMENTATION = 0, 1
"""Independent streams of random numbers of one seed."""


def image_batches(
    examples: Sequence[ImageExample],
    *,
    rows: int,
    seed: int,
    augmentation: Augment | None = None,
    share: Share = WHOLE,
) -> "grain.IterDataset":
    """Return a share of the rows of an endless stream of `ImageBatch`es of NumPy arrays.

    Each epoch is a new permutation, set by `seed`.  An epoch that does not divide into batches runs on into the next.
    `iter(...)` has `set_state()` and `get_state()`, whose result can be written as JSON and is equal on all processes.

    Args:
        examples: the examples, all of one size; only those of the share's rows are read.
        rows: rows of a global batch.
        seed: random seed of the order and of the augmentation.
        augmentation: change of each row, an `Augmentation` for instance; None leaves the images as they are.
        share: share of the rows of each global batch.

    Raises:
        ValueError: no examples, no rows, a negative seed, rows that the processes do not divide, or, from the stream,
            examples of different shapes.
    """
    import grain

    if not len(examples) or rows < 1:
        raise ValueError(f"examples and rows must be at least 1, got {len(examples)} and {rows}.")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}.")
    batch = _Batch(examples=examples, rows=rows, seed=seed, augmentation=augmentation, mine=share.rows(rows))
    reading = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return grain.MapDataset.range(_STEPS).map(batch).to_iter_dataset(reading)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """Function from the number of a global batch to the rows of a share."""

    examples: Sequence[ImageExample]
    rows: int
    seed: int
    augmentation: Augment | None
    mine: slice

    def __call__(self, step: int) -> ImageBatch[Any]:
        pairs = [self._row(int(step), row) for row in range(*self.mine.indices(self.rows))]
        arrays: Any = {
            "images": _stacked("images", [image for image, _ in pairs]),
            "targets": jax.tree.map(lambda *of: _stacked("targets", of), *(target for _, target in pairs)),
        }
        # NumPy arrays instead of JAX arrays: the loop moves them to the devices.
        return ImageBatch(**arrays)

    def _row(self, step: int, row: int) -> tuple[np.ndarray, Any]:
        epoch, place = divmod(step * self.rows + row, len(self.examples))
        example = self.examples[int(_order(self.seed, epoch, len(self.examples))[place])]
        if self.augmentation is None:
            return example.image, example.target
        return self.augmentation(example.image, example.target, _generator(self.seed, _AUGMENTATION, step, row))


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> Int[np.ndarray, " count"]:
    return _generator(seed, _ORDER, epoch).permutation(count)


def _generator(seed: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stream))


def _stacked(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(
            f"{name} must have one shape, got {' and '.join(map(str, shapes))}. Resize them in the source, "
            "and pad boxes to one number."
        )
    return np.stack(arrays)
