"""Results of an evaluator: metrics, values per example, and what a reader may look at."""

import dataclasses
import json
from typing import Self

from jaxkd.runtime.storage.files import to_json
from jaxkd.training.results.forecast import Forecast
from jaxkd.training.results.matched_image import MatchedImage
from jaxkd.training.results.picture import Picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One prompt, the answer of the data, and the answer of the model."""

    prompt: str
    reference: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearntEquation:
    """Right-hand side of one equation that a model has learnt, and the true one, as text."""

    state: str
    learnt: str
    truth: str = ""
    """True right-hand side; empty if it is not known."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of an evaluator.

    Raises:
        ValueError: a column of `per_example` without one value per key, or matches of another number of images.
    """

    metrics: dict[str, float]
    """Metrics over the whole set."""
    keys: tuple[str, ...] = ()
    """Keys of the examples, in the order of each column of `per_example`."""
    per_example: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    """Values per example, by column, from which paired intervals are computed."""
    samples: tuple[Sample, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    equations: tuple[LearntEquation, ...] = ()
    pictures: tuple[Picture, ...] = ()
    matches: tuple[MatchedImage, ...] = ()
    """Matches of the detections in each image, in the order of `keys`, from which intervals of average precision are
    computed; empty for other evaluators."""

    def __post_init__(self) -> None:
        for name, column in self.per_example.items():
            if len(column) != len(self.keys):
                raise ValueError(
                    f"per_example[{name!r}] must have one value for each of keys, "
                    f"got {len(column)} values and {len(self.keys)} keys."
                )
        if self.matches and len(self.matches) != len(self.keys):
            raise ValueError(
                f"matches must be of each image in keys, got {len(self.matches)} images and {len(self.keys)} keys."
            )

    def to_json(self) -> str:
        """Return text that `from_json` turns into an equal evaluation."""
        return to_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the evaluation that `to_json` wrote.

        Raises:
            ValueError: text that `to_json` did not write.
        """
        try:
            fields = json.loads(text)
            return cls(
                # A number that is not finite is a string in the file.
                metrics={name: float(value) for name, value in fields["metrics"].items()},
                keys=tuple(fields["keys"]),
                per_example={name: tuple(map(float, column)) for name, column in fields["per_example"].items()},
                samples=tuple(Sample(**sample) for sample in fields["samples"]),
                # Older files have no forecasts, no equations, no pictures or no matches.
                forecasts=tuple(Forecast.from_fields(one) for one in fields.get("forecasts", ())),
                equations=tuple(LearntEquation(**one) for one in fields.get("equations", ())),
                pictures=tuple(Picture.from_fields(one) for one in fields.get("pictures", ())),
                matches=tuple(MatchedImage.from_fields(one) for one in fields.get("matches", ())),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"text must be the JSON of an Evaluation, got {text[:60]!r} ({error}). Run the evaluation again."
            ) from error
