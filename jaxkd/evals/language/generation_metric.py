"""Metrics of the texts that a model generates, and texts of another model as a baseline."""

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxkd.data.examples import Example
from jaxkd.evals.language.samples import readable
from jaxkd.training.evaluator import Column, Measure
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.stage_folder import read_evaluations

GENERATIONS = "generations"
"""Name of the evaluator that stores the generations, unless it has a label of its own."""


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

    def columns(self) -> tuple[Column, ...]:
        """Return columns of a study's table for some of its metrics, as `Evaluator.columns`.  Default: none."""
        return ()

    def measures(self) -> tuple[Measure, ...]:
        """Return metrics by which a study compares models with its start, as `Evaluator.measures`.  Default: none."""
        return ()

    def findings(self, evaluation: Evaluation, start: Evaluation) -> dict[str, str] | None:
        """Return what is wrong with a model's texts, as `Evaluator.findings`.  Default: None, nothing is looked for.

        Args:
            evaluation: the model's, by `Generations`: the texts are its samples, and it has a column `ended`.
            start: that of the start of the study, of the same prompts in the same order.
        """
        del evaluation, start
        return None

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
    # Whatever their labels: no other evaluator has samples with this column.
    generated = [one for one in found.values() if one.samples and "ended" in one.per_example]
    if not generated:
        raise ValueError(
            f"against must be the folder of a finished stage with a Generations evaluator, got {against!r}, which has "
            f"measured {', '.join(found) or 'nothing'}."
        )
    # Files of one name in two folders have the same keys.
    asked = [(answer.example.key, readable(answer.example)) for answer in answers]
    evaluation = max(generated, key=lambda one: (_asked(one) == asked, len({*_asked(one)} & {*asked})))
    if _asked(evaluation) != asked:
        raise ValueError(
            f"against must have answered the same {len(asked)} prompts in their order, got {against!r} with "
            f"{len(evaluation.keys)}, of which {len({*_asked(evaluation)} & {*asked})} are among them. Give both "
            "evaluators one data, split, count and draws."
        )
    return [
        Generation(example=answer.example, text=sample.text, ended=bool(ended))
        for answer, sample, ended in zip(answers, evaluation.samples, evaluation.per_example["ended"], strict=True)
    ]


def _asked(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Key and prompt of each answer."""
    return [(key, sample.prompt) for key, sample in zip(evaluation.keys, evaluation.samples, strict=True)]
