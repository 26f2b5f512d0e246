"""Generations that the runs of a study have stored: their texts, and health as `Health` judges it."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from benchmarks.studies.finished_study import Scored
from benchmarks.worker import ROOT
from jaxkd.evals.language.generation_metric import GENERATIONS
from jaxkd.evals.language.text_statistics import TextStatistics, findings, text_statistics
from jaxkd.study import Study
from jaxkd.study.study import stage_folder
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.stage_folder import read_evaluations


def with_finished_seeds(study: Study) -> Study:
    """Return a study with the seeds whose runs are finished in runs/NAME, or else with its first."""
    workdir = ROOT / "runs" / study.name
    finished = tuple(seed for seed in study.seeds if _is_finished(study, workdir, seed))
    return dataclasses.replace(study, seeds=finished or study.seeds[:1])


def _is_finished(study: Study, workdir: Path, seed: int) -> bool:
    return all(
        stage_folder(workdir, stage, seed).exists() and bool(read_evaluations(stage_folder(workdir, stage, seed)))
        for stage in study.stages
        if seed in study.seeds_of(stage) and getattr(stage, "evaluators", ())
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generated:
    """Texts that one run generated for the test split."""

    texts: tuple[str, ...]
    ended: tuple[bool, ...]

    @property
    def statistics(self) -> TextStatistics:
        """Statistics of the texts."""
        return text_statistics(self.texts, self.ended)

    def findings(self, reference: "Generated") -> list[str]:
        """Return what `Health` finds against the texts of another run."""
        return findings(self.texts, reference.texts, ended=self.ended, reference_ended=reference.ended)


def generated(found: Scored, name: str) -> Iterator[Generated]:
    """Yield the texts of a stage's run at each seed."""
    for evaluation in found[name][GENERATIONS]:
        yield Generated(
            texts=tuple(sample.text for sample in evaluation.samples),
            ended=tuple(bool(value) for value in evaluation.per_example["ended"]),
        )


def by_prompt(evaluations: Sequence[Evaluation], column: str) -> Float[np.ndarray, "seeds n"]:
    """Return the mean of a column over the answers to each prompt, which are drawn together, by seed."""
    keys = list(dict.fromkeys(evaluations[0].keys))
    rows = []
    for evaluation in evaluations:
        values: dict[str, list[float]] = {key: [] for key in keys}
        for key, value in zip(evaluation.keys, evaluation.per_example[column], strict=True):
            values[key].append(value)
        rows.append([sum(values[key]) / len(values[key]) for key in keys])
    return np.array(rows)
