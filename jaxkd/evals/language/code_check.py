"""Share of generated functions that have a flaw visible in the text."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from jaxkd.data.preferences.code_flaws import Flaw, flaws
from jaxkd.data.text.standard_library import signature
from jaxkd.evals.language.generation_metric import Generation, GenerationMetric
from jaxkd.training.evaluator import Measure
from jaxkd.training.results.evaluation import Evaluation


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeCheck(GenerationMetric):
    """Check of functions by `code_flaws.flaws`, each the signature of a `StandardLibrary` prompt and the answer."""

    @property
    def name(self) -> str:
        return "code"

    def measures(self) -> tuple[Measure, ...]:
        return (Measure(metric="passed", name="functions without a flaw", better="higher", numerator="passed"),)

    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        """Check the functions.

        Returns:
            Metrics `passed`, the share of functions without a flaw, and for each kind of flaw the share that has it;
            column `passed`.
        """
        found = [flaws(f"{signature(answer.example)}\n{answer.text}") for answer in answers]
        kinds = Counter[str](kind for one in found for kind in one)
        passed = tuple(float(not one) for one in found)
        return Evaluation(
            metrics={"passed": sum(passed) / len(passed)} | {kind: kinds[kind] / len(found) for kind in get_args(Flaw)},
            keys=tuple(answer.example.key for answer in answers),
            per_example={"passed": passed},
        )
