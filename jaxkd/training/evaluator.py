"""Interfaces of an evaluation: where a model comes from, its evaluator, and what tables show of its metrics."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, get_args

from jaxkd.training.results.evaluation import Evaluation
from jaxkd.typing import Better


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric by which a study compares each model with its start.

    With a `numerator`, `metric = sum(numerator) / (unit_size * sum(denominator))` over the examples, and the difference
    has a paired interval.  A figure of all examples together, such as the share of the commonest end, has none.

    Raises:
        ValueError: another direction, or a value at a reference that is not named.

    Example:
        >>> Measure(metric="passed", name="functions without a flaw", better="higher", numerator="passed").unit
        '%'
    """

    metric: str
    """Name in `Evaluation.metrics`."""
    name: str
    """Head of its rows, which says by which definition it is measured.  With a `reference` it ends where the
    reference's name follows, as "KL to" does."""
    better: Better | None
    """Whether a lower or a higher value is better; None: neither is, as of a length."""
    numerator: str | None = None
    """Column of `Evaluation.per_example` that is summed; None: the metric has no interval."""
    denominator: str | None = None
    """Column by whose sum it is divided, equal under all models; None: each example counts once, which is a mean."""
    unit: str = "%"
    """Unit; the metric of "%" is a share, shown in percent, whose differences are in points."""
    unit_size: float = 1.0
    """Size of the metric's unit in that of the ratio of the columns: a bit is ln 2 nats."""
    beside: str | None = None
    """Name of a measure without which this one misleads: it stands below, and if nothing measured it the table says
    so."""
    reference: ModelSource | str | None = None
    """Model to which it is relative, or the folder of the stage that evaluated that model, "stage:NAME" in a study."""
    at_reference: float | None = None
    """Value of the reference itself, such as 0 of a divergence from it."""

    def __post_init__(self) -> None:
        if self.better is not None and self.better not in get_args(Better):
            raise ValueError(f"better must be 'lower', 'higher' or None, got {self.better!r} for {self.metric}.")
        if self.at_reference is not None and self.reference is None:
            raise ValueError(
                f"at_reference must come with a reference, got {self.at_reference:g} alone for {self.metric}. Name the "
                "model that has this value."
            )


class Evaluator(abc.ABC):
    """Measurement of models of one kind, whichever recipe trained them."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the evaluator's file and of its row in a table."""

    def columns(self) -> tuple[Column, ...]:
        """Return the columns of the study's table beside its headline; other metrics stand below.  Default: none."""
        return ()

    def measures(self) -> tuple[Measure, ...]:
        """Return the metrics by which a study compares models with its start, if it does.  Default: none."""
        return ()

    def findings(self, evaluation: Evaluation, start: Evaluation) -> dict[str, str] | None:
        """Return what is wrong with a model beside the start of its study, a line by metric of one of the `measures`.

        Default: None, nothing is looked for.

        Args:
            evaluation: the model's, by this evaluator.
            start: that of the start, of the same examples in the same order.
        """
        del evaluation, start
        return None

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
