"""Sequence of examples that are read when they are indexed."""

import threading
from collections.abc import Callable, Sequence
from typing import overload

import jax
import numpy as np

from jaxkd.data.images.source import ImageExample


class LazyExamples(Sequence[ImageExample]):
    """Examples that are read when they are indexed, and kept up to a number of bytes.

    The first ones that are read stay, and none makes room for another: with a new permutation each epoch, a cache that
    discards the least recently used one has few of those that are due.  Arrays are read-only, since readers
    share them.  May be indexed by several threads.

    Example:
        >>> import numpy as np
        >>> def read(index):
        ...     image = np.full((2, 2, 3), index, np.uint8)
        ...     return ImageExample(key=str(index), group=str(index), image=image, target=image[..., 0])
        >>> [example.key for example in LazyExamples(read, 3)]
        ['0', '1', '2']
    """

    def __init__(self, read: Callable[[int], ImageExample], count: int, *, most_bytes: int = 0) -> None:
        """Describe the sequence; nothing is read.

        Args:
            read: function from an index in [0, count) to its example.
            count: number of examples.
            most_bytes: bytes of images and targets that are kept.
        """
        self._read = read
        self._count = count
        self._room = most_bytes
        self._kept: dict[int, ImageExample] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ImageExample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageExample]: ...

    def __getitem__(self, index: int | slice) -> ImageExample | Sequence[ImageExample]:
        chosen = range(self._count)[index]  # which refuses what is beyond the end
        if isinstance(chosen, range):
            return LazyExamples(lambda place: self._example(chosen[place]), len(chosen))
        return self._example(chosen)

    def _example(self, index: int) -> ImageExample:
        example = self._kept.get(index)
        if example is None:
            example = self._read(index)
            arrays: list[np.ndarray] = [example.image, *jax.tree.leaves(example.target)]
            for array in arrays:
                array.setflags(write=False)
            size = sum(array.nbytes for array in arrays)
            with self._lock:
                if index not in self._kept and size <= self._room:
                    self._kept[index] = example
                    self._room -= size
        return example
