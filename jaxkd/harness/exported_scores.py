"""Scores of the replies to exported suites, as lm-evaluation-harness asks for them."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxkd.evals.suites.questions import Presented, presented
from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.replies import Answered
from jaxkd.evals.suites.scores import score
from jaxkd.runtime.sandbox import Limits


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return the metrics of a reply, as fractions.

    Args:
        doc: document that `export_suite` wrote.
        results: the reply.
    """
    question = _questions(doc["suite"])[doc["key"]]
    (scored,) = score(question.task, [Answered(question=question, text=results[0])], judge=None, limits=Limits())
    return {title: value / 100 for title, value in scored.values.items() if value is not None}


@functools.lru_cache(maxsize=4)
def _questions(path: str) -> dict[str, Presented]:
    return {one.key: one for task in folder.read(Path(path)).tasks for one in presented(task)}
