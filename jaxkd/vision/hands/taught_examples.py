"""Images of hands whose labels are a teacher's."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import jax

from jaxkd.data.images.hand_source import HandSource
from jaxkd.data.images.source import ImageExample
from jaxkd.typing import Split
from jaxkd.vision.hands.teacher_views import FusionRule, fused_labels, read_teacher_views


def hand_identity(data: HandSource, split: Split) -> dict[str, str]:
    """Return what a teacher's stored predictions are for, by name."""
    return {"frames": data.frames(split)}


class TaughtHands(Sequence[ImageExample]):
    """Examples whose labels are what a teacher found, fused over the views of a frame; true labels stay."""

    def __init__(
        self,
        data: HandSource,
        split: Split,
        folder: Path,
        *,
        rule: FusionRule,
        weights: tuple[float, ...] = (),
    ):
        """Read the teacher's predictions and fuse them; no image is read.

        Args:
            data: images.
            split: split whose predictions are stored.
            folder: folder of a `CacheHands` stage.
            rule: rule of fusion.
            weights: weight of each view, for the rule "weighted".

        Raises:
            FileNotFoundError: a folder without predictions.
            ValueError: predictions for other frames, or weights that the rule does not take.
        """
        found = read_teacher_views(folder, hand_identity(data, split), views=len(data.views))
        labels = fused_labels(found, rule, side=data.size[0], weights=weights)
        self._labels = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), labels)
        self._examples = data.examples(split)

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> ImageExample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageExample]: ...

    def __getitem__(self, index: int | slice) -> ImageExample | Sequence[ImageExample]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        example = self._examples[index]
        if example.target.known:
            return example
        labels = jax.tree.map(lambda leaf: leaf[index], self._labels)
        return dataclasses.replace(
            example, target=dataclasses.replace(labels, eccentricity=example.target.eccentricity)
        )
