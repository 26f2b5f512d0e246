"""Rouge-L of generated text against the answers of the data."""

import dataclasses
from collections.abc import Sequence

from jaxkd.evals.language.generation_metric import Generation, GenerationMetric
from jaxkd.metrics.rouge import Tokenization, rouge_l, rouge_l_values
from jaxkd.training.evaluator import Column, Measure
from jaxkd.training.results.evaluation import Evaluation


@dataclasses.dataclass(frozen=True, kw_only=True)
class RougeL(GenerationMetric):
    """Mean Rouge-L F1 of the answers against those of the data.

    Raises:
        ModuleNotFoundError: "stem" where rouge_score is not installed, or "jieba" where jieba is not.

    Source: the papers of DSKD and MiniLLM measure stems (`tokens="stem"`), the mean over five draws of each answer at
    temperature 1: `Generations(samples_per_prompt=5, sampling=Sampling(temperature=1.0))`.
    """

    tokens: Tokenization = "word"
    """Tokens that are compared, as in `rouge_l`; "stem" and "jieba" need the extras `rouge` and `jieba`."""

    def __post_init__(self) -> None:
        rouge_l("", "", tokens=self.tokens)  # fails before any text is generated

    @property
    def name(self) -> str:
        return "rouge"

    def columns(self) -> tuple[Column, ...]:
        return (Column(metric=self._metric, name="Rouge-L"),)

    def measures(self) -> tuple[Measure, ...]:
        name = f"Rouge-L against the data's answers, by {self.tokens}"
        return (Measure(metric=self._metric, name=name, better="higher", numerator=self._metric),)

    @property
    def _metric(self) -> str:
        return f"rouge_l[{self.tokens}]"

    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        """Score the answers.

        Returns:
            Metric `rouge_l[TOKENS]`, the mean, and a column of that name.
        """
        values = rouge_l_values(
            [answer.text for answer in answers], [answer.example.response for answer in answers], tokens=self.tokens
        )
        return Evaluation(
            metrics={self._metric: float(values.mean())},
            keys=tuple(answer.example.key for answer in answers),
            per_example={self._metric: tuple(values.tolist())},
        )
