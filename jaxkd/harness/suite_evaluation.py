"""Evaluation of a model on a suite, with its page."""

import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from jaxkd.evals.judges.chat import Chat
from jaxkd.evals.judges.endpoint import Endpoint
from jaxkd.evals.judges.judge4 import Judge4
from jaxkd.evals.judges.local_model import LocalModel
from jaxkd.evals.judges.recorded_chat import RecordedChat
from jaxkd.evals.suites.language_model import TextRespondent
from jaxkd.evals.suites.results import SuiteResult
from jaxkd.evals.suites.run import SCORES, evaluate, read_result
from jaxkd.evals.suites.suite import Suite
from jaxkd.harness.opened import OpenedModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.report.suites.page import write_page
from jaxkd.report.suites.terminal import print_results
from jaxkd.runtime.storage.json_lines import whole_rows

PAGE = "suite.html"
_RATINGS = "ratings.jsonl"


def judge(model: str | None, url: str | None, folder: Path | None) -> Judge4 | None:
    """Return the judge of `judge4`, whose answers are kept in the folder.

    Args:
        model: checkpoint, or with a URL the name of the model there; None: no judge.
        url: base address of an OpenAI-compatible server.
        folder: folder of the evaluation.

    Raises:
        ValueError: a URL without a model.
    """
    if model is None:
        if url is not None:
            raise ValueError("--judge must name the model at --judge-url, got none.")
        return None
    chat: Chat = LocalModel(model=Pretrained(path=model)) if url is None else Endpoint(url=url, model=model)
    return Judge4(chat=chat if folder is None else RecordedChat(chat=chat, path=str(folder / _RATINGS)))


def evaluate_suite(
    suite: Suite,
    opened: OpenedModel,
    *,
    output: Path | None,
    judge: Judge4 | None = None,
    seed: int = 0,
    beside: Sequence[Path] = (),
    command: str = "",
) -> SuiteResult:
    """Evaluate a model on a suite, print the results, and write them and their page.

    Args:
        suite: the questions.
        opened: the model.
        output: folder of the answers, results and page; None writes nothing.
        judge: judge of `judge4`.
        seed: random seed of the samples and of the intervals.
        beside: folders of finished evaluations of other models on the same suite, to compare with.
        command: command that the page shows.

    Raises:
        ValueError: an evaluation of another suite beside, or as `run.evaluate`.
    """
    others = [read_result(folder) for folder in beside]
    for folder, other in zip(beside, others, strict=True):
        if other.suite != suite.name:
            raise ValueError(f"--beside must be evaluations on {suite.name}, got one on {other.suite} in {folder}.")
        if [task.id for task in other.tasks] != [task.id for task in suite.tasks]:
            raise ValueError(f"--beside must be evaluations with the tasks of {suite.folder}, got others in {folder}.")
    respondent = TextRespondent(
        model=opened.model, template=opened.style.template, system=opened.style.system, name=opened.provenance
    )
    sys.stdout.write(f"{suite.name} {suite.version}: {respondent.provenance()}\n")
    with jax.set_mesh(opened.mesh):
        result = evaluate(suite, respondent, folder=output, judge=judge, seed=seed)
    results = [result, *others]
    labels = _labels([opened.name, *map(str, beside)])
    print_results(results, labels)
    if output is not None:
        page = output / PAGE
        write_page(
            page,
            results,
            labels,
            description=suite.description,
            answers=list(whole_rows(output / SCORES)),
            command=command,
        )
        sys.stdout.write(f"{page}\n")
    return result


def _labels(names: Sequence[str]) -> list[str]:
    """Shorten paths to their last parts, if these differ."""
    short = [Path(name).name for name in names]
    return short if len(set(short)) == len(names) else list(names)
