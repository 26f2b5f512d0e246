"""What an evaluation is: a model goes in, numbers that can be rebuilt from a file come out."""

import abc
import dataclasses
import json
from typing import Self

from jaxkd.models.language_model import LanguageModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One prompt, the answer of the data, and the answer of the model."""

    prompt: str
    reference: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluator measured.

    Raises:
        ValueError: a column of `per_example` that does not have one value a key.
    """

    metrics: dict[str, float]
    """Figures over the whole set."""
    keys: tuple[str, ...] = ()
    """Keys of the examples, in the order of each column of `per_example`."""
    per_example: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    """Columns from which paired intervals are computed."""
    samples: tuple[Sample, ...] = ()

    def __post_init__(self) -> None:
        for name, column in self.per_example.items():
            if len(column) != len(self.keys):
                raise ValueError(
                    f"per_example[{name!r}] must have one value for each of keys, "
                    f"got {len(column)} values and {len(self.keys)} keys."
                )

    def to_json(self) -> str:
        """Text that `from_json` turns into an equal evaluation."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The evaluation that `to_json` wrote.

        Raises:
            ValueError: text that `to_json` did not write.
        """
        try:
            fields = json.loads(text)
            return cls(
                metrics=dict(fields["metrics"]),
                keys=tuple(fields["keys"]),
                per_example={name: tuple(column) for name, column in fields["per_example"].items()},
                samples=tuple(Sample(**sample) for sample in fields["samples"]),
            )
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"text must be the JSON of an Evaluation, got {text[:60]!r} ({error}). Run the evaluation again."
            ) from error


class Evaluator(abc.ABC):
    """Something that measures a language model, whichever recipe trained it."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of its file and of its row in a table."""

    @abc.abstractmethod
    def __call__(self, model: LanguageModel) -> Evaluation:
        """Measure `model`, on the ambient mesh."""
