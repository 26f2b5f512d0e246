"""Interfaces of an evaluation: where a model comes from, its evaluator, and the columns of its metrics in a table."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxkd.training.results.evaluation import Evaluation


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A metric of an evaluator that has a column of its own in a study's table."""

    metric: str
    """Name in `Evaluation.metrics`."""
    name: str
    """Head of the column; a line break where it may take two lines."""
    on_terminal: bool = True
    """Whether the table on the terminal, which is narrower than the report's, has the column too."""


class Evaluator(abc.ABC):
    """Measurement of models of one kind, whichever recipe trained them."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the evaluator's file and of its row in a table."""

    def columns(self) -> tuple[Column, ...]:
        """Return the columns of the study's table beside its headline; other metrics stand below.  Default: none."""
        return ()

    @abc.abstractmethod
    def __call__(self, model: Any) -> Evaluation:
        """Measure `model`, on the ambient mesh."""


def check_names(evaluators: Sequence[Evaluator]) -> None:
    """Reject evaluators of one model that share a name, of which the last would replace the results of the others.

    Raises:
        ValueError: two evaluators of one name.
    """
    names = [evaluator.name for evaluator in evaluators]
    if len(set(names)) < len(names):
        raise ValueError(
            f"evaluators of one model must have different names, got {', '.join(names)}. Give those of one kind "
            "different labels."
        )
