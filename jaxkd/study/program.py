"""A study as a program runs it: plans, stages, and what is written at the end."""

import json
import os
import sys
from pathlib import Path

import jax

from jaxkd.runtime import configs
from jaxkd.sharding.mesh import initialize_processes
from jaxkd.study.data_preview import preview, require_sources
from jaxkd.study.study import Study, run_study
from jaxkd.study.summary import write_summary
from jaxkd.training.train_stage import Train


def prepare_process(study: Study) -> None:
    """Apply the settings that must be decided before JAX touches a device."""
    training = [stage for stage in study.stages if isinstance(stage, Train)]
    if any(stage.precision == "float64" for stage in training):
        jax.config.update("jax_enable_x64", True)
    if any(stage.deterministic for stage in training):
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    initialize_processes()


def print_plans(study: Study, *, only: str | None = None, verbose: bool = False) -> None:
    """Validate the stages and print their plans and first examples, or which file is missing; run nothing.

    Args:
        study: study to plan.
        only: name of a single stage; None plans all.
        verbose: whether to print each stage's whole config, as JSON, after its plan.
    """
    for stage in study.stages:
        if only in (None, stage.name):
            stage.validate()
            sys.stdout.write(f"=== {stage.name}\n{stage.plan()}\n\n")
            try:
                require_sources([stage])
                examples = preview(stage)
            except FileNotFoundError as error:
                examples = f"data: {error}"
            if examples:
                sys.stdout.write(f"{examples}\n\n")
            if verbose:
                sys.stdout.write(f"{json.dumps(configs.encode(stage), indent=1)}\n\n")


def run_and_report(study: Study, workdir: Path, *, command: str, only: str | None = None) -> None:
    """Run the unfinished stages, print the table, and write summary and report.

    Args:
        study: study to run.
        workdir: folder of the study.
        command: command as the user typed it, for the report.
        only: name of a single stage to run; None runs all.
    """
    run_study(study, workdir, only=only)
    report(study, workdir, command=command)


def report(study: Study, workdir: Path, *, command: str) -> None:
    """Print the table of the finished stages, and write summary and report, in one of the processes.

    Args:
        study: study as it was run.
        workdir: folder of the study.
        command: command as the user typed it.

    Raises:
        ValueError: a folder that does not exist.
    """
    if not workdir.is_dir():
        raise ValueError(f"workdir must be the folder of a study that has run, got {workdir}, which does not exist.")
    if jax.process_index() == 0:
        write_summary(study, workdir, command=command)
