"""Sources of images with boxes around objects."""

import abc
import dataclasses

from jaxkd.data.images.source import ImageSource


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionSource(ImageSource):
    """Source of images with objects: targets are `jaxkd.records.Boxes` of NumPy arrays, as many rows in every image."""

    @property
    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Name of each class of objects, in the order of their numbers."""
