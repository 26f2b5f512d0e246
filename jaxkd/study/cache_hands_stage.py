"""Run a teacher once over images of hands and store what it finds: the `CacheHands` stage."""

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from jaxkd.data.images.hand_source import HandSource
from jaxkd.data.images.source import ImageExample
from jaxkd.records.hand_views import HandView
from jaxkd.runtime.progress import progress
from jaxkd.runtime.storage import array_cache
from jaxkd.runtime.storage.array_cache import ArrayCacheWriter
from jaxkd.training import stage_folder
from jaxkd.training.evaluator import ModelSource
from jaxkd.training.stage import Stage, resolve
from jaxkd.typing import Split
from jaxkd.vision.hands.prediction import HandPrediction
from jaxkd.vision.hands.taught_examples import hand_identity
from jaxkd.vision.hands.teacher_views import STORED, TeacherViews, found_views

_log = logging.getLogger(__name__)

FLUSH_EVERY = 8
"""Number of batches between two points from which an interrupted pass can resume."""

_READERS = 2
"""Threads that draw or read images while the teacher computes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheHands(Stage):
    """Store what `model` finds in each image of a split: joints, its confidence, and the camera of the crop."""

    model: ModelSource
    """Teacher, which returns a `HandPrediction` in the order of the labels' joints."""
    data: HandSource
    """Images, of the size that the teacher reads; those of the training run that learns from it may be smaller."""
    split: Split = "train"
    """Split of the images."""
    rows: int = 16
    """Images per batch; it changes no result."""

    def validate(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}.")
        self.model.validate()
        if jax.process_count() > 1:
            raise ValueError("a CacheHands stage must run in one process. Fill the cache first, then start the others.")

    def provenance(self) -> str:
        return f"model: {self.model.provenance()}"

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        del seed
        with stage_folder.claimed(folder, self, work=(array_cache.PROGRESS,)):
            self._run(folder, stages)

    def _run(self, folder: Path, stages: Mapping[str, Path]) -> None:
        cache = resolve(self, stages)
        examples = cache.data.examples(cache.split)
        writer = ArrayCacheWriter(folder, hand_identity(cache.data, cache.split), examples=len(examples), arrays=STORED)
        if writer.complete:
            _log.info("%s is finished: nothing to do", folder)
            return
        model, find = cache.model.load_model(), jax.jit(_found, static_argnames="side")
        batches = -(-len(examples) // cache.rows)
        with progress(batches, cache.name, start=writer.batches_done, counted="images") as bar:
            start = writer.batches_done * cache.rows
            for number, batch in enumerate(_batches(examples, start, cache.rows), start=writer.batches_done + 1):
                padded = batch + batch[-1:] * (cache.rows - len(batch))
                images = jnp.asarray(np.stack([one.image for one in padded]))
                views = jax.tree.map(lambda *leaves: np.stack(leaves), *(one.target for one in padded))
                found = jax.device_get(find(model, images, views, side=cache.data.size[0]))
                indices = np.arange(cache.rows) + (number - 1) * cache.rows
                indices[len(batch) :] = -1
                writer.write(indices, {name: getattr(found, name) for name in STORED})
                if number % FLUSH_EVERY == 0:
                    writer.flush()
                bar.update(number, count=len(batch))
        writer.finish()


def _found(
    model: Callable[[Array], HandPrediction], images: UInt8[Array, "b h w 3"], views: HandView, *, side: int
) -> TeacherViews:
    return found_views(model(images), views, side=side)


def _batches(examples: Sequence[ImageExample], start: int, rows: int) -> Iterator[list[ImageExample]]:
    """Yield the examples from a place on, a batch at a time; the next ones are read meanwhile."""
    places = iter(range(start, len(examples)))
    with ThreadPoolExecutor(_READERS) as readers:

        def read() -> list[Future[ImageExample]]:
            return [readers.submit(examples.__getitem__, place) for place in itertools.islice(places, rows)]

        batch, following = read(), read()
        while batch:
            yield [one.result() for one in batch]
            batch, following = following, read()
