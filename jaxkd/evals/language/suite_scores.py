"""Scores of a language model on a suite, as an evaluator in training."""

import dataclasses

from jaxkd.data.text.chat import Template
from jaxkd.evals.suites.language_model import TextRespondent
from jaxkd.evals.suites.named import named
from jaxkd.evals.suites.run import evaluate
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.results.evaluation import Evaluation


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteScores(Evaluator):
    """Scores of a language model on a suite, in percent.

    A metric that needs a judge is not applicable here: rate the finished model with `python -m jaxkd.evaluate`.
    """

    suite: str
    """Folder of the suite, or the name of one that the package builds."""
    rows_per_task: int | None = None
    """Number of rows of each task, chosen by a hash of their ids; None asks all."""
    template: Template = "chat"
    """Rendering of the prompts."""
    system: str | None = None
    """System message in front of each prompt; None adds none."""
    seed: int = 0
    """Random seed of the samples and of the intervals."""

    @property
    def name(self) -> str:
        return "suite"

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Ask the questions.

        Returns:
            Metrics `TASK.METRIC` and the aggregates; column `score`, the first metric of the task of each row that was
            asked.
        """
        respondent = TextRespondent(model=model, template=self.template, system=self.system)
        result = evaluate(named(self.suite).subset(self.rows_per_task), respondent, seed=self.seed)
        metrics = {f"{task.id}.{one.metric}": one.interval.estimate for task in result.tasks for one in task.metrics}
        metrics |= {name: one.value for name, one in result.aggregates.items() if one.value is not None}
        first = [(task.id, task.metrics[0]) for task in result.tasks if task.metrics]
        return Evaluation(
            metrics=metrics,
            keys=tuple(f"{task}/{row}" for task, metric in first for row in metric.rows),
            per_example={"score": tuple(value for _, metric in first for value in metric.values)},
        )
