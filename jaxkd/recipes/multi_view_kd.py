"""MultiViewKD: a network that sees one view learns what a teacher finds in several."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxkd.data.images.source import ImageExample
from jaxkd.typing import Split
from jaxkd.vision.hands.recipe import HandRecipe
from jaxkd.vision.hands.taught_examples import TaughtHands
from jaxkd.vision.hands.teacher_views import FusionRule


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiViewKD(HandRecipe):
    """loss = that of `HandRegression`, for labels that a teacher's predictions in all views of a frame become.

    The teacher reads each view alone; its joints are rotated into the world, fused there by a rule, and rotated back
    into each view.  Where a view has true labels, they count instead.

    Source: the entries of HANDS23 (arXiv 2403.16428), which fuse the views of a frame at test time.  Deviation: the
    fused joints are labels for a network of one view; the depths and pixels of triangulated joints are labels too.
    """

    labels: str
    """Folder of a `CacheHands` stage with the teacher's predictions for the training frames, "stage:NAME" in a
    study."""
    fusion: FusionRule = "triangulated"
    """Rule by which the views of a frame become one.  "none": each view keeps its own."""
    view_weights: tuple[float, ...] = ()
    """Weight of each view, for the rule "weighted": `jaxkd.geometry.views.view_weights` gives them."""

    def examples(self, split: Split) -> Sequence[ImageExample]:
        if split != "train":
            return self.data.examples(split)
        return TaughtHands(self.data, split, Path(self.labels), rule=self.fusion, weights=self.view_weights)
