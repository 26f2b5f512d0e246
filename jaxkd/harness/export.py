"""Suites as tasks of lm-evaluation-harness: the same questions, prompts and scores under the real harness."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from jaxkd.evals.suites.questions import Presented, presented
from jaxkd.evals.suites.suite import Suite, Task

_SCORES = "suite_scores"
_MODULE = '''"""Scores of replies, for the tasks beside this file."""

from jaxkd.harness.exported_scores import process_results as process_results
'''
_NATIVE = {"accuracy": "acc", "accuracy_per_character": "acc_norm"}
"""The harness's own metrics of options that are compared by their log-likelihood."""


class _Function(str):
    """Name of a function in a Python file beside the YAML."""


class _Dumper(yaml.SafeDumper):
    """YAML as the harness reads it."""


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", str(name)))


def export_suite(suite: Suite, folder: Path) -> dict[str, str]:
    """Write the tasks of a suite that the harness can run, each as a YAML and a JSONL file.

    `lm_eval` then runs them by `--include_path FOLDER --tasks SUITE_TASK`.  Options that are compared become
    `multiple_choice` tasks with the harness's own `acc` and `acc_norm`, one document a presentation; replies become
    `generate_until` tasks, scored by this package's metrics as fractions.

    Args:
        suite: the suite, whose folder must stay where it is.
        folder: folder to write; made if missing.

    Returns:
        Tasks that were left out, and why.

    Source: lm-evaluation-harness 0.4.13, its guide on new tasks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{_SCORES}.py").write_text(_MODULE, encoding="utf-8")
    left_out = {}
    for task in suite.tasks:
        reason = _unsuitable(task)
        if reason:
            left_out[task.id] = reason
            continue
        rows = (folder / f"{task.id}.jsonl").absolute()
        rows.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in _documents(suite, task)), "utf-8")
        config = _config(suite, task, rows)
        (folder / f"{task.id}.yaml").write_text(
            yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True), "utf-8"
        )
    return left_out


def _unsuitable(task: Task) -> str:
    """Why the harness cannot run a task; empty if it can."""
    if any(row.images for row in task.rows):
        return "images"
    if task.sampled.replies > 1:
        return f"{task.sampled.replies} replies to a question"
    if all(metric.name == "judge4" for metric in task.metrics):
        return "a judge"
    return ""


def _documents(suite: Suite, task: Task) -> Iterator[dict[str, Any]]:
    for one in presented(task):
        facts = {"suite": str(suite.folder.absolute()), "task": task.id, "key": one.key, "prompt": one.prompt}
        yield facts | (
            {"continuations": list(one.continuations), "gold": one.answer} if one.continuations else _gold(one)
        )


def _gold(one: Presented) -> dict[str, Any]:
    """Right answer of a question whose reply is read, for the harness's log."""
    references = one.row.references or ((one.options[one.answer],) if one.answer is not None else ("",))
    return {"gold": references[0]}


def _config(suite: Suite, task: Task, rows: Path) -> dict[str, Any]:
    config: dict[str, Any] = {
        "task": f"{suite.name}_{task.id}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "metadata": {"version": suite.version},
    }
    if task.mode == "loglik":
        return config | {
            "output_type": "multiple_choice",
            "doc_to_choice": "continuations",
            "doc_to_target": "gold",
            "target_delimiter": task.separator,
            "metric_list": [{"metric": _NATIVE[metric.name]} for metric in task.metrics],
        }
    sampled = task.sampled
    choice: dict[str, Any] = (
        {"do_sample": True, "temperature": sampled.temperature} if sampled.temperature else {"do_sample": False}
    )
    if sampled.no_repeat_ngram is not None:
        choice["no_repeat_ngram_size"] = sampled.no_repeat_ngram
    return config | {
        "output_type": "generate_until",
        "doc_to_target": "{{gold}}",
        "generation_kwargs": {"until": list(sampled.stop), "max_gen_toks": sampled.max_new_tokens, **choice},
        "process_results": _Function(f"{_SCORES}.process_results"),
        "metric_list": [
            {"metric": metric.title, "aggregation": "mean", "higher_is_better": True}
            for metric in task.metrics
            if metric.name != "judge4"
        ],
    }
