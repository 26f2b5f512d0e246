"""Base of the evaluators of networks on images: which images, and batches of one shape."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.training.evaluator import Evaluator
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageEvaluator(Evaluator):
    """Measurement of networks on the images of a split, or on those of one stratum."""

    data: ImageSource
    """Images, and what is true of them."""
    split: Split = "test"
    """Split of the images."""
    stratum: str | None = None
    """Stratum of the images, such as a level of severity, the time of day or a camera; None: all."""
    rows: int = 8
    """Images per batch; it changes no result."""
    label: str
    """Name of the evaluation, if a model has several, such as on another stratum."""

    @property
    def name(self) -> str:
        return self.label

    def batches(self) -> Iterator[list[tuple[int, ImageExample]]]:
        """Yield the images, `rows` at a time, each with its place in the split; those of a batch are read at a time.

        Raises:
            ValueError: no images.
        """
        examples = self.data.examples(self.split)
        numbered = ((place, examples[place]) for place in range(len(examples)))
        chosen = ((place, one) for place, one in numbered if self.stratum is None or one.stratum == self.stratum)
        number = 0
        while batch := list(itertools.islice(chosen, self.rows)):
            number += len(batch)
            yield batch
        if not number:
            raise ValueError(
                f"data must have images in {self.split}, got none{f' of {self.stratum!r}' if self.stratum else ''} in "
                f"{type(self.data).__name__}."
            )

    def full_batch(self, arrays: Sequence[Array | np.ndarray]) -> Array:
        """Return the arrays of a batch as one of `rows`, the last one repeated: programs are compiled for one shape."""
        repeated = [*arrays, *([arrays[-1]] * (self.rows - len(arrays)))]
        return jnp.asarray(np.stack([np.asarray(one) for one in repeated]))
