"""Sources of hands that several cameras see at the same time."""

import abc
import dataclasses

from jaxkd.data.images.source import ImageSource
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandSource(ImageSource):
    """Source of crops of one hand each, whose targets are `jaxkd.records.hand_views.HandView`s of NumPy arrays.

    The examples of a frame follow one another, one for each of `views` and in its order; `stratum` is the view.
    """

    @property
    @abc.abstractmethod
    def views(self) -> tuple[str, ...]:
        """Names of the cameras."""

    @abc.abstractmethod
    def frames(self, split: Split) -> str:
        """Describe the frames and crops of a split, whatever the number of pixels of a crop and the labels.

        Predictions for one source are those for another of the same description.
        """
