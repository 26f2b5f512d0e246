"""Interfaces of an evaluation: where a model comes from, its evaluator, and results that a file can restore."""

import abc
import dataclasses
import json
from typing import Any, Self

from jaxkd.runtime.storage.files import to_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One prompt, the answer of the data, and the answer of the model."""

    prompt: str
    reference: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """One record, and a model's forecast from its first state.

    Raises:
        ValueError: rows that do not match the times or the states, or states that are not a whole number for each
            place.
    """

    key: str
    """Key of the record."""
    names: tuple[str, ...]
    """Names of the states."""
    times: tuple[float, ...]
    measured: tuple[tuple[float, ...], ...]
    """Measured states: a row per time, a value per state."""
    forecast: tuple[tuple[float, ...], ...]
    """Forecast states, in the same layout; cut short if the simulation diverged."""
    places: tuple[float, ...] = ()
    """Places, if the states are quantities at places: each quantity has one state per place, in this order."""

    def __post_init__(self) -> None:
        if not self.names or not self.times:
            raise ValueError(
                f"names and times must hold at least one state and one sample, got {len(self.names)} and "
                f"{len(self.times)} in {self.key!r}. Leave the record out."
            )
        if len(self.measured) != len(self.times) or len(self.forecast) > len(self.times):
            raise ValueError(
                f"measured must have one row for each of times, and forecast no more, got {len(self.measured)} and "
                f"{len(self.forecast)} rows for {len(self.times)} times in {self.key!r}."
            )
        for row in (*self.measured, *self.forecast):
            if len(row) != len(self.names):
                raise ValueError(
                    f"measured and forecast must have one value for each of names in a row, got {len(row)} values for "
                    f"{', '.join(self.names)} in {self.key!r}."
                )
        if self.places and len(self.names) % len(self.places):
            raise ValueError(
                f"names must be one a place for each quantity, got {len(self.names)} for {len(self.places)} places in "
                f"{self.key!r}."
            )


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
        ValueError: a column of `per_example` without one value per key.
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

    def __post_init__(self) -> None:
        for name, column in self.per_example.items():
            if len(column) != len(self.keys):
                raise ValueError(
                    f"per_example[{name!r}] must have one value for each of keys, "
                    f"got {len(column)} values and {len(self.keys)} keys."
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
                # Older files have no forecasts and no equations.
                forecasts=tuple(_forecast(one) for one in fields.get("forecasts", ())),
                equations=tuple(LearntEquation(**one) for one in fields.get("equations", ())),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"text must be the JSON of an Evaluation, got {text[:60]!r} ({error}). Run the evaluation again."
            ) from error


def _forecast(fields: dict[str, Any]) -> Forecast:
    return Forecast(
        key=fields["key"],
        names=tuple(fields["names"]),
        times=tuple(fields["times"]),
        measured=tuple(tuple(map(float, row)) for row in fields["measured"]),
        forecast=tuple(tuple(map(float, row)) for row in fields["forecast"]),
        # Older files have no places.
        places=tuple(fields.get("places", ())),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSource(abc.ABC):
    """Reference to a model of any kind, by a config: a checkpoint's files, the folder of a run, ..."""

    @property
    def double_precision(self) -> bool:
        """Whether the model computes in float64, which must be decided before JAX touches a device.  Default: no."""
        return False

    @abc.abstractmethod
    def validate(self) -> None:
        """Reject a model that cannot be loaded, before anything long starts; loads no weights.

        Raises:
            ValueError: the reason, and the fix.
        """

    @abc.abstractmethod
    def provenance(self) -> str:
        """Return one line that names the model, without loading it."""

    @abc.abstractmethod
    def load_model(self) -> Any:
        """Load the model on the ambient mesh, as its evaluators take it: a `LanguageModel`, a `VectorField`, ..."""


class Evaluator(abc.ABC):
    """Measurement of models of one kind, whichever recipe trained them."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the evaluator's file and of its row in a table."""

    @abc.abstractmethod
    def __call__(self, model: Any) -> Evaluation:
        """Measure `model`, on the ambient mesh."""
