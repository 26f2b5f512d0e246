"""What can be measured of the texts that a model writes, and the texts of another model to compare them with."""

import abc
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from jaxkd.data.examples import Example
from jaxkd.training.evaluator import Evaluation

GENERATIONS = "generations"
"""Of the evaluator that stores what was written."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generation:
    """What a model wrote."""

    example: Example
    """The prompt, with the answer of the data."""
    text: str
    ended: bool
    """Whether it came to its end by itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationMetric(abc.ABC):
    """Something that measures what a model writes by its text: derive from it to add your own."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What its metrics are called by."""

    @abc.abstractmethod
    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        """Metrics, and columns of one value an answer whose keys are those of the examples."""


def baseline(answers: Sequence[Generation], against: str | None) -> list[Generation]:
    """Answers of another model, or of the data, to the same prompts.

    Args:
        answers: whose prompts they are.
        against: folder of a finished stage with an `Generations` evaluator; None: the answers of the data.

    Raises:
        ValueError: a stage that has not written to all of the prompts.
    """
    if against is None:
        return [Generation(example=answer.example, text=answer.example.response, ended=True) for answer in answers]
    path = Path(against) / "evaluation.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if GENERATIONS not in found:
        raise ValueError(
            f"against must be the folder of a finished stage with an Generations evaluator, got {against!r}, which has "
            f"measured {', '.join(found) or 'nothing'}."
        )
    evaluation = Evaluation.from_json(json.dumps(found[GENERATIONS]))
    asked = tuple(answer.example.key for answer in answers)
    if evaluation.keys != asked:
        raise ValueError(
            f"against must have answered the same {len(asked)} prompts in their order, got {against!r} with "
            f"{len(evaluation.keys)}, of which {len(set(evaluation.keys) & set(asked))} are among them. Give both "
            "evaluators one data, split, count and draws."
        )
    return [
        Generation(example=answer.example, text=sample.text, ended=bool(ended))
        for answer, sample, ended in zip(answers, evaluation.samples, evaluation.per_example["ended"], strict=True)
    ]
