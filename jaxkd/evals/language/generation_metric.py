"""Metrics of the texts that a model generates, and texts of another model as a baseline."""

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxkd.data.examples import Example
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.stage_folder import read_evaluations

GENERATIONS = "generations"
"""Name of the evaluator that stores the generations."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generation:
    """Text that a model generated."""

    example: Example
    """The prompt, with the answer of the data."""
    text: str
    ended: bool
    """Whether it ended by itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationMetric(abc.ABC):
    """Metric of generated text: subclass it to add your own."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Prefix of its metrics' names."""

    @abc.abstractmethod
    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        """Compute metrics, and columns with one value per answer, keyed by example."""


def baseline(answers: Sequence[Generation], against: str | None) -> list[Generation]:
    """Answers of another model, or of the data, to the same prompts.

    Args:
        answers: answers whose prompts are used.
        against: folder of a finished stage with a `Generations` evaluator; None: the answers of the data.

    Raises:
        ValueError: a stage that has not answered the same prompts.
    """
    if against is None:
        return [Generation(example=answer.example, text=answer.example.response, ended=True) for answer in answers]
    found = read_evaluations(Path(against)) or {}
    if GENERATIONS not in found:
        raise ValueError(
            f"against must be the folder of a finished stage with a Generations evaluator, got {against!r}, which has "
            f"measured {', '.join(found) or 'nothing'}."
        )
    evaluation = found[GENERATIONS]
    keys = tuple(answer.example.key for answer in answers)
    if evaluation.keys != keys:
        raise ValueError(
            f"against must have answered the same {len(keys)} prompts in their order, got {against!r} with "
            f"{len(evaluation.keys)}, of which {len(set(evaluation.keys) & set(keys))} are among them. Give both "
            "evaluators one data, split, count and draws."
        )
    return [
        Generation(example=answer.example, text=sample.text, ended=bool(ended))
        for answer, sample, ended in zip(answers, evaluation.samples, evaluation.per_example["ended"], strict=True)
    ]
