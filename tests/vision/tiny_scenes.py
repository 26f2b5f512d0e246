"""Bright rectangles on noise in both modalities, and small detectors."""

import dataclasses

import numpy as np

from jaxkd.data.images.detection import DetectionSource
from jaxkd.data.images.source import ImageExample
from jaxkd.records import Boxes
from jaxkd.vision.detection.early_fusion import EarlyFusion

OBJECTS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rectangles(DetectionSource):
    """Up to two upright or lying rectangles, the two classes; the third row of boxes is padding."""

    height: int = 32
    width: int = 48
    count: int = 6

    @property
    def size(self):
        return self.height, self.width

    @property
    def classes(self):
        return ("upright", "lying")

    def examples(self, split):
        rng = np.random.default_rng(["train", "validation", "test"].index(split))
        return [self._example(f"{split}/{number}", number, rng) for number in range(self.count)]

    def _example(self, key, number, rng):
        image = rng.integers(0, 60, (*self.size, 4)).astype(np.uint8)
        corners, classes = np.zeros((OBJECTS, 4), np.float32), np.zeros(OBJECTS, np.int32)
        mask = np.arange(OBJECTS) < number % OBJECTS  # the first image has none
        for place in np.flatnonzero(mask):
            classes[place] = rng.integers(2)
            height, width = (18, 9) if classes[place] == 0 else (9, 18)
            left = rng.integers(0, self.width // 2 - width) + place * self.width // 2
            top = rng.integers(0, self.height - height)
            corners[place] = left, top, left + width, top + height
            image[top : top + height, left : left + width] += 120
        boxes = Boxes(corners=corners, classes=classes, mask=mask, ignored=np.zeros(OBJECTS, bool))
        return ImageExample(key=key, group=key, image=image, target=boxes)


SMALL = EarlyFusion(classes=2, stem="plain", depth=10, width=4, pyramid_width=8, levels=3, stacked=1, groups=2, bins=5)
"""Detector of some thousand parameters."""
